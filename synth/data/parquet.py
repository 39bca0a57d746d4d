"""Records as Parquet (extra `parquet`): the same keys as the JSON lines, as columns.

Messages, segments and token lists are Arrow lists and structs; what has no fixed shape (tools,
content blocks with any input, whole trees) is JSON text, as datasets of that kind hold it. Rows are
written in groups of a thousand, each read back and compared with its records before it counts.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from nexau.definitions.values import DefinitionError

_GROUP = 1000

_text = pa.string()
_ids = pa.list_(pa.int64())
_floats = pa.list_(pa.float64())
_call = pa.struct(
    [
        ("type", _text),
        ("id", _text),
        ("function", pa.struct([("name", _text), ("arguments", _text)])),
    ]
)
_message = pa.struct(
    [
        ("role", _text),
        ("content", _text),
        ("reasoning_content", _text),
        ("tool_calls", pa.list_(_call)),
        ("tool_call_id", _text),
        ("weight", pa.int64()),
    ]
)
_HEAD: list[tuple[str, pa.DataType]] = [
    ("id", _text),
    ("lineage", _text),
    ("reward", pa.float64()),
]
_SEGMENTS = [
    ("segments", pa.list_(pa.struct([("label", pa.bool_()), ("text", _text)]))),
    ("tools", _text),
    *_HEAD,
]
_SCHEMAS: dict[str, list[tuple[str, pa.DataType]]] = {
    "openai": [("messages", pa.list_(_message)), ("tools", _text), *_HEAD],
    "anthropic": [
        ("system", _text),
        ("messages", _text),
        ("tools", _text),
        ("loss_mask", _ids),
        *_HEAD,
    ],
    "sharegpt": [
        (
            "conversations",
            pa.list_(pa.struct([("from", _text), ("value", _text), ("loss", pa.bool_())])),
        ),
        ("system", _text),
        ("tools", _text),
        *_HEAD,
    ],
    "verl": [
        ("prompt_ids", _ids),
        ("response_ids", _ids),
        ("response_mask", _ids),
        ("response_logprobs", _floats),
        ("reward_score", pa.float64()),
        ("num_turns", pa.int64()),
        ("id", _text),
        ("agent", _text),
        ("stop", _text),
        ("group", _text),
        ("lineage", _text),
    ],
    "prime-rl": [
        ("token_ids", _ids),
        ("mask", pa.list_(pa.bool_())),
        ("logprobs", _floats),
        ("env_name", _text),
        ("prompt_length", pa.int64()),
        ("turns", pa.int64()),
        ("reward", pa.float64()),
        ("id", _text),
        ("agent", _text),
        ("stop", _text),
        ("lineage", _text),
    ],
}
_WHOLE = {"atif", "ng_trajectory", "verifiers", "early-experience", "skyrl", "atropos"}
"""One column of JSON text, and what one selects rows by."""


def schema_of(name: str) -> pa.Schema:
    if name in _WHOLE:
        return pa.schema([("record", _text)])
    return pa.schema(_SCHEMAS.get(name, _SEGMENTS))


def write_parquet(file: Path, name: str, records: Iterable[bytes]) -> int:
    """Rows written. Raises `DefinitionError` where rows do not come back equal."""
    schema = schema_of(name)
    rows = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(records):
            made = [row_of(record, name, schema) for record in group]
            table = pa.Table.from_pylist(made, schema=schema)
            back = [_without_nulls(row) for row in table.to_pylist()]
            if back != [_without_nulls(row) for row in made]:
                raise DefinitionError(f"{file}: rows of {name} do not come back equal")
            writer.write_table(table)
            rows += len(made)
    return rows


def row_of(record: bytes, name: str, schema: pa.Schema) -> dict[str, Any]:
    if name in _WHOLE:
        return {"record": record.decode()}
    row: dict[str, Any] = msgspec.json.decode(record)
    for field in schema:
        value = row.get(field.name)
        if field.type == _text and value is not None and not isinstance(value, str):
            row[field.name] = msgspec.json.encode(value).decode()
    return row


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def _groups(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    rows = iter(records)
    while group := list(islice(rows, _GROUP)):
        yield group
