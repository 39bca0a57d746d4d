"""Looking lineage up: from an id to all that it was made from, through any number of files.

Files are read line by line, once for each generation, so a million records take no memory.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.files.paths import missing
from nexau.files.problems import display
from nexau.synth.lineage import Lineage, bytes_id, carried

ENDINGS = (".jsonl", ".ndjson")
_HEX = re.compile(r"^(?:[a-z][a-z0-9-]*:)?[0-9a-f]{6,32}$")
_MAX_GENERATIONS = 32


class Found(Struct, frozen=True):
    """A record, and the line that holds it."""

    lineage: Lineage
    file: str
    line: int
    """From 1."""


class Ancestry(Struct, frozen=True):
    """One artefact with what it comes from."""

    found: Found
    parents: tuple["Ancestry", ...] = ()
    missing: tuple[str, ...] = ()
    """Parents of which no file has a record."""
    repeated: bool = False
    """Its own parents are shown where it came first."""


class _Probe(Struct):
    """What tells one kind of line from another."""

    type: str = ""
    id: str = ""
    task: str = ""
    agent: Any = None
    seed: int = 0
    metadata: dict[str, Any] = {}
    lineage: Any = None
    """Of a record of an export: the rollout it was made from."""
    extra: Any = None


def trace(wanted: str, places: Iterable[Path]) -> Ancestry:
    """The ancestry of an id, a beginning of one (6 digits or more), or a name.

    Raises `DefinitionError` where there is none, or several.
    """
    files = list(_files(places))
    matches = _match(wanted, files)
    if not matches:
        shown = ", ".join(display(file) for file in files[:5]) or "no JSON lines"
        raise DefinitionError(
            f"{wanted}: no record of it in {len(files)} files ({shown}); an id is `kind:` and 32 "
            f"digits, of which 6 may do, or the name of a task or rollout"
        )
    if len(matches) > 1:
        several = "\n".join(f"  {each.lineage.id} {each.lineage.name}" for each in matches[:10])
        raise DefinitionError(f"{wanted} may be any of these; give one id:\n{several}")
    known = {matches[0].lineage.id: matches[0]}
    _climb(known, files)
    return _tree(matches[0], known, set())


def descendants(ancestor: str, places: Iterable[Path]) -> dict[str, int]:
    """How many records of each kind name `ancestor` among their parents, at any remove."""
    files = list(_files(places))
    below, counts = {ancestor}, dict[str, int]()
    grown = True
    while grown:
        grown = False
        for each in _records(files):
            lineage = each.lineage
            if lineage.id not in below and not below.isdisjoint(lineage.parents):
                below.add(lineage.id)
                counts[lineage.kind] = counts.get(lineage.kind, 0) + 1
                grown = True
    return counts


def _climb(known: dict[str, Found], files: list[Path]) -> None:
    """Adds generation after generation to `known`."""
    for _ in range(_MAX_GENERATIONS):
        named = {parent for each in known.values() for parent in each.lineage.parents}
        wanted = named - known.keys()
        if not wanted:
            return
        found = {
            each.lineage.id: each for each in _records(files, wanted) if each.lineage.id in wanted
        }
        if not found:
            return
        known |= found


def _tree(found: Found, known: dict[str, Found], shown: set[str]) -> Ancestry:
    if found.lineage.id in shown:
        return Ancestry(found, repeated=bool(found.lineage.parents))
    shown.add(found.lineage.id)
    parents = found.lineage.parents
    return Ancestry(
        found,
        tuple(_tree(known[parent], known, shown) for parent in parents if parent in known),
        tuple(parent for parent in parents if parent not in known),
    )


def _match(wanted: str, files: list[Path]) -> list[Found]:
    by_id = _HEX.match(wanted) is not None
    matches: dict[str, Found] = {}
    for each in _records(files, None if by_id else {wanted}):
        lineage = each.lineage
        if (
            lineage.id == wanted
            or lineage.name == wanted
            or (by_id and _begins(lineage.id, wanted))
        ):
            matches.setdefault(lineage.id, each)
            if len(matches) > 10:
                break
    exact = [each for each in matches.values() if each.lineage.id == wanted]
    return exact or list(matches.values())


def _begins(identity: str, wanted: str) -> bool:
    return identity.startswith(wanted) or identity.partition(":")[2].startswith(wanted)


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from sorted(file for file in place.rglob("*") if file.suffix in ENDINGS)
        elif place.is_file():
            yield place
        else:
            raise DefinitionError(missing(place))


def _records(files: list[Path], texts: set[str] | None = None) -> Iterator[Found]:
    """Every record of the files; given texts, only lines that may hold one of them are decoded.

    The id of a trajectory or of a record of an export is the hash of its line, which no line
    holds: those are all looked at when a rollout or an export is wanted.
    """
    hashed = texts is None or any(text.startswith(("rollout:", "export:")) for text in texts)
    needles = [text.encode() for text in texts or ()]
    probe = msgspec.json.Decoder(_Probe)
    whole = msgspec.json.Decoder(Lineage)
    for file in files:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not hashed and not any(needle in line for needle in needles):
                    continue
                try:
                    for lineage in _of(line, probe, whole):
                        yield Found(lineage, display(file), number)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # not a line of ours


def _of(
    line: bytes, probe: msgspec.json.Decoder[_Probe], whole: msgspec.json.Decoder[Lineage]
) -> Iterator[Lineage]:
    seen = probe.decode(line)
    if seen.type == "lineage":
        yield whole.decode(line)
        return
    held = carried(seen.metadata)
    if held is not None:
        yield held
    source = seen.lineage
    if source is None and isinstance(seen.extra, dict):
        source = seen.extra.get("lineage")  # ATIF
    if not seen.type and isinstance(source, str) and source.startswith("rollout:"):
        yield Lineage(bytes_id("export", line), "export", (source,), {"by": "nexau export"})
    if seen.type == "trajectory":
        yield of_trajectory(line, seen.id, held, agent=seen.agent, seed=seen.seed)


def of_trajectory(
    line: bytes, name: str, task: Lineage | None, *, agent: Any = None, seed: int = 0
) -> Lineage:
    """The record of a rollout: a trajectory's line, as written, names it."""
    made = {"by": "nexau rollout", "agent": agent, "seed": seed}
    parents = () if task is None else (task.id,)
    return Lineage(bytes_id("rollout", line), "rollout", parents, made, name)
