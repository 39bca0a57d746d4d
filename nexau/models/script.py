"""The `script` policy: fixed turns from a YAML or JSON file.

Either a list of turns, which the root agent plays, or a mapping from patterns of agents' paths to
such lists. The first pattern that matches counts; `*` matches within one segment and across them.

    root:
      - content: Let me look.
        calls:
          - {name: lookup, arguments: {key: x}}
      - content: It is 42.
    root/researcher#*:
      - content: Nothing found.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.files.forms import Complain, read
from nexau.files.problems import AgentFileError, Problem, Trail, display, show
from nexau.files.yamlnodes import Node, Unreadable, parse
from nexau.models.base import FinishReason, ModelError, ModelRequest, ToolCall, Turn
from nexau.models.latency import pause
from nexau.transports.protocol import Usage

NAME = "script"
_PATHS = 65_536


class ScriptedCall(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any] | str = {}
    """Text stands for arguments that are not JSON, as a model may write them."""
    id: str = ""


class ScriptedTurn(Struct, frozen=True, forbid_unknown_fields=True):
    content: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    reasoning: str | None = None
    finish_reason: FinishReason | None = None
    """Absent: `tool_calls` where there are calls, else `stop`."""
    usage: Usage = Usage()
    error: str | None = None
    """The model fails for good with this text."""
    status: int | None = None
    """The HTTP status that goes with `error`."""


Script = Mapping[str, tuple[ScriptedTurn, ...]]
"""Turns by pattern of path, in the order in which they are tried."""


class ScriptPolicy:
    """A `Model`. Asked for more turns than there are, it fails with `ModelError`."""

    def __init__(self, script: Script, *, latency: float = 0.0, source: str = "script") -> None:
        self._script = script
        self._latency = latency
        self._source = source
        self._turns: dict[str, tuple[Turn | ScriptedTurn, ...]] = {}

    async def turn(self, request: ModelRequest) -> Turn:
        if self._latency:
            await pause(self._latency, request.deadline)
        turns = self._turns.get(request.path)
        if turns is None:
            turns = self._find(request.path)
        if request.turn >= len(turns):
            raise ModelError(
                f"{self._source} is at its end: it has {len(turns)} turns for {request.path}"
            )
        turn = turns[request.turn]
        if isinstance(turn, Turn):
            return turn
        raise ModelError(turn.error or "", status=turn.status)

    async def aclose(self) -> None:
        self._turns.clear()

    def _find(self, path: str) -> tuple[Turn | ScriptedTurn, ...]:
        pattern = next((each for each in self._script if fnmatchcase(path, each)), None)
        if pattern is None:
            patterns = ", ".join(self._script) or "none"
            raise ModelError(f"{self._source} has no turns for {path}; patterns in it: {patterns}")
        if len(self._turns) >= _PATHS:
            self._turns.clear()
        made = tuple(_played(turn, path, index) for index, turn in enumerate(self._script[pattern]))
        self._turns[path] = made
        return made


def _played(turn: ScriptedTurn, path: str, index: int) -> Turn | ScriptedTurn:
    if turn.error is not None:
        return turn
    prefix = "" if path == "root" else f"{path.removeprefix('root/')}:"
    calls = tuple(
        _call(call, f"{prefix}{call.id or f'{index}.{i}'}") for i, call in enumerate(turn.calls)
    )
    finish = turn.finish_reason or ("tool_calls" if calls else "stop")
    return Turn(turn.content, calls, turn.reasoning, finish, turn.usage, NAME)


def _call(call: ScriptedCall, call_id: str) -> ToolCall:
    if isinstance(call.arguments, str):
        return ToolCall(call_id, call.name, None, call.arguments)
    return ToolCall(call_id, call.name, call.arguments)


def read_script(file: Path) -> Script:
    """Raises `DefinitionError` with every problem, each with its line."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DefinitionError(f"{display(file)}: cannot be read: {error.strerror}") from None
    problems: list[Problem] = []

    def report(trail: Trail, message: str, place: tuple[int, int]) -> None:
        problems.append(Problem(display(file), *place, show(trail), message))

    try:
        node = parse(data, report, json=file.suffix == ".json")
    except Unreadable as error:
        report((), error.message, (error.line, error.column))
        raise AgentFileError(problems) from None

    def complain(trail: Trail, message: str, place: tuple[int, int] | None) -> None:
        report(trail, message, place or node.at(trail))

    script = _read(node, complain)
    if problems:
        raise AgentFileError(sorted(problems))
    return script


def _read(node: Node, complain: Complain) -> Script:
    kind = tuple[ScriptedTurn, ...]
    if isinstance(node.value, list):
        return {"root": read(node, kind, (), complain)}
    if isinstance(node.value, dict):
        return {path: read(turns, kind, (path,), complain) for path, turns in node.value.items()}
    complain((), "expected a list of turns, or a mapping from paths of agents to lists", None)
    return {}
