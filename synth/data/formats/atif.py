"""ATIF v1.7, the Agent Trajectory Interchange Format of Harbor and Terminal-Bench.

Source: harbor 0.26, `harbor/models/trajectories` (its pydantic models refuse other keys, and what
is None is left out). Sub-agents are embedded in the trajectory of the agent that called them, under
their path as `trajectory_id`. The reward, error classes, and timings stand in `extra`; turns that
were part of the prompt are `is_copied_context`.
"""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from nexau.models.base import SystemMessage, UserMessage
from nexau.synth.data.conversation import (
    Assistant,
    Call,
    Conversation,
    Observation as Seen,
    Results,
    System,
    Turn,
    Unfit,
    User,
)
from nexau.synth.data.convert import parts
from nexau.synth.data.formats.base import Head, ToolReader, bare, decoded, raw_tools
from nexau.synth.data.formats.rollouts import Node, RolloutFormat, nodes, unlike
from nexau.trajectory import CallResult, Step, Trajectory
from nexau.transports.protocol import Text

VERSION = "ATIF-v1.7"


class _Call(Struct, gc=False):
    tool_call_id: str
    function_name: str
    arguments: dict[str, Any]


class _Ref(Struct, gc=False):
    trajectory_id: str


class _Result(Struct, omit_defaults=True, gc=False):
    source_call_id: str
    content: str
    subagent_trajectory_ref: list[_Ref] | None = None
    extra: dict[str, Any] | None = None


class _Observation(Struct, gc=False):
    results: list[_Result]


class _Metrics(Struct, omit_defaults=True, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    completion_token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None


class _Step(Struct, omit_defaults=True, gc=False):
    step_id: int
    source: Literal["system", "user", "agent"]
    message: str
    model_name: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Call] | None = None
    observation: _Observation | None = None
    metrics: _Metrics | None = None
    is_copied_context: bool | None = None
    llm_call_count: int | None = None
    extra: dict[str, Any] | None = None


class _Agent(Struct, omit_defaults=True):
    name: str
    version: str
    model_name: str | None = None
    tool_definitions: Raw = Raw(b"[]")


class _Final(Struct, omit_defaults=True):
    total_prompt_tokens: int | None = None
    total_completion_tokens: int | None = None
    total_cached_tokens: int | None = None
    total_cost_usd: float | None = None
    total_steps: int | None = None


class _Trajectory(Struct, omit_defaults=True):
    schema_version: str
    agent: _Agent
    steps: list[_Step]
    session_id: str | None = None
    trajectory_id: str | None = None
    final_metrics: _Final | None = None
    subagent_trajectories: list["_Trajectory"] | None = None
    extra: dict[str, Any] | None = None


class ATIF(RolloutFormat):
    name = "atif"
    summary = "ATIF v1.7, sub-agents embedded"
    leaves_out = "data of images and audio"

    def __init__(self) -> None:
        super().__init__()
        self._decoder = msgspec.json.Decoder(_Trajectory)
        self._tools = ToolReader()
        self._encode = msgspec.json.Encoder().encode

    def write(self, trajectory: Trajectory, head: Head) -> bytes:
        agents = nodes(trajectory, self.pieces(trajectory))
        if not agents:
            raise Unfit("a rollout without a step")
        below: dict[str | None, list[Node]] = {}
        for node in agents:
            below.setdefault(node.parent, []).append(node)
        root = self._agent(trajectory, agents[0], below)
        return self._encode(_whole(root, trajectory, head))

    def quick(self, trajectory: Trajectory, head: Head) -> bytes | None:
        # One agent's: there is nothing to embed.
        found = parts(trajectory, self.tables)
        if len(found) != 1 or found[0].path != "root":
            return None
        made = _taken(trajectory.steps)
        if made is None:
            return None
        name, version, model = trajectory.agent, trajectory.schema, trajectory.steps[0].model
        agent = _Agent(name, version, model or None, raw_tools(bare(found[0].tools)))
        root = _Trajectory(VERSION, agent, made, None, "root")
        line = self._encode(_whole(root, trajectory, head))
        # To the byte: 1 and 1.0 are equal, and so are objects whose keys are in another order.
        return line if self._encode(self._decoder.decode(line)) == line else None

    def _agent(
        self, trajectory: Trajectory, node: Node, below: dict[str | None, list[Node]]
    ) -> _Trajectory:
        conversation = node.piece.conversation
        children = [self._agent(trajectory, child, below) for child in below.get(node.path, ())]
        name = node.path.rpartition("/")[2].partition("#")[0]
        agent = _Agent(
            trajectory.agent if node.path == "root" else name,
            trajectory.schema,
            node.steps[0].model or None,
            raw_tools(bare(conversation.tools)),
        )
        return _Trajectory(
            VERSION,
            agent,
            _steps(conversation, node.steps),
            None,
            node.path,
            None,
            children or None,
        )

    def compare(self, line: bytes, trajectory: Trajectory) -> str | None:
        read: list[tuple[str, Conversation]] = []
        _gather(decoded(self._decoder, line), self._tools, read)
        return unlike(self.pieces(trajectory), sorted(read, key=lambda each: _place(each[0])))


def _whole(root: _Trajectory, trajectory: Trajectory, head: Head) -> _Trajectory:
    """What is said of the rollout as a whole."""
    root.session_id = trajectory.id
    extra = {
        "status": trajectory.status,
        "task": trajectory.task,
        "reward": trajectory.reward,
        "error": msgspec.to_builtins(trajectory.error),
        "limit": trajectory.limit,
        "lineage": head.lineage,
    }
    root.extra = {key: value for key, value in extra.items() if value is not None}
    usage = trajectory.usage
    root.final_metrics = _Final(
        usage.input_tokens or None,
        usage.output_tokens or None,
        usage.cached_tokens or None,
        usage.cost or None,
        len(trajectory.steps),
    )
    return root


