"""How diverse a folder of generated hierarchies, or of worlds, is."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.files.problems import display
from nexau.synth.agents.catalog import read_catalog
from nexau.synth.agents.matching import Embedder
from nexau.synth.agents.novelty import told
from nexau.synth.agents.shapes import digest
from nexau.synth.agents.store import read_index
from nexau.synth.diversity import dense_kernel, kernel, vendi, vendi_of_samples
from nexau.synth.measures import (
    Interval,
    bootstrap,
    coverage,
    distinct_n,
    distinct_rate,
    evenness,
    histogram,
    mean,
    percentiles,
    refined,
    short,
)
from nexau.synth.similarity import NearDuplicates, Tfidf, grams, raw_words
from nexau.synth.streams import stream
from nexau.synth.worlds.compiled import World
from nexau.synth.worlds.graph import tool_graph
from nexau.synth.worlds.reader import load_world

SAMPLE = 200
"""Size at which Vendi scores can be compared."""
SAMPLES = 100
NEAR = 0.8


class Collected(Struct, frozen=True):
    """One kind of things, as far as they are measured."""

    kind: str
    texts: list[str]
    forms: dict[str, list[str]]
    """By what they are the form of."""
    tools: list[tuple[str, ...]]
    all_tools: int
    """Of the catalog; 0 where tools have nothing in common."""
    sizes: dict[str, list[int]]
    counts: dict[str, dict[str, int]]


def collect(folder: Path) -> Collected:
    """Raises `DefinitionError` for a folder with neither hierarchies nor worlds."""
    run = folder / "run.json"
    if run.is_file() and b'"nexau-agents/' in run.read_bytes():
        return _hierarchies(folder)
    worlds = [load_world(path) for path in _world_files(folder)]
    if not worlds:
        raise DefinitionError(
            f"{display(folder)} holds neither a run of nexau synth agents nor worlds"
        )
    return _worlds(worlds)


def _hierarchies(folder: Path) -> Collected:
    records = read_index(folder)
    if not records:
        raise DefinitionError(f"{display(folder)} holds no hierarchy yet")
    catalog = read_catalog(folder / "catalog.json")
    topologies: Counter[str] = Counter(record.topology for record in records)
    inner: Counter[str] = Counter()
    for record in records:
        inner.update(record.topologies)
    return Collected(
        "hierarchies",
        [told((folder / record.file).read_bytes()) for record in records],
        {
            "trees": [digest(record.tree) for record in records],
            "trees_with_roles": [record.shape for record in records],
            "trees_with_tools": [record.signature for record in records],
        },
        [record.tools for record in records],
        len(catalog.tools),
        {
            "agents": [record.agents for record in records],
            "depth": [record.depth for record in records],
            "tools": [len(record.tools) for record in records],
        },
        {
            "topology": dict(sorted(topologies.items())),
            "topologies_inside": dict(sorted(inner.items())),
        },
    )


def _world_files(folder: Path) -> Iterable[Path]:
    found = [*folder.glob("*.yaml"), *folder.glob("*/*.yaml")]
    for path in sorted(found):
        if "rejected" not in path.parts and b"entities:" in path.read_bytes():
            yield path


def _worlds(worlds: Sequence[World]) -> Collected:
    structures = [_structure(world) for world in worlds]
    return Collected(
        "worlds",
        [_world_text(world) for world in worlds],
        {
            "structures": structures,
            "entity_sets": [",".join(sorted(world.entities)) for world in worlds],
            "tool_sets": [",".join(sorted(world.tools)) for world in worlds],
        },
        [tuple(sorted(world.tools)) for world in worlds],
        0,
        {
            "tools": [len(world.tools) for world in worlds],
            "entities": [len(world.entities) for world in worlds],
            "edges": [len(tool_graph(world).edges) for world in worlds],
        },
        {},
    )


def _structure(world: World) -> str:
    """Of the tool graph and the entities it is about, without names."""
    graph = tool_graph(world)
    nodes = {tool.name: "writes" if tool.writes else "reads" for tool in graph.tools}
    nodes |= {f"entity {name}": f"entity {len(entity.shape.fields)}"
              for name, entity in world.entities.items()}  # fmt: skip
    edges = [(edge.source, edge.target) for edge in graph.edges]
    for tool in graph.tools:
        edges += [(tool.name, f"entity {name}") for name in tool.changes]
        edges += [(f"entity {name}", tool.name) for name in tool.asks]
    return refined(nodes, edges)


def _world_text(world: World) -> str:
    tools = [f"{tool.name}: {tool.description}" for tool in world.tools.values()]
    return "\n".join([world.name, world.description, *world.entities, *tools])


def measure(found: Collected, seed: int = 0, embedder: Embedder | None = None) -> dict[str, Any]:
    """Every figure, as JSON types; the same for the same seed. With an `embedder` the Vendi score
    over what it makes of the texts, too."""
    count = len(found.texts)
    made: dict[str, Any] = {"kind": found.kind, "count": count}
    for name, forms in found.forms.items():
        made[f"distinct_{name}"] = distinct_rate(forms, stream(seed, "stats", name))
    kernels = {"vendi": kernel(Tfidf(found.texts, grams).vectors)}
    if embedder is not None:
        kernels["vendi_embeddings"] = dense_kernel(embedder.embed(found.texts))
    sample = SAMPLE if count > SAMPLE else max(1, count // 2)
    for name, similarities in kernels.items():
        chance = stream(seed, "stats", name)
        scores = [1.0]
        if count > 1:
            scores = vendi_of_samples(similarities, sample, SAMPLES, chance)
        made[name] = short(vendi(similarities))
        made[f"{name}_of_{sample}"] = percentiles(mean(scores), scores)
    made["near_duplicates"] = _near_duplicates(found.texts)
    made["distinct_2"] = short(distinct_n([raw_words(text) for text in found.texts], 2))
    if found.all_tools:
        made |= _tools(found, seed)
    for name, values in found.sizes.items():
        numbers = [float(value) for value in values]
        made[f"mean_{name}"] = bootstrap(numbers, mean, stream(seed, "stats", "mean", name))
        made[f"{name}_histogram"] = histogram(values)
    return {**made, **found.counts}


def _near_duplicates(texts: Sequence[str]) -> dict[str, float]:
    """Texts that share at least `NEAR` of their word triples with an earlier one."""
    seen = NearDuplicates(NEAR)
    count = sum(seen.add(text) is not None for text in texts)
    return {"threshold": NEAR, "count": count, "share": short(count / len(texts))}


def _tools(found: Collected, seed: int) -> dict[str, Interval]:
    of = found.all_tools

    def covered(items: Sequence[tuple[str, ...]]) -> float:
        return coverage(items, of)

    def even(items: Sequence[tuple[str, ...]]) -> float:
        return evenness(items, of)

    return {
        "tool_coverage": bootstrap(found.tools, covered, stream(seed, "stats", "coverage"), 200),
        "tool_entropy": bootstrap(found.tools, even, stream(seed, "stats", "entropy"), 200),
    }
