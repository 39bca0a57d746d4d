"""Names and literals as they stand in SQL."""

from functools import lru_cache
from typing import Any


@lru_cache(maxsize=4096)
def quoted(name: str) -> str:
    """An identifier. The checker admits lower-case words only; others are compiled too, to find
    what else is wrong."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """For a table's definition, which takes no parameters: texts in quotes, quotes doubled."""
    if isinstance(value, bool):
        return str(int(value))
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
