"""System prompts: jinja2 in a sandbox, compiled once."""

import functools
import re
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    Environment,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    UndefinedError,
)
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.meta import find_referenced_templates

from nexau.definitions.promptbounds import MAX_CHARACTERS, Bounded, begin
from nexau.definitions.values import DefinitionError, Prompt
from nexau.files.nearest import hint
from nexau.files.paths import siblings
from nexau.files.problems import cut, display

_MARKUP = re.compile(r"\{[{%#]")
_TEMPLATE = "<prompt>"


def render(prompt: Prompt, task: str, variables: Mapping[str, Any]) -> str:
    """The prompt for one rollout; text without markup costs nothing.

    `task` is the request; `variables` stand beside it by their own names, except one named
    `task`. Raises `DefinitionError` with the template's file and line. The sandbox keeps templates
    from the interpreter, and bounds what they cost (`nexau.definitions.promptbounds`).
    """
    template = compile_prompt(prompt)
    if template is None:
        return prompt.text
    values = {**variables, "task": task}
    begin()
    pieces: list[str] = []
    size = 0
    try:
        for piece in template.generate(values):
            size += len(piece)
            if size > MAX_CHARACTERS:
                raise SecurityError(f"longer than {MAX_CHARACTERS:,} characters")
            pieces.append(piece)
    except _FAULTS as error:
        raise DefinitionError(_explain(error, prompt, variables)) from None
    return "".join(pieces)


@functools.lru_cache(maxsize=1024)
def compile_prompt(prompt: Prompt) -> Template | None:
    """The compiled template, with those that it includes; None for text without markup.

    Raises `DefinitionError` for bad syntax and for includes that are missing or lie outside the
    directory of the prompt's file.
    """
    if not _MARKUP.search(prompt.text):
        return None
    environment = _environment(Path(prompt.source).parent if prompt.source else None)
    try:
        # Compiled under this name, which tells the template's frames from jinja2's own.
        code = environment.compile(prompt.text, _TEMPLATE, prompt.source or _TEMPLATE)
        _load_includes(environment, prompt.text, set())
    except (TemplateError, RecursionError) as error:
        raise DefinitionError(_explain(error, prompt, {})) from None
    except SyntaxError as error:  # what the template compiles to, such as `{{ 1 = 2 }}`
        raise DefinitionError(f"{_where(prompt, None)}: {error.msg}") from None
    return environment.template_class.from_code(environment, code, environment.globals, None)


def included(prompt: Prompt) -> list[Path]:
    """The files that a prompt includes, directly or through others, except by computed names."""
    if prompt.source is None or compile_prompt(prompt) is None:
        return []
    directory = Path(prompt.source).parent
    names: set[str] = set()
    _load_includes(_environment(directory), prompt.text, names)
    return [directory / name for name in sorted(names)]


_FAULTS = (TemplateError, ArithmeticError, AttributeError, LookupError, MemoryError, NameError,
           RecursionError, TypeError, ValueError)  # fmt: skip
"""What an expression in a template can raise."""


class _Undefined(StrictUndefined):
    """Raises when used at all; knows what a mapping has instead."""

    __slots__ = ()

    def __init__(self, hint_: str | None = None, obj: Any = None, name: str | None = None,
                 exc: type[TemplateRuntimeError] = UndefinedError) -> None:  # fmt: skip
        if hint_ is None and isinstance(obj, Mapping) and isinstance(name, str):
            hint_ = f"no {name!r} in it{hint(name, map(str, obj), 'it has')}"
        if obj is None:
            super().__init__(hint_, name=name, exc=exc)
        else:
            super().__init__(hint_, obj, name, exc)


class _Directory(BaseLoader):
    """Templates of one directory and below it; links that lead out of it are refused."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        path = (self._directory / template).resolve()
        if not path.is_relative_to(self._directory):
            raise TemplateNotFound(template, f"{template!r} lies outside {self._directory.name!r}")
        try:
            text = path.read_text("utf-8")
        except (OSError, ValueError) as error:
            near = hint(template, siblings(path), "there are")
            reason = error.strerror if isinstance(error, OSError) else "not valid UTF-8"
            raise TemplateNotFound(template, f"{template!r}: {reason}{near}") from None
        return text, str(path), lambda: True


class _Nowhere(BaseLoader):
    def get_source(self, environment: Environment, template: str) -> Any:
        raise TemplateNotFound(template, "only a prompt in a file of its own can include others")


@functools.lru_cache(maxsize=256)
def _environment(directory: Path | None) -> Bounded:
    environment = Bounded(
        undefined=_Undefined,
        loader=_Nowhere() if directory is None else _Directory(directory),
        keep_trailing_newline=True,
        auto_reload=False,
    )
    del environment.globals["lipsum"]
    return environment


def _load_includes(environment: Bounded, text: str, seen: set[str]) -> None:
    """So that a missing include is found before any rollout, and none reads a disk later."""
    for name in find_referenced_templates(environment.parse(text, _TEMPLATE)):
        if name is None or name in seen or environment.loader is None:
            continue  # None: a name that is computed
        seen.add(name)
        source, _, _ = environment.loader.get_source(environment, name)
        environment.get_template(name)
        _load_includes(environment, source, seen)


def _explain(error: BaseException, prompt: Prompt, variables: Mapping[str, Any]) -> str:
    message = cut(str(error), 500) or type(error).__name__
    if isinstance(error, UndefinedError):
        missing = re.fullmatch(r"'(\w+)' is undefined", message)
        if missing:
            names = {*variables, "task"}
            message = f"no variable {missing[1]!r}{hint(missing[1], names, 'there are')}"
    elif not isinstance(error, TemplateError):
        message = f"{type(error).__name__}: {message}"
    if isinstance(error, TemplateSyntaxError):
        source = error.filename if error.filename not in (None, _TEMPLATE) else prompt.source
        return f"{_where(Prompt('', source), error.lineno)}: {cut(error.message or '', 500)}"
    return f"{_frame(error, prompt)}: {message}"


def _frame(error: BaseException, prompt: Prompt) -> str:
    """File and line of the deepest template on the way to the error."""
    root = _environment(Path(prompt.source).parent if prompt.source else None)
    inside = root.loader._directory if isinstance(root.loader, _Directory) else None
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in (prompt.source, _TEMPLATE):
            return _where(prompt, frame.lineno)
        if inside is not None and frame.filename.startswith(str(inside)):
            return _where(Prompt("", frame.filename), frame.lineno)
    return _where(prompt, None)


def _where(prompt: Prompt, line: int | None) -> str:
    if prompt.source is None:
        return f"the system prompt, line {line}" if line else "the system prompt"
    file = display(Path(prompt.source))
    return f"{file}:{line}" if line else file
