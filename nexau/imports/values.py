"""Files of the original runtime as plain values: their variables, environment and names."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexau.definitions.values import DefinitionError
from nexau.files.formfile import open_form
from nexau.files.problems import display

_PLACE = re.compile(r"\$\{(?:(env|variables)\.([A-Za-z_]\w*)|(this_file_dir)|([A-Za-z_]\w*))\}")


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML or JSON file that holds a mapping, variables filled in but those of the environment.

    Raises `DefinitionError`.
    """
    file = open_form(path)
    file.settle()
    value = file.node.plain()
    if not isinstance(value, dict):
        raise DefinitionError(f"{display(path)}: expected a mapping")
    variables = value.get("variables")
    known = variables if isinstance(variables, dict) else {}
    filled = _filled(value, known, path)
    assert isinstance(filled, dict)
    return filled


def _filled(value: Any, variables: Mapping[str, Any], path: Path) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, variables, path) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables, path) for each in value]
    if not isinstance(value, str) or "${" not in value:
        return value

    def fill(match: re.Match[str]) -> str:
        kind, name, here, bare = match.groups()
        if here:
            return str(path.parent)
        if kind == "variables" and name in variables:
            return str(variables[name])
        return f"${{{name if kind == 'env' else bare or name}}}"

    return _PLACE.sub(fill, value)


def variable_of(value: Any) -> str | None:
    """The environment variable that a text names and nothing else: `${LLM_MODEL}`."""
    match = re.fullmatch(r"\$\{([A-Za-z_]\w*)\}", value) if isinstance(value, str) else None
    return match[1] if match else None


def from_environment(value: Any) -> tuple[str | None, list[str]]:
    """A text with the variables that are set, or None; and the names of those that are not."""
    if not isinstance(value, str):
        return None, []
    missing = [name for name in re.findall(r"\$\{([A-Za-z_]\w*)\}", value)
               if name not in os.environ]  # fmt: skip
    if missing:
        return None, missing
    return re.sub(r"\$\{([A-Za-z_]\w*)\}", lambda match: os.environ[match[1]], value), []


def plain_name(name: str) -> str:
    """As names are here: a letter or `_`, then up to 63 of `A-Z a-z 0-9 _ -`."""
    made = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:63]
    return made if re.match(r"[A-Za-z_]", made) else f"_{made[:63]}"
