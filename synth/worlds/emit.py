"""World files written from plain values, as a person would write them.

Written directly: PyYAML takes ten times as long as the rest of making a world.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

WIDTH = 96
LEVELS = 3
"""Of what stands on one line."""
_PARTS = (dict, list)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_ ./()-]*[A-Za-z0-9_./()-]|[A-Za-z]")
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
"""What JSON leaves as it is, and YAML forbids or takes for the end of a line."""
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def world_yaml(value: Mapping[str, Any], comment: str = "") -> bytes:
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    writer = _Writer(lines)
    for key, item in value.items():
        if key in {"entities", "tools"}:
            lines.append("")
        writer.entry(key, item, "")
    return ("\n".join(lines) + "\n").encode()


class _Writer:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._known: dict[int, tuple[str, int] | None] = {}
        """What `_short` gives, by the `id` of a value, which lives as long as the whole does."""

    def entry(self, key: str, item: Any, indent: str) -> None:
        """`key: item` on one line where that is short enough, and is no part with parts."""
        head = f"{indent}{scalar(key)}:"
        if not isinstance(item, _PARTS) or not item:
            self._lines.append(f"{head} {flow(item)}")
            return
        short = self._short(item) if indent else None
        if short is not None and len(head) + 1 + len(short[0]) <= WIDTH:
            self._lines.append(f"{head} {short[0]}")
            return
        self._lines.append(head)
        self._block(item, indent + "  ")

    def _block(self, value: Any, indent: str) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                self.entry(key, item, indent)
            return
        for item in value:
            if not isinstance(item, _PARTS):
                self._lines.append(f"{indent}- {flow(item)}")
                continue
            short = self._short(item)
            if short is not None and len(indent) + 2 + len(short[0]) <= WIDTH:
                self._lines.append(f"{indent}- {short[0]}")
                continue
            first = len(self._lines)
            self._block(item, indent + "  ")
            self._lines[first] = f"{indent}- {self._lines[first].lstrip()}"

    def _short(self, value: Any) -> tuple[str, int] | None:
        """`flow(value)` and its levels; None where they are more than `LEVELS`, or it is wider than
        a line.
        """
        place = id(value)
        if place not in self._known:
            self._known[place] = self._shortened(value)
        return self._known[place]

    def _shortened(self, value: Any) -> tuple[str, int] | None:
        parts: list[str] = []
        deepest, room = 0, WIDTH
        named = isinstance(value, dict)
        for each in value:
            item = value[each] if named else each
            if isinstance(item, _PARTS):
                short = self._short(item)
                if short is None:
                    return None
                text, levels = short
                deepest = max(deepest, levels)
            else:
                text = _text(item) if isinstance(item, str) else flow(item)
            part = f"{scalar(each)}: {text}" if named else text
            room -= len(part) + 2
            if room < 0:
                return None
            parts.append(part)
        inside = ", ".join(parts)
        whole = f"{{{inside}}}" if named else f"[{inside}]"
        return (whole, deepest + 1) if deepest < LEVELS else None


def flow(value: Any) -> str:
    """On one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    return scalar(value)


def scalar(value: Any) -> str:
    """Texts that mean something else, or nothing, to YAML stand in quotes."""
    return _text(value) if isinstance(value, str) else msgspec.json.encode(value).decode()


@lru_cache(maxsize=4096)
def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    text = msgspec.json.encode(value).decode()
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
