"""NeMo's `ng_trajectory` 1.0: invocations, model calls and tool calls with timing and parentage.

Source: NVIDIA NeMo Gym, `ng_trajectory` schema 1.0:
`invocations` (one an agent), `turns`, `model_calls`, `tool_calls`, `gaps` for what is not known.
A trajectory tells how long things took, not when they began: `started_at` stands only on the
rollout, and the gap `no_timestamps` says so; `no_tokens` where an endpoint gave no counts.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from nexau.synth.data.conversation import Unfit
from nexau.synth.data.formats.base import Head, decoded
from nexau.synth.data.formats.openai import OpenAI
from nexau.synth.data.formats.rollouts import Node, RolloutFormat, nodes, unlike
from nexau.trajectory import Step, Trajectory


class _Invocation(Struct, omit_defaults=True):
    invocation_id: str
    agent: str
    status: str
    conversation: Raw
    parent_invocation_id: str | None = None
    spawned_by_tool_call_id: str | None = None


class _Turn(Struct, gc=False):
    turn: int
    invocation_id: str
    model_call: int
    """Index in `model_calls`."""
    tool_calls: list[int]
    """Indexes in `tool_calls`."""


class _ModelCall(Struct, omit_defaults=True, gc=False):
    invocation_id: str
    duration_ms: float
    request: dict[str, Any]
    response: dict[str, Any]
    token_stats: dict[str, Any]
    started_at: float | None = None
    completed_at: float | None = None


class _ToolCall(Struct, omit_defaults=True, gc=False):
    tool_call_id: str
    invocation_id: str
    name: str
    status: str
    duration_ms: float
    output: str
    started_at: float | None = None
    completed_at: float | None = None


class _Record(Struct, omit_defaults=True):
    task_id: str
    rollout_id: str
    invocations: list[_Invocation]
    turns: list[_Turn]
    model_calls: list[_ModelCall]
    tool_calls: list[_ToolCall]
    gaps: list[dict[str, str]]
    schema_version: str = ""
    started_at: float = 0.0
    status: str = ""
    reward: float | None = None
    lineage: str = ""


class NgTrajectory(RolloutFormat):
    name = "ng_trajectory"
    summary = "NeMo ng_trajectory 1.0: invocations, model calls, tool calls"
    leaves_out = "data of images and audio"

    def __init__(self) -> None:
        super().__init__()
        self._messages = OpenAI()
        self._decoder = msgspec.json.Decoder(_Record)
        self._encode = msgspec.json.Encoder().encode

    def write(self, trajectory: Trajectory, head: Head) -> bytes:
        agents = nodes(trajectory, self.pieces(trajectory))
        record = _Record(
            trajectory.task,
            trajectory.id,
            [self._invocation(trajectory, node) for node in agents],
            [],
            [],
            [],
            [{"code": "no_timestamps"}],
            "1.0",
            trajectory.started_at,
            trajectory.status,
            trajectory.reward,
            head.lineage,
        )
        if not any(step.usage.input_tokens for step in trajectory.steps):
            record.gaps.append({"code": "no_tokens"})
        texts = {
            (node.path, seen.call_id): seen.text
            for node in agents
            for turn in node.piece.conversation.turns
            for seen in getattr(turn, "observations", ())
        }
        for step in trajectory.steps:
            _add(record, step, texts)
        return self._encode(record)

    def _invocation(self, trajectory: Trajectory, node: Node) -> _Invocation:
        status = "completed"
        if node.path == "root":
            status = trajectory.status
        elif node.call_id is None:
            status = "cancelled"
        held = self._messages.fit(node.piece.conversation)
        line = self._messages.write(held, Head(node.path))
        return _Invocation(
            node.path,
            trajectory.agent
            if node.path == "root"
            else node.path.rpartition("/")[2].partition("#")[0],
            status,
            Raw(line),
            node.parent,
            node.call_id,
        )

    def compare(self, line: bytes, trajectory: Trajectory) -> str | None:
        record = decoded(self._decoder, line)
        read = [
            (each.invocation_id, self._messages.read(bytes(each.conversation)))
            for each in record.invocations
        ]
        # OpenAI's messages have no place for `is_error`: it is the status of the tool call.
        written = [
            msgspec.structs.replace(piece, conversation=self._messages.fit(piece.conversation))
            for piece in self.pieces(trajectory)
        ]
        found = unlike(written, read)
        if found is not None:
            return found
        statuses = [call.status for call in record.tool_calls]
        results = [result for step in trajectory.steps for result in step.results]
        if statuses != [_status(result.error_class, result.is_error) for result in results]:
            return "the statuses of tool calls differ"
        return None


def _status(error_class: str | None, is_error: bool) -> str:
    return (error_class or "error") if is_error else "ok"


def _add(record: _Record, step: Step, texts: dict[tuple[str, str], str]) -> None:
    made: list[int] = []
    if len(step.calls) != len(step.results):
        raise Unfit(f"{step.agent} turn {step.turn}: calls without results")
    for call, result in zip(step.calls, step.results, strict=True):
        text = texts.get((step.agent, result.call_id))
        if text is None or call.id != result.call_id:
            raise Unfit(f"{step.agent} turn {step.turn}: a result of another call: {call.id}")
        made.append(len(record.tool_calls))
        record.tool_calls.append(
            _ToolCall(
                call.id,
                step.agent,
                call.name,
                _status(result.error_class, result.is_error),
                result.seconds * 1000,
                text,
            )
        )
    record.turns.append(_Turn(step.turn, step.agent, len(record.model_calls), made))
    usage = step.usage
    stats = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
    }
    if step.tokens is not None:
        stats |= msgspec.to_builtins(step.tokens)
    response = {
        "content": step.response,
        "finish_reason": step.finish_reason,
        "tool_calls": [call.id for call in step.calls],
    }
    record.model_calls.append(
        _ModelCall(step.agent, step.timing.model * 1000, {"model": step.model}, response, stats)
    )


FORMATS = (NgTrajectory,)
