"""A few records: a table for a person, JSON lines for a program."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from rich.table import Table

from nexau.cli.exits import emit
from nexau.cli.screen import console, plain, watched


def show(records: Iterable[Mapping[str, Any]], *, columns: tuple[str, ...] = ()) -> None:
    """`columns` are those of the table, all of them if empty; the lines hold every key."""
    if not watched():
        for record in records:
            emit(msgspec.json.encode(record).decode())
        return
    records = list(records)
    if not records:
        console().print("none")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns or records[0]:
        table.add_column(name, overflow="fold")
    for record in records:
        table.add_row(*(plain(str(record[name])) for name in columns or record))
    console().print(table)
