"""Arguments of calls to the values that a body's statements are bound to."""

from collections.abc import Mapping
from typing import Any

from nexau.files.nearest import hint
from nexau.files.problems import clip
from nexau.synth.worlds.compiled import Bindings, Body
from nexau.synth.worlds.kinds import Kind, is_date, is_datetime
from nexau.synth.worlds.refusals import Refusal
from nexau.synth.worlds.sql import SEPARATOR


def bind(body: Body, arguments: Mapping[str, Any]) -> Bindings:
    """Of arguments that the body's schema admits. Raises `Refusal` for what no schema can tell."""
    bindings: Bindings = {}
    for name, parameter in body.parameters.items():
        value = arguments.get(name, parameter.default)
        kind = parameter.kind
        if kind.name in {"date", "datetime"} and value is not None:
            good = is_date if kind.name == "date" else is_datetime
            for each in value if kind.many else (value,):
                if not good(each):
                    raise Refusal("invalid_arguments", f"{name}: {each!r} is not a {kind.name}")
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise Refusal("invalid_arguments", f"{name}: the number does not fit into 64 bits")
        elif isinstance(value, str) and "\0" in value:
            raise Refusal("invalid_arguments", f"{name}: a text cannot hold a null character")
        if kind.many and value is not None:
            value = _joined(name, value, kind)
        bindings[f"p_{name}"] = value
    return bindings


def _joined(name: str, items: list[Any], kind: Kind) -> str:
    """A list as one text, as `in` looks through it."""
    texts = [str(float(item) if kind.name == "number" else item) for item in items]
    if any(SEPARATOR in text or "\0" in text for text in texts):
        raise Refusal("invalid_arguments", f"{name}: a text cannot hold control characters")
    return f"{SEPARATOR}{SEPARATOR.join(texts)}{SEPARATOR}"


def converted(body: Body, arguments: Mapping[str, str]) -> dict[str, Any]:
    """Arguments that come as texts, as those of URIs and prompts do. Raises `Refusal`."""
    made: dict[str, Any] = {}
    for name, text in arguments.items():
        parameter = body.parameters.get(name)
        if parameter is None:
            mend = hint(name, body.parameters, "there are")
            raise Refusal("invalid_arguments", f"unknown argument {clip(name)}{mend}")
        try:
            made[name] = _from_text(text, parameter.kind.name)
        except ValueError:
            message = f"{name}: expected {parameter.kind.name}, got {clip(text)}"
            raise Refusal("invalid_arguments", message) from None
        values = parameter.kind.values
        if values and text not in values:
            message = f"{name}: expected one of {', '.join(values)}, got {clip(text)}"
            raise Refusal("invalid_arguments", message)
    return made


def _from_text(text: str, kind: str) -> Any:
    """Raises ValueError."""
    if kind == "integer":
        return int(text)
    if kind == "number":
        return float(text)
    if kind == "boolean":
        return ("false", "true").index(text.lower()) == 1
    return text
