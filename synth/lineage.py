"""Where an artefact comes from: content hashes, and records that name an artefact's parents.

specification -> world -> task -> rollout -> export. An id is a kind and the first 128 bits of a
SHA-256: of the canonical JSON of a value, or of the bytes of a line or file. What is equal has the
same id wherever and whenever it was made, so records hold no time and no path of a machine.

Records lie as JSON lines beside what they describe (`lineage.jsonl`, `NAME.lineage.jsonl`), or are
carried by it: `metadata.lineage` of a task, which its trajectories carry on. A trajectory's record
follows from its line. `nexau.synth.ancestry` looks them up.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

RECORDS = "lineage.jsonl"
"""Name, or ending after a dot, of files that hold records."""
KEY = "lineage"
"""Of the metadata of a task."""
_DIGITS = 32
_BLOCK = 1 << 20

_canonical = msgspec.json.Encoder(order="sorted")
_plain = msgspec.json.Encoder()


class Lineage(Struct, frozen=True, tag_field="type", tag="lineage", omit_defaults=True):
    """How one artefact was made."""

    id: str
    """`kind:` and 32 hexadecimal digits."""
    kind: str
    """specification, world, agent, task, rollout, export, ... in the singular."""
    parents: tuple[str, ...] = ()
    """Ids of what it was made from."""
    made: dict[str, Any] = {}
    """`by` (the command), `nexau` (its version), seed and options that shape the result."""
    name: str = ""
    """As people call it: a world's name, a task's or rollout's id, a file."""


def canonical(value: Any) -> bytes:
    """JSON of which there is one for a value: keys sorted by code point, no spaces, UTF-8.

    Numbers are as msgspec writes them: 1 and 1.0 differ, integers of any size are exact, and what
    is not finite is null.
    """
    return _canonical.encode(value)


def content_id(kind: str, value: Any) -> str:
    """The id of a value of JSON types or Structs."""
    return bytes_id(kind, _canonical.encode(value))


def bytes_id(kind: str, data: bytes) -> str:
    """The id of a line or a document as it is written, without the newlines at its end."""
    return f"{kind}:{hashlib.sha256(data.rstrip()).hexdigest()[:_DIGITS]}"


def file_id(kind: str, file: Path) -> str:
    """The id of a whole file, read in blocks. Raises OSError."""
    digest = hashlib.sha256()
    with file.open("rb") as blocks:
        while block := blocks.read(_BLOCK):
            digest.update(block)
    return f"{kind}:{digest.hexdigest()[:_DIGITS]}"


def made_by(command: str, **options: Any) -> dict[str, Any]:
    """`Lineage.made`: the command, nexau's version, and the options that are not None."""
    kept = {name: value for name, value in options.items() if value is not None}
    return {"by": command, "nexau": _version(), **kept}


@cache
def _version() -> str:
    """Which takes a millisecond to find."""
    return version("nexau")


def record(
    kind: str,
    value: Any,
    parents: Iterable[str] = (),
    made: Mapping[str, Any] | None = None,
    *,
    name: str = "",
) -> Lineage:
    """The record of a value, under its content id."""
    return Lineage(content_id(kind, value), kind, tuple(parents), dict(made or {}), name)


def stamp(metadata: Mapping[str, Any], lineage: Lineage) -> dict[str, Any]:
    """The metadata of a task, with its record carried in it."""
    return {**metadata, KEY: msgspec.to_builtins(lineage)}


def carried(metadata: Mapping[str, Any]) -> Lineage | None:
    """The record that metadata carries, if it does."""
    held = metadata.get(KEY)
    if not isinstance(held, dict):
        return None
    try:
        return msgspec.convert({"type": "lineage", **held}, Lineage)
    except msgspec.ValidationError:
        return None


def append(file: Path, records: Iterable[Lineage]) -> None:
    """Adds lines to a file of records. Raises OSError."""
    with file.open("ab") as lines:
        lines.writelines(_plain.encode(each) + b"\n" for each in records)
