"""The graph of a catalog's tools: who takes what another gives, and who takes the same.

As ToolFlow does (Wang et al. 2024): an edge where a parameter of one tool resembles a result of
another (directed, from the one that gives), and where it resembles a parameter of another. Tools
that neither ties to the rest are tied by their subject, weakly, so that a catalog without output
schemas still has a shape.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Literal

from msgspec import Struct

from nexau.synth.agents.catalog import CatalogTool
from nexau.synth.agents.communities import louvain
from nexau.synth.agents.toolfacts import PAGING, Slot, ToolFacts, facts_of
from nexau.synth.similarity import Tfidf
from nexau.synth.words import STOP, raw_words, stem

ALIKE = 0.5
"""Cosine from which two slots are taken for the same thing."""
SUBJECT = 0.25
"""Cosine from which two tools share a subject."""
WEIGHTS = {"result": 1.0, "parameter": 0.6, "subject": 0.3}

VAGUE = frozenset(
    "content message type status success result results data text error ok value output from to "
    "count total kind".split()
)
"""Fields of results that any tool may have."""
NAMING = frozenset("name title description label id key".split())

ECHO = 0.3
"""Of a result that the tool itself was given: it is no source of it."""
SURE = 0.3
"""Weight from which a flow is told to an agent."""

Kind = Literal["result", "parameter", "subject"]


class Edge(Struct, frozen=True, order=True):
    """From `source` to `target`: for a result, the one that gives to the one that takes."""

    source: int
    target: int
    kind: Kind
    weight: float
    """0 to 1, the kind's own weight included."""
    given: str = ""
    """The field that is given, or the parameter that both have."""
    taken: str = ""


class ToolGraph:
    """Tools as nodes, by their place in the catalog."""

    def __init__(self, tools: Iterable[CatalogTool]) -> None:
        self.facts: tuple[ToolFacts, ...] = tuple(facts_of(tool) for tool in tools)
        self.edges: tuple[Edge, ...] = tuple(sorted(_edges(self.facts)))
        links: list[defaultdict[int, float]] = [defaultdict(float) for _ in self.facts]
        for edge in self.edges:
            links[edge.source][edge.target] += edge.weight
            links[edge.target][edge.source] += edge.weight
        self.links: tuple[dict[int, float], ...] = tuple(dict(each) for each in links)
        self._gives: defaultdict[int, list[Edge]] = defaultdict(list)
        for edge in self.edges:
            if edge.kind == "result":
                self._gives[edge.source].append(edge)

    def __len__(self) -> int:
        return len(self.facts)

    @cached_property
    def communities(self) -> tuple[int, ...]:
        return tuple(louvain(self.links))

    @cached_property
    def nouns(self) -> tuple[tuple[str, ...], ...]:
        """What each tool is about, in the singular; of a tool that does not say, its verb."""
        return tuple(
            tuple(
                word[:-1] if word.endswith("s") and not word.endswith("ss") else word
                for word in each.subject or (each.verb, each.tool.server)
                if len(word) > 2 and word.isascii() and word.isalpha() and word not in STOP
            )
            for each in self.facts
        )

    def flows(self, among: Collection[int]) -> list[Edge]:
        """What the tools of a set give to each other, the surest first."""
        inside = set(among)
        found = [
            edge
            for source in sorted(inside)
            for edge in self._gives[source]
            if edge.target in inside and edge.weight >= SURE
        ]
        return sorted(found, key=lambda edge: (-edge.weight, edge.source, edge.target))

    def linked(self, tool: int, group: Iterable[int]) -> float:
        """The weight of all edges between a tool and a group."""
        near = self.links[tool]
        return sum(near.get(other, 0.0) for other in group)

    def connected(self, tools: Sequence[int]) -> bool:
        """Whether the tools hang together by edges among themselves."""
        if not tools:
            return True
        inside, seen, queue = set(tools), {tools[0]}, [tools[0]]
        while queue:
            for other in self.links[queue.pop()]:
                if other in inside and other not in seen:
                    seen.add(other)
                    queue.append(other)
        return len(seen) == len(inside)

    def walk(
        self, chance: random.Random, start: int, size: int, among: Collection[int]
    ) -> list[int]:
        """A connected set of up to `size` tools of `among`, grown from `start`: each next one is
        drawn by the weight of its edges to those already there."""
        inside = set(among)
        found = [start]
        near: defaultdict[int, float] = defaultdict(float)
        newest = start
        while len(found) < size:
            for other, weight in self.links[newest].items():
                if other in inside and other not in found:
                    near[other] += weight
            near.pop(newest, None)
            if not near:
                break
            order = sorted(near)
            newest = chance.choices(order, [near[each] for each in order])[0]
            near.pop(newest)
            found.append(newest)
        return found


