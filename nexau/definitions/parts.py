"""The parts of one agent in a file: its model, prompt, servers and tools."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from nexau.definitions.bindings import load_binding
from nexau.definitions.document import Document
from nexau.definitions.functions import python_tool
from nexau.definitions.prompts import compile_prompt
from nexau.definitions.servers import check_patterns, check_placeholders, check_server
from nexau.definitions.structs import (
    BINDING_PATTERN,
    MODEL_KINDS,
    AgentFile,
    McpEntry,
    PromptFile,
    PythonEntry,
    model_from_text,
)
from nexau.definitions.values import (
    DefinitionError,
    Latency,
    McpTools,
    ModelConfig,
    OpenAIModel,
    Prompt,
    PythonTool,
    ReplayModel,
    ScriptModel,
    Server,
)
from nexau.files.forms import INVALID
from nexau.files.nearest import hint, nearest
from nexau.files.paths import is_file, missing
from nexau.files.problems import AgentFileError, Trail, clip, cut, display
from nexau.files.yamlnodes import MAX_BYTES
from nexau.models.base import Model
from nexau.models.script import read_script

Environ = Mapping[str, str] | None
"""Where variables are looked up; None looks none up."""


class Used(Struct):
    """A server of an agent file, as the agents in its reach see it."""

    used: bool = False


class Scope(Struct, frozen=True):
    """What an agent inherits, and where in a file it stands."""

    document: Document
    trail: Trail = ()
    model: Any = None
    servers: Mapping[str, Used] = {}
    chain: tuple[Path, ...] = ()
    levels: int = 0

    def at(self, *steps: str | int) -> Trail:
        return (*self.trail, *steps)

    def complain(self, message: str, *steps: str | int) -> None:
        self.document.complain(self.at(*steps), message)

    def gives(self, *steps: str | int) -> bool:
        return self.document.has(self.at(*steps))

    def resolve(self, file: str) -> Path:
        """As an absolute path, symbolic links left as they are."""
        return Path(os.path.abspath(self.document.directory / file))  # noqa: PTH100


def read_server(name: str, form: Any, scope: Scope, environ: Environ) -> Server | None:
    if form is INVALID:
        return None
    for steps, message in check_server(name, form, scope.document.directory, environ):
        scope.complain(message, "mcp_servers", name, *steps)
    changed: dict[str, Any] = {}
    if form.cwd is not None:
        changed["cwd"] = str(scope.resolve(form.cwd))
    if form.pins is not None:
        changed["pins"] = str(scope.resolve(form.pins))
    if form.latency is not None:
        latency = Latency(form.latency) if isinstance(form.latency, str) else form.latency
        file = str(scope.resolve(latency.profile))
        changed["latency"] = msgspec.structs.replace(latency, profile=file)
    return msgspec.structs.replace(form, **changed)  # type: ignore[no-any-return]


def read_model(form: AgentFile, scope: Scope, environ: Environ) -> ModelConfig | Model | None:
    model = form.model
    if isinstance(model, str):
        model = _named_model(model, scope)
    elif model is None and not scope.gives("model"):
        if scope.model is None and scope.levels == 0:
            scope.complain("missing key 'model': only a sub-agent has one to inherit")
        return scope.model  # type: ignore[no-any-return]
    if isinstance(model, OpenAIModel):
        for key, text in model.headers.items():
            for message in check_placeholders(text, environ):
                scope.complain(message, "model", "headers", key)
    if isinstance(model, ScriptModel | ReplayModel) and model.file:
        steps = ("model",) if isinstance(form.model, str) else ("model", "file")
        path = scope.resolve(model.file)
        _check_turns(model, path, scope, steps)
        return msgspec.structs.replace(model, file=str(path))
    return model


def _named_model(text: str, scope: Scope) -> ModelConfig | None:
    model = model_from_text(text)
    if model is None:
        kind = text.partition(":")[0]
        close = nearest(kind, MODEL_KINDS)
        mend = f"to name a model, write openai:{cut(text, 60)}"
        if close is not None:
            mend = f"{kind} what?" if close == kind else f"did you mean {close!r}?"
        wanted = "plan, openai:NAME, script:FILE or replay:FILE"
        scope.complain(f"unknown model {clip(text)}; expected {wanted}; {mend}", "model")
    return model


def _check_turns(
    model: ScriptModel | ReplayModel, path: Path, scope: Scope, steps: tuple[str, ...]
) -> None:
    """A recording may be as large as a run: only that it is there is looked at."""
    if not is_file(path):
        scope.complain(missing(path), *steps)
        return
    try:
        if isinstance(model, ScriptModel):
            read_script(path)
    except AgentFileError as error:
        for problem in error.problems:
            scope.document.complain_of(problem)
    except DefinitionError as error:
        scope.complain(str(error), *steps)


def read_prompt(form: AgentFile, scope: Scope) -> Prompt:
    if isinstance(form.system_prompt, PromptFile):
        steps: tuple[str, ...] = ("system_prompt", "file")
        path = scope.resolve(form.system_prompt.file)
        if not form.system_prompt.file:
            return Prompt("")
        text = _read_text(path, scope, steps)
        if text is None:
            return Prompt("")
        prompt = Prompt(text, str(path))
    else:
        steps = ("system_prompt",)
        prompt = Prompt(form.system_prompt)
    try:
        compile_prompt(prompt)
    except DefinitionError as error:
        scope.complain(str(error), *steps)
    return prompt


def _read_text(path: Path, scope: Scope, steps: tuple[str, ...]) -> str | None:
    if not is_file(path):
        scope.complain(missing(path), *steps)
        return None
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            scope.complain(f"{display(path)} has more than {MAX_BYTES:,} bytes", *steps)
            return None
        return data.decode("utf-8-sig")
    except OSError:
        scope.complain(missing(path), *steps)
    except UnicodeDecodeError:
        scope.complain(f"{display(path)} is not valid UTF-8", *steps)
    return None


def read_mcp(entry: McpEntry, scope: Scope, index: int) -> McpTools:
    if entry.mcp in scope.servers:
        scope.servers[entry.mcp].used = True
    elif entry.mcp:
        near = hint(entry.mcp, scope.servers, "there are") or "; there are none"
        scope.complain(f"no server {clip(entry.mcp)} in mcp_servers of this agent or of one"
                       f" above it{near}", "tools", index, "mcp")  # fmt: skip
    for key, patterns in (("include", entry.include), ("exclude", entry.exclude)):
        for place, message in check_patterns(patterns):
            scope.complain(message, "tools", index, key, place)
    return McpTools(entry.mcp, entry.include, entry.exclude, entry.prefix)


def read_python(
    entry: PythonEntry, scope: Scope, steps: tuple[str | int, ...]
) -> PythonTool | None:
    if not entry.python:
        return None
    if not re.fullmatch(BINDING_PATTERN, entry.python):
        scope.complain(f"expected module:function, got {clip(entry.python)}", *steps)
        return None
    try:
        bound = load_binding(entry.python, scope.document.directory)
        return python_tool(
            bound,
            name=entry.name,
            description=entry.description,
            timeout=entry.timeout,
            binding=entry.python,
        )
    except DefinitionError as error:
        scope.complain(str(error), *steps)
        return None
