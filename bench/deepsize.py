"""Bytes that values hold, through msgspec Structs, which the garbage collector does not see."""

import sys
from collections.abc import Iterable
from typing import Any

from msgspec import Struct


def held(values: Iterable[Any], seen: set[int] | None = None) -> int:
    """Bytes of the values and of all below them, each object once; `seen` are those counted before.

    Interned and small things that everybody shares count too, once in all.
    """
    seen = set() if seen is None else seen
    total, left = 0, list(values)
    while left:
        value = left.pop()
        if value is None or isinstance(value, bool | type) or id(value) in seen:
            continue
        seen.add(id(value))
        total += sys.getsizeof(value)
        if isinstance(value, Struct):
            left += [getattr(value, name) for name in value.__struct_fields__]
        elif isinstance(value, dict):
            left += [*value, *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            left += value
    return total
