"""YAML and JSON text to values that know their line: bounded, and without surprises.

PyYAML scans and parses; its composer and constructor are not used, because they recurse without
bound, expand aliases without bound, let a second key win over the first and, by YAML 1.1, read
`no` as false and `1:30` as 90. Scalars follow the core schema of YAML 1.2.2, section 10.3.2.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from msgspec import Struct

from nexau.problems import Trail, clip, cut

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


Report = Callable[[int, int, str], None]
"""Line, column, message."""


def parse(data: bytes, report: Report, *, json: bool = False) -> Node:
    """The only document of a YAML or JSON file.

    What does not stop the reading (duplicate keys, odd scalars) goes to `report`. Raises
    `Unreadable`.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable(f"the file has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
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
        node = self._node(next(self._events), 0)
        next(self._events)  # the end of the document
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _at(event, "a second document; a file holds one")
        return node

    def _node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise _at(event, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._count(event, 1)
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            node = self._mapping(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _count(self, event: Any, values: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise _at(event, f"more than {MAX_VALUES:,} values, aliases included")

    def _alias(self, event: yaml.AliasEvent) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise _at(event, f"no anchor &{event.anchor} stands complete before this alias")
        self._count(event, node.size)
        return node

    def _sequence(self, event: Any, depth: int) -> Node:
        self._tag(event, "tag:yaml.org,2002:seq")
        items: list[Node] = []
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(inner, depth + 1))
        return Node(items, *_place(event), size=1 + sum(item.size for item in items))

    def _mapping(self, event: Any, depth: int) -> Node:
        self._tag(event, "tag:yaml.org,2002:map")
        items: dict[str, Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        merged: list[Node] = []
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key = self._key(inner, depth)
            value = self._node(next(self._events), depth + 1)
            if key is None:
                continue
            if key == "<<" and getattr(inner, "style", None) is None:
                merged += value.value if isinstance(value.value, list) else [value]
            elif key in items:
                first = keys[key][0]
                self._report(*_place(inner), f"the key {clip(key)} stands twice: see line {first}")
            else:
                items[key] = value
                keys[key] = _place(inner)
        for source in merged:
            self._merge(source, items, keys, event)
        size = 1 + sum(item.size for item in items.values())
        return Node(items, *_place(event), size=size, keys=keys)

    def _merge(
        self, source: Node, items: dict[str, Node], keys: dict[str, tuple[int, int]], event: Any
    ) -> None:
        if not isinstance(source.value, dict):
            self._report(source.line, source.column, "expected a mapping to merge with `<<`")
            return
        for key, value in source.value.items():
            if key not in items:
                self._count(event, value.size)
                items[key] = value
                keys[key] = source.keys[key]

    def _key(self, event: Any, depth: int) -> str | None:
        node = self._node(event, depth + 1)
        if isinstance(node.value, str):
            return node.value
        self._report(*_place(event), "a key must be text; put it in quotes")
        return None

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        quoted = event.style is not None or event.tag in {"!", "tag:yaml.org,2002:str"}
        if not quoted:
            self._tag(event, None)
        try:
            value = _unpaired(event.value) if quoted else _resolve(event.value)
        except ValueError as error:
            self._report(*_place(event), str(error))
            return Node(None, *_place(event), broken=True)
        return Node(value, *_place(event))

    def _tag(self, event: Any, plain: str | None) -> None:
        if event.tag not in (None, "!", plain):
            self._report(*_place(event), f"the tag {clip(event.tag)} is not allowed")


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


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _at(event: Any, message: str) -> Unreadable:
    return Unreadable(message, *_place(event))
