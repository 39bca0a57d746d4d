"""A hierarchy while it is made: a tree of agents with roles, tools and texts."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct, field

from nexau.definitions.values import Backoff, Supervision
from nexau.transports.protocol import Limits

Role = Literal[
    "solo",  # works alone
    "manager",  # hands parts of the work to specialists
    "specialist",
    "coordinator",  # runs a pipeline, stage after stage
    "stage",
    "relay",  # a stage that hands on to the next one itself
    "moderator",  # runs a debate
    "debater",
    "judge",
    "lead",  # of planner, executors and critic
    "planner",
    "executor",
    "critic",
    "dispatcher",  # of a map-reduce over items
    "splitter",
    "mapper",
    "reducer",
    "decomposer",  # divides a problem, again and again
    "solver",
]

Topology = Literal[
    "single", "team", "pipeline", "relay", "debate", "planning", "map-reduce", "decomposition"
]
"""What an agent and those right below it form."""

WORKERS = frozenset(
    {"solo", "specialist", "stage", "relay", "debater", "executor", "mapper", "solver"}
)
"""Roles that exist for their tools. The others direct, plan or judge."""


class Node(Struct):
    """One agent."""

    role: Role
    topology: Topology | None = None
    """What it forms with its children; None for a leaf."""
    children: list["Node"] = field(default_factory=list)
    tools: list[int] = field(default_factory=list)
    """Places in the catalog, of tools that its part of the work needs."""
    distractors: list[int] = field(default_factory=list)
    """Of tools that it has and should not need."""
    scope: list[int] = field(default_factory=list)
    """Of all tools that it and those below it need."""
    name: str = ""
    title: str = ""
    """Its name for people."""
    description: str = ""
    prompt: str = ""
    limits: Limits = Limits()

    def walk(self) -> Iterator["Node"]:
        """This one, then those below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def size(self) -> int:
        return 1 + sum(child.size() for child in self.children)

    def depth(self) -> int:
        """Levels below this one."""
        return 1 + max((child.depth() for child in self.children), default=-1)

    def leaves(self) -> Iterator["Node"]:
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


class Hierarchy(Struct):
    """A tree of agents, ready to be written as one agent file."""

    index: int
    """Which candidate of its run it is."""
    root: Node
    servers: list[str]
    """Of the catalog: those whose tools it has."""
    supervision: Supervision = Supervision(backoff=Backoff())
    prefixed: list[str] = field(default_factory=list)
    """Servers whose tools get `SERVER_` before their names, because another's clash with them."""

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.index:05d}-{self.root.name}"
