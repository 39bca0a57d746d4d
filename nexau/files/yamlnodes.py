"""YAML and JSON text to values that know their line: bounded, and without surprises.

PyYAML scans and parses; its composer and constructor are not used, because they recurse without
bound, expand aliases without bound, let a second key win over the first and, by YAML 1.1, read
`no` as false and `1:30` as 90. Scalars follow the core schema of YAML 1.2.2, section 10.3.2.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

import yaml
from msgspec import Struct

from nexau.files.problems import Trail, clip, cut

MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_VALUES = 50_000
"""In one file, each alias counted as what it stands for."""

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Node(Struct, frozen=True, eq=False):
    """A value and where it stands, lines and columns from 1."""

    value: "str | int | float | bool | list[Node] | dict[str, Node] | None"
    line: int
    column: int
    size: int = 1
    """Values in it, itself included."""
    depth: int = 0
    """Levels below it."""
    keys: dict[str, tuple[int, int]] = {}
    """Where each key of a mapping stands."""
    broken: bool = False
    """Reported already; whatever reads the tree says no more about it."""

    def at(self, trail: Trail) -> tuple[int, int]:
        """Line and column of what `trail` leads to, or of the deepest part that is there."""
        node, place = self, (self.line, self.column)
        for step in trail:
            if isinstance(step, int) and isinstance(node.value, list) and step < len(node.value):
                node = node.value[step]
                place = node.line, node.column
            elif isinstance(node.value, dict) and step in node.value:
                place = node.keys[str(step)]
                node = node.value[str(step)]
            else:
                break
        return place

    def plain(self) -> Any:
        """The value alone."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


class Unreadable(Exception):
    """The text cannot be read any further."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


Report = Callable[[Trail, str, tuple[int, int]], None]
"""Path, message, line and column."""


def parse(data: bytes, report: Report, *, json: bool = False) -> Node:
    """The only document of a YAML or JSON file.

    What does not stop the reading (duplicate keys, odd scalars) goes to `report`. Raises
    `Unreadable`.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable(f"the file has more than {MAX_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = error.start - before.rfind(b"\n")
        raise Unreadable("not valid UTF-8", before.count(b"\n") + 1, column) from None
    if json:
        # JSON allows tabs between tokens, YAML does not, and inside strings both forbid them.
        text = text.replace("\t", " ")
    try:
        return _Composer(yaml.parse(text, Loader=yaml.SafeLoader), report).document()
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character {chr(error.character)!a} is not allowed in YAML"
        raise Unreadable(message, line, 1) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # such as \\UFFFFFFFF, %YAML 1.x
        raise Unreadable(f"not valid YAML: {cut(str(error), 200)}") from None


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    message = ", ".join(part for part in (error.context, error.problem) if part)
    if mark is None:
        return Unreadable(f"not valid YAML: {message}")
    lines = text.splitlines()
    if mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]:
        message = "a tab; YAML is indented with spaces"
    return Unreadable(f"not valid YAML: {message}", mark.line + 1, mark.column + 1)


