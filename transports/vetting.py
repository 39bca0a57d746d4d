"""What a server lists, looked at before anybody sees it: caps, names, and pins.

A tool that is not fit is left out, with the reason. A listing that is not what was approved, or
that is too large, is refused whole.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping

import msgspec
from mcp_types import Tool as WireTool

from nexau.transports.caps import Caps
from nexau.transports.visible import visible

MAX_NAME = 128
"""Characters (MCP specification, "Tool Names")."""
_PLAIN = re.compile(r"[A-Za-z0-9_./:-]{1,128}")
_SHOWN = 80


class ListingError(Exception):
    """A listing that cannot be used."""


class Vetting:
    """Takes the tools of one listing, page by page; `kept` and `refused` grow."""

    def __init__(self, caps: Caps, pins: Mapping[str, str] | None = None) -> None:
        self.kept: list[WireTool] = []
        self.refused: dict[str, str] = {}
        """Why, by name."""
        self._caps = caps
        self._pins = pins
        self._seen: set[str] = set()
        self._count = 0
        self._bytes = 0

    def take(self, tools: Iterable[WireTool]) -> None:
        """Raises `ListingError` for more than is put up with, and for what is not as pinned."""
        for tool in tools:
            self._count += 1
            self._bytes += _size(tool)
            if self._count > self._caps.tools:
                raise ListingError(f"it lists more than {self._caps.tools:,} tools")
            if self._bytes > self._caps.listing_bytes:
                raise ListingError(f"its list is longer than {self._caps.listing_bytes:,} bytes")
            reason = self._fault(tool)
            if reason is None:
                self._seen.add(tool.name)
                self.kept.append(tool)
            elif len(self.refused) < self._caps.tools:
                self.refused[shown(tool.name)] = reason

    def _fault(self, tool: WireTool) -> str | None:
        caps = self._caps
        fault = name_fault(tool.name, any_names=caps.any_names)
        if fault is not None:
            return fault
        if tool.name in self._seen:
            return "the server lists two tools of that name"
        if len((tool.description or "").encode("utf-8", "replace")) > caps.description_bytes:
            return f"its description has more than {caps.description_bytes:,} bytes"
        for schema in (tool.input_schema, tool.output_schema or {}):
            if len(msgspec.json.encode(schema)) > caps.schema_bytes:
                return f"a schema of it has more than {caps.schema_bytes:,} bytes"
        return None if self._pins is None else self._pinned(tool, self._pins)

    def _pinned(self, tool: WireTool, pins: Mapping[str, str]) -> str | None:
        approved = pins.get(tool.name)
        if approved is None:
            return "it is not pinned"
        if approved != digest(tool):
            raise ListingError(f"the tool {tool.name!r} is not as it was approved (pins)")
        return None


def digest(tool: WireTool) -> str:
    """Of all that a model or this program reads of a tool: `sha256:` and hexadecimal digits."""
    said = tool.model_dump(by_alias=True, mode="json", exclude_none=True, exclude={"meta", "icons"})
    # Member order is no part of a JSON object's meaning.
    encoded = msgspec.json.encode(said, order="sorted")
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def name_fault(name: str, *, any_names: bool = False) -> str | None:
    """Why a tool may not have this name."""
    if _PLAIN.fullmatch(name):
        return None
    if not name:
        return "its name is empty"
    if len(name) > MAX_NAME:
        return f"its name has more than {MAX_NAME} characters"
    if visible(name) != name or not name.isprintable() or "\u200c" in name or "\u200d" in name:
        return "its name has characters that cannot be seen"
    if any(character.isspace() for character in name):
        return "its name has a space"
    if not any_names:
        return "its name has characters other than A-Z a-z 0-9 _ - . / :"
    if unicodedata.normalize("NFKC", name) != name:
        return "its name has characters that stand for others"
    return None


def shown(name: str) -> str:
    """A name that may be anything, for a message."""
    text = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in visible(name)
    )
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "8": "b", "2": "z"})
_SEPARATORS = re.compile(r"[_.\-/:]")


def skeleton(name: str) -> str:
    """Equal for names that a reader may take for each other: case, separators, letters alike.

    After Unicode TR 39, section 4, for the characters that names may have.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return _SEPARATORS.sub("", folded).translate(_ALIKE).replace("rn", "m").replace("vv", "w")


def _size(tool: WireTool) -> int:
    schemas = msgspec.json.encode((tool.input_schema, tool.output_schema))
    return len(tool.name) + len(tool.description or "") + len(schemas)
