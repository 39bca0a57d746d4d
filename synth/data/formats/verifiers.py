"""verifiers v1: one Episode a line, with a trace of message nodes for each agent.

Source: willccbb/verifiers, v1 Episode and Trace: `{id, env, task, group, run, ok, is_timeout,
errors, traces [{nodes [{parent, message, sampled, token_ids, mask, logprobs}], calls, rewards,
metrics, stop_condition, timing}]}`. A node is one message; `sampled` says that the model made it.
Token ids stand on nodes where an endpoint gave them, with a mask of ones.
"""

from typing import Any

import msgspec
from msgspec import Struct

from nexau.synth.data.conversation import Assistant, Conversation, Results, Turn
from nexau.synth.data.convert import Piece
from nexau.synth.data.formats.base import Head, decoded
from nexau.synth.data.formats.rollouts import Node, RolloutFormat, nodes, unlike
from nexau.trajectory import Step, Trajectory
from nexau.transports.protocol import ToolSpec


class _Node(Struct, omit_defaults=True, gc=False):
    message: Turn
    parent: int | None = None
    sampled: bool = False
    token_ids: tuple[int, ...] = ()
    mask: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


class _Reward(Struct, gc=False):
    score: float
    weight: float = 1.0


class _Trace(Struct, omit_defaults=True):
    id: str
    nodes: list[_Node]
    tools: tuple[ToolSpec, ...] = ()
    parent: str | None = None
    spawned_by: str | None = None
    calls: int = 0
    """Turns of the model."""
    rewards: dict[str, _Reward] = {}
    metrics: dict[str, float] = {}
    stop_condition: str = ""
    timing: dict[str, float] = {}


class _Episode(Struct, omit_defaults=True):
    id: str
    env: str
    task: str
    ok: bool
    traces: list[_Trace]
    group: str | None = None
    run: str = ""
    is_timeout: bool = False
    errors: list[dict[str, Any]] = []
    lineage: str = ""


class Verifiers(RolloutFormat):
    name = "verifiers"
    summary = "verifiers v1 episodes"
    leaves_out = "data of images and audio"

    def __init__(self) -> None:
        super().__init__()
        self._decoder = msgspec.json.Decoder(_Episode)
        self._encode = msgspec.json.Encoder().encode

    def write(self, trajectory: Trajectory, head: Head) -> bytes:
        agents = nodes(trajectory, self.pieces(trajectory))
        return self._encode(
            _Episode(
                trajectory.id,
                trajectory.agent,
                trajectory.task,
                trajectory.status in ("completed", "limit"),
                [_trace(trajectory, node) for node in agents],
                trajectory.group,
                f"{trajectory.repeat}.{trajectory.attempt}",
                trajectory.limit == "seconds",
                [] if trajectory.error is None else [msgspec.to_builtins(trajectory.error)],
                head.lineage,
            )
        )

    def compare(self, line: bytes, trajectory: Trajectory) -> str | None:
        episode = decoded(self._decoder, line)
        read = [
            (trace.id, Conversation(tuple(node.message for node in trace.nodes), trace.tools))
            for trace in episode.traces
        ]
        written = [
            Piece(piece.path, Conversation(piece.conversation.turns, piece.conversation.tools))
            for piece in self.pieces(trajectory)
        ]
        found = unlike(written, [(path, _bared(each)) for path, each in read])
        if found is not None:
            return found
        tokens = [
            node.token_ids for trace in episode.traces for node in trace.nodes if node.sampled
        ]
        if sorted(tokens) != sorted(
            step.tokens.response_ids if step.tokens else () for step in trajectory.steps
        ):
            return "the token ids differ"
        return None


def _bared(conversation: Conversation) -> Conversation:
    tools = tuple(ToolSpec(t.name, t.description, t.parameters) for t in conversation.tools)
    return Conversation(conversation.turns, tools)


def _trace(trajectory: Trajectory, node: Node) -> _Trace:
    made: list[_Node] = []
    own = iter(node.steps)
    for index, turn in enumerate(node.piece.conversation.turns):
        parent = index - 1 if index else None
        if isinstance(turn, Assistant) and turn.train:
            made.append(_sampled(turn, parent, next(own)))
        else:
            made.append(_Node(turn, parent))
    root = node.path == "root"
    rewards = {}
    if root and trajectory.reward is not None:
        rewards["reward"] = _Reward(trajectory.reward)
    results = [turn for turn in node.piece.conversation.turns if isinstance(turn, Results)]
    failed = sum(seen.is_error for turn in results for seen in turn.observations)
    timing = {"model": 0.0, "tool": 0.0, "queue": 0.0}
    for step in node.steps:
        for name in timing:
            timing[name] += getattr(step.timing, name)
    stop = trajectory.limit or trajectory.status if root else node.steps[-1].finish_reason
    return _Trace(
        node.path,
        made,
        node.piece.conversation.tools,
        node.parent,
        node.call_id,
        len(node.steps),
        rewards,
        {"turns": float(len(node.steps)), "failed_calls": float(failed)},
        stop,
        timing,
    )


def _sampled(turn: Assistant, parent: int | None, step: Step) -> _Node:
    tokens = step.tokens
    if tokens is None:
        return _Node(turn, parent, True)
    ids = tokens.response_ids
    return _Node(turn, parent, True, ids, (1,) * len(ids), tokens.logprobs)


FORMATS = (Verifiers,)
