"""Early experience: what each action at a state led to, `(state, action, next state)`.

A record for each turn that called something. `state` and `next_state` are OpenAI's messages, and
`action` is the turn between them; `state_id` is the same for all that was tried in one state, in
whichever rollout, so the alternatives at a state and the plan's own action there are joined by it.
Make them with `explore` (docs/models.md, "Styles") and several repeats, or with any policy.

Source: Zhang et al. 2025, "Agent Learning via Early Experience": alternatives at the states of
expert rollouts, executed, are pairs for implicit world modelling (state and action to next state)
and material for reflection (the expert's action against the others).
"""

from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw, Struct

from nexau.models.varied import departs
from nexau.synth.data.conversation import Assistant, Conversation, Results, Turn, Unfit, difference
from nexau.synth.data.formats.base import Head, bare, decoded, paired, position, raw_tools
from nexau.synth.data.formats.openai import OpenAI
from nexau.synth.data.formats.rollouts import Node, RolloutFormat, nodes
from nexau.trajectory import Step, Trajectory

_encode = msgspec.json.Encoder().encode
_DIGITS = 32


class _Messages(Struct):
    messages: list[Raw]


class Triple(Struct, omit_defaults=True):
    """One record. Messages are as in `openai`."""

    id: str
    """The rollout's, `@` and the agent's path below the root, `#` and the turn."""
    task: str
    state_id: str
    """Of the task, the tools and the messages so far, whatever their call ids are."""
    state: list[Raw]
    tools: Raw
    action: Raw
    next_state: list[Raw]
    alternative: bool
    """Whether the policy departed from its plan here."""
    failed: list[bool]
    """Of the results in `next_state`."""
    policy: str = ""
    """The model's name: `plan:explore`."""
    lineage: str = ""
    reward: float | None = None
    """Of the whole rollout."""


class EarlyExperience(RolloutFormat):
    name = "early-experience"
    summary = "(state, action, next state) of every turn that called something"
    leaves_out = "turns without calls"

    def __init__(self) -> None:
        super().__init__()
        self._messages = OpenAI()
        self._triple = msgspec.json.Decoder(Triple)
        self._listed = msgspec.json.Decoder(_Messages)

    def write(self, trajectory: Trajectory, head: Head) -> bytes:
        lines: list[bytes] = []
        for node in nodes(trajectory, self.pieces(trajectory)):
            lines += [_encode(each) for each in self._triples(trajectory, node, head)]
        if not lines:
            raise Unfit("no turn called anything")
        return b"\n".join(lines)

    def _triples(self, trajectory: Trajectory, node: Node, head: Head) -> list[Triple]:
        held = self._messages.fit(node.piece.conversation)
        plain = paired(held.turns, position)
        tools = raw_tools(bare(held.tools))
        seed = _encode([trajectory.task, tools])
        below = f"@{node.path}" if node.path != "root" else ""
        made: list[Triple] = []
        for place, step in _acted(held.turns, node.steps):
            state, action, after = (
                self._written(held.turns[start:end])
                for start, end in ((0, place), (place, place + 1), (place + 1, place + 2))
            )
            digest = sha256(seed + _encode(plain[:place])).hexdigest()[:_DIGITS]
            made.append(
                Triple(
                    f"{trajectory.id}{below}#{step.turn}",
                    trajectory.task,
                    f"state:{digest}",
                    state,
                    tools,
                    action[0],
                    after,
                    any(departs(call.id) for call in step.calls),
                    [result.is_error for result in step.results],
                    step.model,
                    head.lineage,
                    trajectory.reward,
                )
            )
        return made

    def _written(self, turns: tuple[Turn, ...]) -> list[Raw]:
        line = self._messages.write(Conversation(turns), Head(""))
        return self._listed.decode(line).messages

    def compare(self, line: bytes, trajectory: Trajectory) -> str | None:
        read = [decoded(self._triple, each) for each in line.split(b"\n")]
        wanted: list[tuple[Conversation, Step]] = []
        for node in nodes(trajectory, self.pieces(trajectory)):
            held = self._messages.fit(node.piece.conversation)
            wanted += [
                (Conversation(held.turns[: place + 2], bare(held.tools)), step)
                for place, step in _acted(held.turns, node.steps)
            ]
        if len(read) != len(wanted):
            return f"{len(wanted)} turns became {len(read)}"
        for triple, (conversation, step) in zip(read, wanted, strict=True):
            if triple.failed != [result.is_error for result in step.results]:
                return f"{triple.id}: which results failed"
            if found := difference(conversation, self._back(triple)):
                return f"{triple.id}: {found}"
        return None

    def _back(self, triple: Triple) -> Conversation:
        """The three parts, read as one conversation."""
        messages: list[Any] = [*triple.state, triple.action, *triple.next_state]
        return self._messages.read(_encode({"messages": messages, "tools": triple.tools}))


def _acted(turns: tuple[Turn, ...], steps: tuple[Step, ...]) -> list[tuple[int, Step]]:
    """The places of turns that called something and have its results, with their steps.

    Turns of the model that stood in a prompt are not its steps, and not among them.
    """
    made: list[tuple[int, Step]] = []
    rest = iter(steps)
    for place, turn in enumerate(turns):
        if type(turn) is not Assistant or not turn.train:
            continue
        step = next(rest, None)
        if step is None:
            break
        after = turns[place + 1] if place + 1 < len(turns) else None
        if turn.calls and type(after) is Results:
            made.append((place, step))
    return made


FORMATS = (EarlyExperience,)