def _edges(facts: Sequence[ToolFacts]) -> Iterable[Edge]:
    """Of each kind the strongest one between two tools."""
    found: dict[tuple[int, int, Kind], Edge] = {}
    for edge in (*_flows(facts), *_subjects(facts)):
        key = edge.source, edge.target, edge.kind
        if key not in found or found[key].weight < edge.weight:
            found[key] = edge
    return found.values()


def _flows(facts: Sequence[ToolFacts]) -> Iterable[Edge]:
    taken = _Slots((place, slot) for place, each in enumerate(facts) for slot in each.takes)
    for place, each in enumerate(facts):
        asked = {slot.name.casefold() for slot in each.takes}
        for slot in each.gives:
            for other, alike, match in taken.like(slot, identifiers=not slot.given):
                weight = alike * _worth(slot, facts[other].tool.server == each.tool.server)
                if slot.name.casefold() in asked:
                    weight *= ECHO
                if other != place and weight > 0:
                    weight = round(WEIGHTS["result"] * weight, 4)
                    yield Edge(place, other, "result", weight, slot.name, match.name)
        for slot in each.takes:
            for other, alike, match in taken.like(slot):
                if other > place:
                    weight = round(WEIGHTS["parameter"] * alike, 4)
                    yield Edge(place, other, "parameter", weight, slot.name, match.name)


def _worth(slot: Slot, same_server: bool) -> float:
    """How much it says that a tool gives this: a `message` is in every second result."""
    name = slot.name.casefold()
    if name in VAGUE:
        return 0.0
    if name in NAMING:
        return 0.5 if same_server else 0.0
    return 1.0 if slot.given else 0.8


def _subjects(facts: Sequence[ToolFacts]) -> Iterable[Edge]:
    index = Tfidf([each.text for each in facts])
    for place, each in enumerate(facts):
        for other, alike in index.rank(each.text, 9):
            if other != place and alike >= SUBJECT:
                low, high = min(place, other), max(place, other)
                yield Edge(low, high, "subject", round(WEIGHTS["subject"] * alike, 4))


class _Slots:
    """Parameters of all tools, found by likeness."""

    def __init__(self, slots: Iterable[tuple[int, Slot]]) -> None:
        self._slots = [(place, slot) for place, slot in slots if slot.name.casefold() not in PAGING]
        # A name that most tools have (`path`, `id`) ties nothing together.
        counts = Counter(slot.name.casefold() for _, slot in self._slots)
        tools = max(len({place for place, _ in self._slots}), 1)
        self._rare = {name: max(0.25, 1 - count / tools) for name, count in counts.items()}
        self._index = Tfidf([_text(slot) for _, slot in self._slots])

    def like(self, slot: Slot, *, identifiers: bool = False) -> Iterable[tuple[int, float, Slot]]:
        """Tools, how alike their slot is, and the slot. With `identifiers`, only slots whose name
        begins as the given one's does, as `customer_id` and `customer`."""
        if slot.name.casefold() in PAGING:
            return
        noun = stem(raw_words(slot.name)[0]) if raw_words(slot.name) else ""
        for at, alike in self._index.rank(_text(slot), 80):
            place, other = self._slots[at]
            if alike < ALIKE and not identifiers:
                return
            if identifiers:
                heads = [stem(word) for word in raw_words(other.name)]
                if noun not in heads or other.type not in ("string", "integer", "any"):
                    continue
                alike = max(alike, 0.75)
            elif not _compatible(slot.type, other.type):
                continue
            yield place, alike * self._rare[other.name.casefold()], other


def _text(slot: Slot) -> str:
    """The name counts more than what is said of it."""
    return f"{slot.name} {slot.name} {slot.name} {slot.text[:160]}"


def _compatible(one: str, other: str) -> bool:
    numbers = {"integer", "number"}
    return one == other or "any" in (one, other) or {one, other} <= numbers


__all__ = ["Edge", "ToolGraph"]