def _place(path: str) -> tuple[tuple[str, int], ...]:
    names = [part.partition("#") for part in path.split("/")]
    return tuple((name, int(number) if number.isdigit() else 0) for name, _, number in names)


def _steps(conversation: Conversation, steps: tuple[Step, ...]) -> list[_Step]:
    made: list[_Step] = []
    own = iter(steps)
    step: Step | None = None
    for turn in conversation.turns:
        number = len(made) + 1
        match turn:
            case System():
                made.append(_Step(number, "system", turn.content))
            case User():
                made.append(_Step(number, "user", turn.content))
            case Assistant():
                # What stood in the prompt is nothing that the loss counts, nor a step.
                step = next(own) if turn.train else None
                made.append(_spoken(number, turn, step))
            case Results():
                made[-1].observation = _Observation(_seen(turn, step.results if step else ()))
    return made


def _taken(steps: tuple[Step, ...]) -> list[_Step] | None:
    """Steps in which nothing is out of the common: each call has an id of its own, arguments, and
    one text for a result; what came into a prompt later is the user's.
    """
    made: list[_Step] = []
    for step in steps:
        for message in step.prompt:
            if type(message) is UserMessage:
                made.append(_Step(len(made) + 1, "user", message.content))
            elif type(message) is SystemMessage and not made:
                made.append(_Step(1, "system", message.content))
            else:
                return None
        calls, results = step.calls, step.results
        if len(calls) != len(results) or (
            len(calls) > 1 and len({call.id for call in calls}) < len(calls)
        ):
            return None
        listed: list[_Call] = []
        seen: list[_Result] = []
        for call, result in zip(calls, results, strict=True):
            content = result.content
            if call.arguments is None or len(content) != 1 or type(content[0]) is not Text:
                return None
            listed.append(_Call(call.id, call.name, call.arguments))
            seen.append(_result(call.id, content[0].text, result, is_error=result.is_error))
        made.append(
            _Step(
                len(made) + 1, "agent", step.response, step.model or None, step.reasoning,
                listed or None, _Observation(seen) if seen else None, _metrics(step), None, 1,
                {"timing": step.timing, "finish_reason": step.finish_reason},
            )
        )  # fmt: skip
    return made


def _spoken(number: int, turn: Assistant, step: Step | None) -> _Step:
    calls: list[_Call] = []
    for call in turn.calls:
        if call.arguments is None:
            raise Unfit(f"a call of {call.name} whose arguments are not a JSON object")
        calls.append(_Call(call.id, call.name, call.arguments))
    made = _Step(number, "agent", turn.content, None, turn.reasoning, calls or None)
    if step is None:
        made.is_copied_context = True
        return made
    made.model_name = step.model or None
    made.llm_call_count = 1
    made.metrics = _metrics(step)
    made.extra = {"timing": step.timing, "finish_reason": step.finish_reason}
    return made


def _metrics(step: Step) -> _Metrics:
    usage, tokens = step.usage, step.tokens
    made = _Metrics(
        usage.input_tokens or None,
        usage.output_tokens or None,
        usage.cached_tokens or None,
        usage.cost or None,
    )
    if tokens is not None:
        made.prompt_token_ids = tokens.prompt_ids or None
        made.completion_token_ids = tokens.response_ids or None
        made.logprobs = tokens.logprobs or None
    return made


def _seen(turn: Results, results: tuple[CallResult, ...]) -> list[_Result]:
    return [
        _result(
            seen.call_id, seen.text, results[index] if results else None, is_error=seen.is_error
        )
        for index, seen in enumerate(turn.observations)
    ]


def _result(identity: str, text: str, result: CallResult | None, *, is_error: bool) -> _Result:
    extra: dict[str, Any] = {"is_error": True} if is_error else {}
    ref = None
    if result is not None:
        if result.agent is not None:
            ref = [_Ref(result.agent)]
        extra["seconds"] = result.seconds
        if result.error_class is not None:
            extra["error_class"] = result.error_class
    return _Result(identity, text, ref, extra or None)


def _gather(
    trajectory: _Trajectory, tools: ToolReader, read: list[tuple[str, Conversation]]
) -> None:
    turns: list[Turn] = []
    for step in trajectory.steps:
        if step.source == "system":
            turns.append(System(step.message))
            continue
        if step.source == "user":
            turns.append(User(step.message))
            continue
        calls = tuple(
            Call(call.tool_call_id, call.function_name, call.arguments)
            for call in step.tool_calls or ()
        )
        train = not step.is_copied_context
        turns.append(Assistant(step.message, calls, step.reasoning_content, train))
        if step.observation is not None:
            names = {call.id: call.name for call in calls}
            turns.append(
                Results(
                    tuple(
                        Seen(
                            each.source_call_id,
                            names.get(each.source_call_id, ""),
                            each.content,
                            bool(each.extra and each.extra.get("is_error")),
                        )
                        for each in step.observation.results
                    )
                )
            )
    known = tools(trajectory.agent.tool_definitions)
    read.append((str(trajectory.trajectory_id), Conversation(tuple(turns), known)))
    for child in trajectory.subagent_trajectories or ():
        _gather(child, tools, read)


FORMATS = (ATIF,)
