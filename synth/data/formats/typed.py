"""Values that stand bare in markup, and get their type back from the tool's schema.

As the readers in SGLang 0.5 have it (`srt/function_call`: `utils.infer_type_from_json_schema`,
`qwen3_coder_detector`, `glm4_moe_detector`, `minimax_m2`). What they lose, these lose as well: it
is for the comparison after reading to find it.
"""

import ast
import json
from collections.abc import Mapping
from typing import Any

from nexau.synth.data.formats.base import Tools
from nexau.synth.data.formats.chat import dumps
from nexau.transports.protocol import ToolSpec

_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array",
          dict: "object", type(None): "null"}  # fmt: skip
_ORDER = ("integer", "number", "boolean", "object", "array", "string")


def bare_value(value: Any) -> str:
    """Strings as they are, anything else as JSON."""
    return value if isinstance(value, str) else dumps(value)


def _properties(tools: tuple[ToolSpec, ...]) -> dict[str, Mapping[str, Any]]:
    return {tool.name: tool.parameters.get("properties") or {} for tool in tools}


properties = Tools(_properties)
"""The schemas of each tool's arguments, by the name of the tool."""


def inferred(schema: Any) -> str | None:
    """The one type that a reader takes a parameter to have."""
    if not isinstance(schema, dict):
        return None
    kind = schema.get("type")
    if isinstance(kind, str):
        return kind
    if isinstance(kind, list) and kind:
        return next((each for each in kind if each != "null"), "string")
    branches = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(branches, list):
        kinds = [found for found in map(inferred, branches) if found]
        if kinds:
            return _of_branches(kinds)
    values = schema.get("enum")
    if isinstance(values, list):
        kinds = list(dict.fromkeys(_KINDS[type(value)] for value in values)) or ["string"]
        return kinds[0] if len(kinds) == 1 else "string"
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else None


def _of_branches(kinds: list[str]) -> str:
    distinct = list(dict.fromkeys(kinds))
    if len(distinct) == 2 and "null" in distinct:
        distinct.remove("null")
    if len(distinct) == 1:
        return distinct[0]
    return "string" if "string" in distinct else kinds[0]


def all_types(schema: Any) -> set[str]:
    """Every type that a parameter may have, through anyOf, oneOf, allOf and enum."""
    if not isinstance(schema, dict):
        return {"string"}
    kind = schema.get("type")
    found = {kind} if isinstance(kind, str) else set(kind if isinstance(kind, list) else ())
    values = schema.get("enum")
    found |= {_KINDS[type(value)] for value in values} if isinstance(values, list) else set()
    for word in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(word) or ():
            found |= all_types(branch)
    return found or {"string"}


def qwen_value(text: str, schema: Any, *, known: bool) -> Any:
    """As Qwen3-Coder's readers: null for any type, then the parameter's one type."""
    if len(text) == 4 and text.lower() == "null":
        return None
    if not known:
        return text
    kind = (inferred(schema) or "string").lower()
    if kind == "string":
        return text
    if kind == "boolean":
        return text.lower() == "true"
    if kind in ("integer", "number"):
        try:
            return int(text) if kind == "integer" else _any_number(text)
        except ValueError:
            return text
    try:
        return json.loads(text)
    except ValueError:
        return literal(text)


def _any_number(text: str) -> int | float:
    """Raises ValueError."""
    value = float(text)
    whole = "." not in text and "e" not in text.lower()
    return int(value) if whole and value.is_integer() else value


def glm_value(text: str, kind: str | None) -> Any:
    """As GLM-4.5's readers: JSON where it is JSON, whatever the type; then what the type asks."""
    try:
        value = json.loads(text)
    except ValueError:
        value = _not_json(text, kind)
    if kind == "number" and isinstance(value, str):
        value = _number(value)
    if kind == "string" and not isinstance(value, str):
        return dumps(value) if isinstance(value, dict | list) else str(value)
    return value


def _not_json(text: str, kind: str | None) -> Any:
    try:
        return json.loads(json.loads(f'{{"tmp": "{text}"}}')["tmp"])
    except (ValueError, TypeError):
        pass
    if kind != "string":
        return literal(text)
    quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text


def minimax_value(text: str, schema: Any) -> Any:
    """As MiniMax-M2's readers: the narrowest of the types that the text can be.

    SGLang 0.5 reads None for every parameter that may be null, whatever was written; vLLM looks at
    the text, and so does this.
    """
    kinds = all_types(schema)
    if text.lower() in ("null", "none", "nil"):
        return None
    for kind in _ORDER:
        if kind in kinds:
            try:
                return _as(kind, text)
            except (ValueError, OverflowError):
                continue
    try:
        return json.loads(text)
    except ValueError:
        return text


def _as(kind: str, text: str) -> Any:
    """Raises ValueError."""
    if kind == "string":
        return text
    if kind == "integer":
        return int(text)
    if kind == "number":
        value = float(text)
        return int(value) if value == int(value) else value
    if kind == "boolean":
        word = text.lower().strip()
        if word in ("true", "1", "yes", "on", "false", "0", "no", "off"):
            return word in ("true", "1", "yes", "on")
        raise ValueError(text)
    return json.loads(text)


def _number(text: str) -> Any:
    try:
        return float(text) if "." in text or "e" in text.lower() else int(text)
    except ValueError:
        return text


def literal(text: str) -> Any:
    """A Python literal, or the text."""
    try:
        value = ast.literal_eval(text)
        json.dumps(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return value
