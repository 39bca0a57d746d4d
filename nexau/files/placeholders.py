"""`${NAME}` in an agent file stands for an environment variable."""

import re
from collections.abc import Iterator, Mapping

from nexau.definitions.values import DefinitionError
from nexau.files.nearest import hint

_PLACEHOLDER = re.compile(r"\$(?:(?P<literal>\$)(?=\{)|\{(?P<name>[^}]*)\}|(?P<open>\{))")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def expand_env(text: str, environ: Mapping[str, str], where: str) -> str:
    """Replaces each `${NAME}`; `$${` stands for a literal `${`.

    `where` says in messages whose text it is. Raises `DefinitionError` for a variable that is not
    set and for a malformed placeholder; no message holds a value.
    """
    if "${" not in text:
        return text
    for fault in faults(text, environ):
        raise DefinitionError(f"{where}: {fault}")
    return _PLACEHOLDER.sub(lambda match: _value(match, environ), text)


def faults(text: str, environ: Mapping[str, str] | None) -> Iterator[str]:
    """What `expand_env` would refuse; without `environ`, only what is malformed."""
    for match in _PLACEHOLDER.finditer(text):
        name = match["name"]
        if match["literal"]:
            continue
        if name is None or not _NAME.fullmatch(name):
            yield "malformed placeholder: expected ${NAME}, or $${ for a literal ${"
        elif environ is not None and name not in environ:
            # Names of the environment that are alike, but never the whole list of them.
            close = hint(name, environ) if len(name) > 3 else ""
            yield f"the environment variable {name} is not set" + (
                close if close.startswith("; did") else ""
            )


def _value(match: re.Match[str], environ: Mapping[str, str]) -> str:
    return "$" if match["literal"] else environ[match["name"]]
