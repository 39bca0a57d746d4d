"""Candidates as they are written: bytes, and what is known of them."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from nexau.definitions.values import Server
from nexau.synth.agents.acceptance import faults
from nexau.synth.agents.agentwriter import agent_yaml, server_lines
from nexau.synth.agents.candidates import Maker
from nexau.synth.agents.hierarchy import Hierarchy
from nexau.synth.agents.shapes import canonical, digest, shape_of, signature_of
from nexau.synth.agents.smokeplan import smoke_task
from nexau.synth.lineage import bytes_id


class Smoke(Struct, frozen=True, omit_defaults=True):
    """How a smoke rollout went."""

    leaves: int = 0
    """Agents without sub-agents, all of which were reached."""
    agents: int = 0
    """Agents that were reached."""
    calls: int = 0
    """Calls of tools that a server answered."""
    refused: int = 0
    """Of those, answered with an error of the tool's own."""


class Record(Struct, frozen=True, omit_defaults=True):
    """One hierarchy of a run: a line of `index.jsonl`."""

    index: int
    """Which candidate it was."""
    file: str
    """The agent file, relative to the run's folder."""
    smoke_file: str
    """A task that visits every agent, for the model `plan`."""
    id: str
    """Of the agent file's bytes (nexau.synth.lineage)."""
    topology: str
    agents: int
    depth: int
    """Levels of sub-agents below the root."""
    roles: dict[str, int]
    topologies: dict[str, int]
    """How often each occurs in it."""
    tools: tuple[str, ...]
    """`server/name` of all that some agent needs."""
    distractors: tuple[str, ...]
    servers: tuple[str, ...]
    tree: str
    """The canonical form of the bare tree."""
    shape: str
    """A digest of the canonical form with roles."""
    signature: str
    """The same with tools."""
    writer: str = "grammar"
    repairs: int = 0
    smoke: Smoke | None = None
    lineage: tuple[str, ...] = ()
    """Ids of what it was made from."""


class Draft(Struct, frozen=True):
    """A candidate that can be written; `faults` say why it should not be."""

    record: Record
    yaml: bytes
    task: bytes
    """One line of a tasks file."""
    faults: tuple[str, ...] = ()


class Finisher:
    """Hierarchies to drafts."""

    def __init__(
        self, maker: Maker, servers: Mapping[str, Server], model: Any, parents: tuple[str, ...] = ()
    ) -> None:
        self._maker = maker
        self._servers = {name: server_lines(each) for name, each in servers.items()}
        self._model = model
        self._parents = parents
        self._probes: dict[int, dict[str, Any] | None] = {}

    def draft(self, index: int) -> Draft:
        return self.finish(self._maker.make(index))

    def finish(
        self, hierarchy: Hierarchy, *, writer: str = "grammar", repairs: int = 0,
        more_faults: tuple[str, ...] = (),
    ) -> Draft:  # fmt: skip
        graph, root = self._maker.graph, hierarchy.root
        yaml = agent_yaml(hierarchy, graph, self._servers, self._model, self._comment(hierarchy))
        task = msgspec.json.encode(smoke_task(hierarchy, graph, self._probes))
        nodes = list(root.walk())
        tools = {graph.facts[place].tool.key for node in nodes for place in node.tools}
        extra = {graph.facts[place].tool.key for node in nodes for place in node.distractors}
        record = Record(
            index=hierarchy.index,
            file=f"agents/{hierarchy.name}.yaml",
            smoke_file=f"smoke/{hierarchy.name}.jsonl",
            id=bytes_id("agent", yaml),
            topology=root.topology or "single",
            agents=len(nodes),
            depth=root.depth(),
            roles=_counted(node.role for node in nodes),
            topologies=_counted(node.topology for node in nodes if node.topology is not None),
            tools=tuple(sorted(tools)),
            distractors=tuple(sorted(extra)),
            servers=tuple(hierarchy.servers),
            tree=canonical(root),
            shape=digest(shape_of(root)),
            signature=digest(signature_of(root, graph)),
            writer=writer,
            repairs=repairs,
            lineage=self._parents,
        )
        found = (*faults(hierarchy, graph), *more_faults)
        return Draft(record, yaml, task, found)

    def _comment(self, hierarchy: Hierarchy) -> str:
        options = self._maker.options
        spec = " ".join(options.specification.split())
        topology = hierarchy.root.topology or "single"
        return (
            "Written by nexau synth agents: untrusted until read.\n"
            f"{topology}, {hierarchy.root.size()} agents;"
            f" candidate {hierarchy.index}, seed {options.seed}: {_printable(spec)[:160]}"
        )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _counted(values: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return dict(sorted(counts.items()))
