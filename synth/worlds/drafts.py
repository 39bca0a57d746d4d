"""Candidates: worlds by number, made and tried, whether they will do or not."""

import msgspec
from msgspec import Struct

from nexau.synth.lineage import bytes_id, content_id
from nexau.synth.worlds.compiled import World
from nexau.synth.worlds.compose import compose
from nexau.synth.worlds.emit import world_yaml
from nexau.synth.worlds.fingerprint import structure
from nexau.synth.worlds.outline import Form
from nexau.synth.worlds.reader import world_of_value
from nexau.synth.worlds.state import Template
from nexau.synth.worlds.trial import FEW_TRIES, lost_rows, try_tools

BUILT_IN = "grammar"


class Request(Struct, frozen=True):
    """All that candidates of the built-in generator depend on."""

    specification: str
    seed: int


class Record(Struct, frozen=True):
    """A line of `index.jsonl`: one accepted world."""

    index: int
    """Its number among the candidates."""
    name: str
    file: str
    id: str
    """Of its bytes, for lineage."""
    structure: str
    """The hash of its structure."""
    domains: tuple[str, ...]
    entities: int
    tools: int
    writes: int
    rules: int
    writer: str
    """grammar, or the model."""
    parents: tuple[str, ...]
    """Of its lineage: the specification."""
    seed: int


class Draft(Struct, frozen=True):
    """A candidate. Without `record` it is no world at all."""

    index: int
    yaml: bytes
    reasons: tuple[str, ...]
    """Why it will not do."""
    record: Record | None = None


def draft(request: Request, index: int) -> Draft:
    """The candidate of a number, by the built-in generator."""
    made = compose(request.specification, request.seed, index)
    return examine(request, index, made, BUILT_IN)


def examine(request: Request, index: int, made: Form, writer: str) -> Draft:
    """A world as a plain value, checked, tried and written out."""
    comment = f"Made by nexau synth worlds ({writer}), seed {request.seed}, candidate {index}."
    data = world_yaml(made, comment)
    world, problems = world_of_value(made)
    if world is None or problems:
        return Draft(index, data, tuple(f"{each.path}: {each.message}" for each in problems[:20]))
    template = Template(world)
    try:
        reasons = lost_rows(template) + try_tools(template, FEW_TRIES)
    finally:
        template.close()
    return Draft(index, data, tuple(reasons), _record(request, index, world, data, writer))


def _record(request: Request, index: int, world: World, data: bytes, writer: str) -> Record:
    tools = list(world.tools.values())
    return Record(
        index,
        world.name,
        f"worlds/{world.name}.yaml",
        bytes_id("world", data),
        structure(world),
        tuple(world.form.tags),
        len(world.entities),
        len(tools),
        sum(not tool.read_only for tool in tools),
        sum(len(tool.body.rule_steps) for tool in tools),
        writer,
        (content_id("specification", request.specification),),
        request.seed,
    )


def drafts_of(request: Request, first: int, end: int) -> bytes:
    """Candidates as MessagePack, as they cross from a worker."""
    return msgspec.msgpack.encode([draft(request, index) for index in range(first, end)])
