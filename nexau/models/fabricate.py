"""Calls that a plan does not hold: others that are possible here, and the same ones done wrong.

Values are taken from what the conversation has shown, so that an alternative call is grounded as
an honest one would be.
"""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from nexau.models.base import AssistantMessage, Message, ToolCall, ToolMessage, text_of
from nexau.transports.protocol import ToolSpec

_ID_KEYS = ("id", "code", "number", "key", "name")
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_WRONG_WORD = "unknown"


def alternative(
    tools: Sequence[ToolSpec], messages: Sequence[Message], chance: Random
) -> tuple[str, dict[str, Any]] | None:
    """A reading call that could be made here and was not; None where nothing can be grounded."""
    seen = Seen(messages)
    made = {
        (call.name, msgspec.json.encode(call.arguments, order="sorted"))
        for message in messages
        if isinstance(message, AssistantMessage)
        for call in message.calls
    }
    readers = [tool for tool in tools if reads(tool)]
    chance.shuffle(readers)
    for tool in readers:
        arguments = _fill(tool.parameters, seen, chance)
        if arguments is None:
            continue
        if (tool.name, msgspec.json.encode(arguments, order="sorted")) not in made:
            return tool.name, arguments
    return None


def slipped(call: ToolCall, schema: Mapping[str, Any], chance: Random) -> dict[str, Any] | None:
    """The arguments of `call` with one mistake that a server should notice; None without any."""
    arguments = dict(call.arguments or {})
    if not arguments:
        return None
    texts = [name for name, value in arguments.items() if isinstance(value, str) and value]
    likely = [name for name in texts if any(mark.isdigit() for mark in arguments[name])] or texts
    if likely and chance.random() < 0.8:
        name = chance.choice(likely)
        arguments[name] = _misspelt(arguments[name], chance)
        return arguments
    required = [name for name in schema.get("required", ()) if name in arguments]
    name = chance.choice(required or list(arguments))
    del arguments[name]
    return arguments


def reads(tool: ToolSpec) -> bool:
    """Whether the server says that a tool changes nothing."""
    return tool.annotations.get("readOnlyHint") is True


class Seen:
    """Leaf values of results and arguments so far, by the name they stood under."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._by_name: dict[str, list[Any]] = {}
        for message in messages:
            if isinstance(message, ToolMessage) and not message.is_error:
                for name, value in leaves(_value(message)):
                    self._by_name.setdefault(name, []).append(value)
            elif isinstance(message, AssistantMessage):
                for call in message.calls:
                    for name, value in leaves(call.arguments or {}):
                        self._by_name.setdefault(name, []).append(value)

    def values(self, name: str) -> list[Any]:
        return self._by_name.get(name, [])


def leaves(value: Any, name: str = "", parent: str = "") -> Iterator[tuple[str, Any]]:
    """Each scalar under its key, and an `id` also under that of its row, as `order_id`."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, str(key), name or parent)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, "", name or parent)
    elif value is not None and name:
        yield name, value
        if parent and name in _ID_KEYS:
            yield f"{_singular(parent)}_{name}", value


def _value(message: ToolMessage) -> Any:
    if message.structured is not None:
        return message.structured
    try:
        return msgspec.json.decode(text_of(message.content))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _fill(schema: Mapping[str, Any], seen: Seen, chance: Random) -> dict[str, Any] | None:
    """Arguments for every required parameter; None where one cannot be grounded."""
    properties = schema.get("properties", {})
    arguments: dict[str, Any] = {}
    for name in schema.get("required", ()):
        part = properties.get(name)
        found = _choose(name, part, seen, chance) if isinstance(part, dict) else None
        if found is None:
            return None
        arguments[name] = found
    return arguments


def _choose(name: str, schema: Mapping[str, Any], seen: Seen, chance: Random) -> Any:
    for key in ("enum", "examples"):
        if schema.get(key):
            return chance.choice(schema[key])
    if "const" in schema:
        return schema["const"]
    kind = _KINDS.get(str(schema.get("type")), ())
    fitting = [value for value in seen.values(name) if isinstance(value, kind)]
    if fitting:
        return chance.choice(fitting)
    if schema.get("type") == "boolean":
        return chance.random() < 0.5
    return schema.get("default")


def _misspelt(text: str, chance: Random) -> str:
    """Two neighbours swapped, or the last mark lost; never the same text."""
    places = [i for i in range(len(text) - 1) if text[i] != text[i + 1]]
    if places and chance.random() < 0.7:
        at = chance.choice(places)
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:-1] or _WRONG_WORD
