"""World files written from plain values, as a person would write them.

Written directly: PyYAML takes ten times as long as the rest of making a world.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

WIDTH = 96
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_ ./()-]*[A-Za-z0-9_./()-]|[A-Za-z]")
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
"""What JSON leaves as it is, and YAML forbids or takes for the end of a line."""
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def world_yaml(value: Mapping[str, Any], comment: str = "") -> bytes:
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    for key, item in value.items():
        if key in {"entities", "tools"}:
            lines.append("")
        lines += _entry(scalar(key), item, "")
    return ("\n".join(lines) + "\n").encode()


def _entry(head: str, item: Any, indent: str) -> Iterator[str]:
    """`head: item` on one line where that is short enough, and is no part with parts."""
    if isinstance(item, dict | list) and item:
        short = flow(item) if _flat(item, 3 if indent else 0) else ""
        if short and len(indent) + len(head) + len(short) + 2 <= WIDTH:
            yield f"{indent}{head}: {short}"
            return
        yield f"{indent}{head}:"
        yield from _block(item, indent + "  ")
        return
    yield f"{indent}{head}: {flow(item)}"


def _block(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _entry(scalar(key), item, indent)
        return
    for item in value:
        short = flow(item) if _flat(item, 3) else ""
        if not isinstance(item, dict | list) or (short and len(indent) + len(short) + 2 <= WIDTH):
            yield f"{indent}- {short or flow(item)}"
            continue
        first, *rest = _block(item, indent + "  ")
        yield f"{indent}- {first.lstrip()}"
        yield from rest


def _flat(value: Any, depth: int) -> bool:
    """Whether a value has at most so many levels."""
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(_flat(item, depth - 1) for item in items)
    return True


def flow(value: Any) -> str:
    """On one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    return scalar(value)


def scalar(value: Any) -> str:
    """Texts that mean something else, or nothing, to YAML stand in quotes."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    text = msgspec.json.encode(value).decode()
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
