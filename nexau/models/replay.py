"""The `replay` policy: plays the turns of recorded trajectories.

Of the trajectories in the file it plays the one of the request's task, and of several repeats the
one with the request's seed, or else the first. What an agent is shown must be what it was shown
when the turn was recorded: where the two diverge, the replay ends with an error that says so.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from nexau.definitions.values import DefinitionError
from nexau.files.nearest import hint
from nexau.files.problems import display
from nexau.models.base import AssistantMessage, Message, ModelError, ModelRequest, ToolMessage, Turn
from nexau.models.latency import pause
from nexau.trajectory import Step, Trajectory
from nexau.transports.protocol import Content, File

_SHOWN = 80


class _Tag(Struct):
    type: str = ""


class _Recorded:
    """A trajectory, by agent and turn."""

    __slots__ = ("id", "seed", "steps")

    def __init__(self, trajectory: Trajectory) -> None:
        self.id = trajectory.id
        self.seed = trajectory.seed
        self.steps = {(step.agent, step.turn): step for step in trajectory.steps}


class ReplayPolicy:
    """A `Model`."""

    def __init__(
        self, trajectories: Sequence[Trajectory], *, latency: float = 0.0, source: str = "replay"
    ) -> None:
        self._latency = latency
        self._source = source
        self._tasks: dict[str, list[_Recorded]] = {}
        for trajectory in trajectories:
            self._tasks.setdefault(trajectory.task, []).append(_Recorded(trajectory))

    async def turn(self, request: ModelRequest) -> Turn:
        if self._latency:
            await pause(self._latency, request.deadline)
        recorded = self._choose(request)
        step = recorded.steps.get((request.path, request.turn))
        if step is None:
            raise ModelError(
                f"{self._source}: the trajectory {recorded.id} has no turn {request.turn} of "
                f"{request.path}"
            )
        before = recorded.steps.get((request.path, request.turn - 1))
        difference = _difference(request, step, before)
        if difference is not None:
            raise ModelError(
                f"{self._source}: the replay of {recorded.id} diverges at turn {request.turn} of "
                f"{request.path}: {difference}"
            )
        return _turn(step)

    async def aclose(self) -> None:
        self._tasks.clear()

    def _choose(self, request: ModelRequest) -> _Recorded:
        candidates = self._tasks.get(request.task)
        if candidates is None:
            if len(self._tasks) != 1:
                close = hint(request.task, self._tasks, "tasks")
                raise ModelError(
                    f"{self._source} holds no trajectory of the task {request.task!r}{close}"
                )
            candidates = next(iter(self._tasks.values()))
        for recorded in candidates:
            if recorded.seed == request.seed:
                return recorded
        return candidates[0]


def _turn(step: Step) -> Turn:
    return Turn(
        step.response,
        step.calls,
        step.reasoning,
        step.finish_reason,
        step.usage,
        step.model,
        step.tokens,
    )


def _difference(request: ModelRequest, step: Step, before: Step | None) -> str | None:
    """What is new in the prompt since the turn before, against what was recorded."""
    expected: list[Message] = []
    if before is not None:
        expected = [
            ToolMessage(each.call_id, each.content, each.is_error) for each in before.results
        ]
    expected += step.prompt
    shown = request.messages[-len(expected) :] if expected else ()
    whole = len(shown) == len(expected) and (
        request.turn > 0 or len(request.messages) == len(shown)
    )
    if not whole:
        return f"{len(request.messages)} messages, where more or fewer were recorded"
    for index, (message, recorded) in enumerate(zip(shown, expected, strict=True)):
        if not _same(message, recorded):
            at = len(request.messages) - len(expected) + index
            return f"message {at} is {_show(message)}, recorded was {_show(recorded)}"
    return None


def _same(message: Message, recorded: Message) -> bool:
    if isinstance(message, ToolMessage) and isinstance(recorded, ToolMessage):
        return (message.call_id, _parts(message), message.is_error) == (
            recorded.call_id,
            _parts(recorded),
            recorded.is_error,
        )
    return message == recorded


def _parts(message: ToolMessage) -> tuple[Content, ...]:
    """The content; big parts may be in files of another directory."""
    return tuple(
        replace(part, path="") if isinstance(part, File) else part for part in message.content
    )


def _show(message: Message) -> str:
    if isinstance(message, AssistantMessage):
        return "the model's own"
    text = msgspec.json.encode(message).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def read_trajectories(file: Path) -> list[Trajectory]:
    """The trajectory lines of a file of JSON lines; other kinds of line are passed over.

    Raises `DefinitionError`, with the line.
    """
    tags = msgspec.json.Decoder(_Tag)
    whole = msgspec.json.Decoder(Trajectory)
    found: list[Trajectory] = []
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip() and _tag(tags, line, file, number) == "trajectory":
                    found.append(_decode(whole, line, file, number))
    except OSError as error:
        raise DefinitionError(f"{display(file)}: cannot be read: {error.strerror}") from None
    if not found:
        raise DefinitionError(f"{display(file)}: holds no trajectory to replay")
    return found


def _tag(decoder: msgspec.json.Decoder[_Tag], line: bytes, file: Path, number: int) -> str:
    try:
        return decoder.decode(line).type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionError(f"{display(file)}:{number}:1: not a line of JSON: {error}") from None


def _decode(
    decoder: msgspec.json.Decoder[Trajectory], line: bytes, file: Path, number: int
) -> Trajectory:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionError(f"{display(file)}:{number}:1: not a trajectory: {error}") from None