class _Composer:
    """Events of the parser to one tree of nodes."""

    def __init__(self, events: Iterator[Any], report: Report) -> None:
        self._events = events
        self._report = report
        self._anchors: dict[str, Node] = {}
        self._values = 0

    def document(self) -> Node:
        next(self._events)  # the start of the stream
        event = next(self._events)
        if not isinstance(event, yaml.DocumentStartEvent):
            raise Unreadable("the file is empty")
        node = self._node(next(self._events), ())
        next(self._events)  # the end of the document
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _at(event, "a second document; a file holds one")
        return node

    def _node(self, event: Any, trail: Trail) -> Node:
        self._fits(event, len(trail))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, trail)
        self._count(_place(event), 1)
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, trail)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, trail)
        else:
            node = self._mapping(event, trail)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _count(self, place: tuple[int, int], values: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise Unreadable(f"more than {MAX_VALUES:,} values, aliases included", *place)

    def _fits(self, event: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _at(event, f"nested deeper than {MAX_DEPTH} levels")

    def _alias(self, event: yaml.AliasEvent, trail: Trail) -> Node:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            raise _at(event, f"no anchor &{event.anchor} stands complete before this alias")
        self._fits(event, len(trail) + node.depth)
        self._count(_place(event), node.size)
        return node

    def _sequence(self, event: Any, trail: Trail) -> Node:
        self._tag(event, "tag:yaml.org,2002:seq", trail)
        items: list[Node] = []
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(inner, (*trail, len(items))))
        return Node(items, *_place(event), *_extent(items))

    def _mapping(self, event: Any, trail: Trail) -> Node:
        self._tag(event, "tag:yaml.org,2002:map", trail)
        items: dict[str, Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        merged: list[Node] = []
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key = self._key(inner, trail)
            value = self._node(next(self._events), (*trail, key or "?"))
            if key is None:
                continue
            if key == "<<" and getattr(inner, "style", None) is None:
                merged += value.value if isinstance(value.value, list) else [value]
            elif key in items:
                first = keys[key][0]
                message = f"the key {clip(key)} stands twice: see line {first}"
                self._report((*trail, key), message, _place(inner))
            else:
                items[key] = value
                keys[key] = _place(inner)
        for source in merged:
            self._merge(source, items, keys, trail)
        return Node(items, *_place(event), *_extent(items.values()), keys=keys)

    def _merge(
        self,
        source: Node,
        items: dict[str, Node],
        keys: dict[str, tuple[int, int]],
        trail: Trail,
    ) -> None:
        place = source.line, source.column
        if not isinstance(source.value, dict):
            self._report((*trail, "<<"), "expected a mapping to merge with `<<`", place)
            return
        for key, value in source.value.items():
            if key not in items:
                self._count(place, value.size)
                items[key] = value
                keys[key] = source.keys[key]

    def _key(self, event: Any, trail: Trail) -> str | None:
        node = self._node(event, (*trail, "?"))
        if isinstance(node.value, str):
            return node.value
        if not node.broken:
            self._report(trail, "a key must be text; put it in quotes", _place(event))
        return None

    def _scalar(self, event: yaml.ScalarEvent, trail: Trail) -> Node:
        quoted = event.style is not None or event.tag in {"!", "tag:yaml.org,2002:str"}
        if not quoted:
            self._tag(event, None, trail)
        try:
            value = _unpaired(event.value) if quoted else _resolve(event.value)
        except ValueError as error:
            self._report(trail, str(error), _place(event))
            return Node(None, *_place(event), broken=True)
        return Node(value, *_place(event))

    def _tag(self, event: Any, plain: str | None, trail: Trail) -> None:
        if event.tag not in (None, "!", plain):
            self._report(trail, f"the tag {clip(event.tag)} is not allowed", _place(event))


def _resolve(text: str) -> str | int | float | bool | None:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a finite number")
    if _INTEGER.fullmatch(text):
        number = int(text, 0) if text[:2] in {"0o", "0x"} and len(text) < 40 else _decimal(text)
        if not -(2**63) <= number < 2**63:
            raise ValueError("the number does not fit into 64 bits")
        return number
    if _FLOAT.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise ValueError("the number is too large")
        return value
    return _unpaired(text)


def _decimal(text: str) -> int:
    if len(text) > 40:  # int() refuses thousands of digits in words of its own
        raise ValueError("the number does not fit into 64 bits")
    return int(text)


def _unpaired(text: str) -> str:
    """JSON writes characters beyond the basic plane as two escapes, which YAML keeps apart."""
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ValueError("half of a surrogate pair") from None
    return text


def _extent(items: Collection[Node]) -> tuple[int, int]:
    """Size and depth of what holds `items`."""
    size = 1 + sum(item.size for item in items)
    return size, 1 + max((item.depth for item in items), default=0)


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _at(event: Any, message: str) -> Unreadable:
    return Unreadable(message, *_place(event))
