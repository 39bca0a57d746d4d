"""Calls whose arguments stand in tags of their own, bare: how they go the quick way."""

import re
from abc import abstractmethod
from typing import Any, ClassVar

import msgspec

from nexau.models.base import ToolCall
from nexau.synth.data.formats.brisk import Brisk
from nexau.synth.data.formats.typed import bare_value, properties
from nexau.transports.protocol import ToolSpec

_encode = msgspec.json.Encoder().encode
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*").fullmatch


def same(read: Any, value: Any) -> bool:
    """Equal to the type and the order of keys."""
    return read is value or _encode(read) == _encode(value)


class Tagged(Brisk):
    hole: ClassVar[str]
    """What closes the arguments."""
    around: ClassVar[tuple[str, str, str]]
    """Before the name of an argument, between it and the value, after the value."""

    @abstractmethod
    def reread(self, text: str, known: dict[str, Any], key: str) -> Any:
        """The value that a reader takes from a text, given the schemas of the tool's arguments."""

    def apart(self, said: str) -> tuple[str, str]:
        opened, hole, closed = said.rpartition(self.hole)
        return opened, hole + closed

    def written(
        self, calls: list[ToolCall], tools: tuple[ToolSpec, ...]
    ) -> tuple[list[str], list[str]] | None:
        schemas = properties(tools)
        made: list[str] = []
        values: list[str] = []
        first, then, last = self.around
        for call in calls:
            known = schemas.get(call.name, {})
            text = ""
            if call.arguments is None:
                return None
            for key, value in call.arguments.items():
                shown = value if type(value) is str else bare_value(value)
                read = self.reread(shown, known, key)
                if not same(read, value) or (key not in known and not _KEY(key)):
                    return None
                values.append(shown)
                text += f"{first}{key}{then}{shown}{last}"
            made.append(text)
        return made, values
