"""Formats that hold a whole rollout, tree of agents and all: what they share."""

from abc import ABC, abstractmethod
from typing import ClassVar

from msgspec import Struct

from nexau.synth.data.conversation import Conversation, difference
from nexau.synth.data.convert import Options, Piece, ToolTables, pieces
from nexau.synth.data.formats.base import Head, bare
from nexau.trajectory import Step, Trajectory

_WHOLE = Options()


class RolloutFormat(ABC):
    """One format of whole rollouts."""

    name: ClassVar[str]
    summary: ClassVar[str]
    leaves_out: ClassVar[str]

    def __init__(self) -> None:
        self.tables = ToolTables()
        self._last: tuple[Trajectory, list[Piece]] | None = None

    @abstractmethod
    def write(self, trajectory: Trajectory, head: Head) -> bytes:
        """A line, or several with newlines between them. Raises `Unfit`."""

    @abstractmethod
    def compare(self, line: bytes, trajectory: Trajectory) -> str | None:
        """Reads what was written back. What differs from the trajectory, in words."""

    def quick(self, trajectory: Trajectory, head: Head) -> bytes | None:
        """What `write` gives, to the byte, parsed back and compared, in one pass; None where the
        way by conversations has to be gone.
        """
        return None

    def pieces(self, trajectory: Trajectory) -> list[Piece]:
        """Each agent's conversation, parents first. Raises `Unfit`."""
        # Asked for twice, to write and to compare.
        if self._last is None or self._last[0] is not trajectory:
            self._last = trajectory, list(pieces(trajectory, self.tables, _WHOLE))
        return self._last[1]


class Node(Struct, frozen=True):
    """One agent of a rollout, with its steps."""

    path: str
    piece: Piece
    steps: tuple[Step, ...]
    parent: str | None
    call_id: str | None
    """The parent's call that started it."""


def nodes(trajectory: Trajectory, parts: list[Piece]) -> list[Node]:
    """The agents, parents first, with the calls that started them."""
    steps: dict[str, list[Step]] = {}
    started: dict[str, tuple[str, str]] = {}
    for step in trajectory.steps:
        steps.setdefault(step.agent, []).append(step)
        for result in step.results:
            if result.agent is not None:
                started[result.agent] = (step.agent, result.call_id)
    made: list[Node] = []
    for part in parts:
        parent, call = started.get(part.path, (_above(part.path), None))
        made.append(Node(part.path, part, tuple(steps[part.path]), parent, call))
    return made


def _above(path: str) -> str | None:
    """Of an agent whose parent ended before it had the result."""
    return path.rpartition("/")[0] or None


def unlike(written: list[Piece], read: list[tuple[str, Conversation]]) -> str | None:
    """Where two sets of conversations first differ."""
    if [piece.path for piece in written] != [path for path, _ in read]:
        return f"agents {[p.path for p in written]} became {[path for path, _ in read]}"
    for piece, (path, conversation) in zip(written, read, strict=True):
        held = Conversation(piece.conversation.turns, bare(piece.conversation.tools))
        found = difference(held, conversation)
        if found is not None:
            return f"{path}: {found}"
    return None
