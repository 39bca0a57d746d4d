"""From a trajectory to conversations: each agent's own, or the whole rollout as one agent's."""

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from nexau.models.base import AssistantMessage, Message, SystemMessage, ToolMessage, UserMessage
from nexau.models.openai_prompt import tool_text
from nexau.synth.data.conversation import (
    Assistant,
    Conversation,
    Observation,
    Results,
    System,
    Turn,
    Unfit,
    User,
)
from nexau.synth.data.spoken import AnyResult, AnyStep, AnyTrajectory
from nexau.transports.protocol import Audio, Image, Resource, Text, ToolSpec

Loss = Literal["all", "final"]
"""Which of the assistant's turns the loss counts: all of them, or only an agent's last."""

_KEPT = 256


class Options(Struct, frozen=True):
    flattened: bool = False
    """The whole rollout as one agent that has everybody's tools, instead of one for each agent."""
    loss: Loss = "all"
    mask_errors: bool = False
    """The loss passes over turns of which a call failed."""
    media: Literal["refuse", "note"] = "refuse"
    """Images and audio in a result: `Unfit`, or the note that models without eyes are shown."""


class Piece(Struct, frozen=True):
    """One conversation of a rollout."""

    path: str
    """The agent's path in the tree; empty for a flattened one."""
    conversation: Conversation


class ToolTables:
    """The tools of definitions, decoded once for each text, so that equal ones are one object."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[ToolSpec, ...]] = {}
        self._decoder = msgspec.json.Decoder(tuple[ToolSpec, ...])
        self._merged: dict[tuple[bytes, ...], tuple[ToolSpec, ...]] = {}

    def of(self, raw: Raw) -> tuple[ToolSpec, ...]:
        text = bytes(raw)
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[text] = self._decoder.decode(text)
        return found

    def merged(self, trajectory: AnyTrajectory) -> tuple[ToolSpec, ...]:
        """Everybody's tools but the sub-agents. Raises `Unfit` where two have the same name."""
        key = tuple([bytes(record.tools) for record in trajectory.agents])
        found = self._merged.get(key)
        if found is None:
            if len(self._merged) >= _KEPT:
                self._merged.clear()
            found = self._merged[key] = self._merge(trajectory)
        return found

    def _merge(self, trajectory: AnyTrajectory) -> tuple[ToolSpec, ...]:
        names = {record.name for record in trajectory.agents}
        tools: dict[str, ToolSpec] = {}
        for record in trajectory.agents:
            for spec in self.of(record.tools):
                if spec.name not in names and tools.setdefault(spec.name, spec) != spec:
                    raise Unfit(f"two agents have different tools of the name {spec.name}")
        return tuple(tools.values())


class Part(Struct, frozen=True, gc=False):
    """One agent of a rollout."""

    path: str
    steps: list[AnyStep]
    tools: tuple[ToolSpec, ...]


def parts(trajectory: AnyTrajectory, tables: ToolTables) -> list[Part]:
    """The agents, parents before their children, siblings by the number of the call."""
    by_agent = _by_agent(trajectory)
    tools = {record.name: record.tools for record in trajectory.agents}
    made: list[Part] = []
    for path in sorted(by_agent, key=_order) if len(by_agent) > 1 else by_agent:
        raw = tools.get(definition_of(path, trajectory.agent))
        made.append(Part(path, by_agent[path], tables.of(raw) if raw is not None else ()))
    return made


def _by_agent(trajectory: AnyTrajectory) -> dict[str, list[AnyStep]]:
    made: dict[str, list[AnyStep]] = {}
    steps: tuple[AnyStep, ...] = trajectory.steps
    if len({step.agent for step in steps}) == 1:
        return {steps[0].agent: list(steps)}
    for step in steps:
        made.setdefault(step.agent, []).append(step)
    return made


def pieces(trajectory: AnyTrajectory, tables: ToolTables, options: Options) -> Iterator[Piece]:
    """Raises `Unfit`."""
    if options.flattened:
        yield Piece("", _flattened(trajectory, _by_agent(trajectory), tables, options))
        return
    for part in parts(trajectory, tables):
        yield Piece(part.path, Conversation(_turns(part.steps, options), part.tools))


def definition_of(path: str, root: str) -> str:
    """The name of the definition at a path: `root/researcher#2` is a `researcher`."""
    last = path.rpartition("/")[2]
    return root if last == path else last.partition("#")[0]


def _order(path: str) -> tuple[tuple[str, int], ...]:
    names = [part.partition("#") for part in path.split("/")]
    return tuple((name, int(number) if number.isdigit() else 0) for name, _, number in names)


def _turns(steps: list[AnyStep], options: Options) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    last = len(steps) - 1
    for index, step in enumerate(steps):
        if step.prompt:
            _give(turns, step.prompt)
        counted = options.loss == "all" or index == last
        turns.append(assistant(step, options, counted=counted))
        if step.results:
            turns.append(results(step, options))
    return tuple(turns)


def assistant(step: AnyStep, options: Options, *, counted: bool = True) -> Assistant:
    """What the model said in a step."""
    if counted and options.mask_errors:
        counted = not any(result.is_error for result in step.results)
    return Assistant(step.response, step.calls, step.reasoning, counted)


def results(step: AnyStep, options: Options) -> Results:
    """What came back in a step. Raises `Unfit`."""
    given: tuple[AnyResult, ...] = step.results
    if len(step.calls) == 1 == len(given):
        (call,), (result,) = step.calls, given
        text = _text(result, step, options)
        return Results((Observation(call.id, call.name, text, result.is_error),))
    if len(step.results) != len(step.calls):
        raise Unfit(f"{step.agent} turn {step.turn}: {len(step.calls)} calls, but "
                    f"{len(step.results)} results")  # fmt: skip
    return Results(
        tuple(
            [
                Observation(call.id, call.name, _text(result, step, options), result.is_error)
                for call, result in zip(step.calls, given, strict=True)
            ]
        )
    )


def _text(result: AnyResult, step: AnyStep, options: Options) -> str:
    content = result.content
    if len(content) == 1 and type(content[0]) is Text:
        return content[0].text
    if options.media == "refuse":
        for part in content:
            if isinstance(part, Image | Audio) or _is_binary(part):
                raise Unfit(f"{step.agent} turn {step.turn}: the result of {result.call_id} holds "
                            f"{type(part).__name__.lower()} data")  # fmt: skip
    return tool_text(ToolMessage(result.call_id, content, result.is_error, result.structured))


def _is_binary(part: object) -> bool:
    return isinstance(part, Resource) and part.resource.blob is not None


def _give(turns: list[Turn], prompt: tuple[Message, ...]) -> None:
    """Adds messages that stood in the prompt: nothing of them is the model's own."""
    for message in prompt:
        turn = _given(message)
        before = turns[-1] if turns else None
        if isinstance(turn, Results) and isinstance(before, Results):
            turns[-1] = Results(before.observations + turn.observations)
        else:
            turns.append(turn)


def _given(message: Message) -> Turn:
    match message:
        case SystemMessage():
            return System(message.content)
        case UserMessage():
            return User(message.content)
        case AssistantMessage():
            return Assistant(message.content, message.calls, message.reasoning, train=False)
        case ToolMessage():
            text = tool_text(message)
            return Results((Observation(message.call_id, "", text, message.is_error),))


class _Flat:
    """One agent with everybody's tools: delegations are replaced by what the sub-agents did."""

    def __init__(self, by_agent: dict[str, list[AnyStep]], options: Options) -> None:
        self.turns: list[Turn] = []
        self._by_agent = by_agent
        self._options = options
        self._said = ""
        """What a sub-agent answered: it goes before the next text."""

    def add(self, path: str) -> None:
        for step in self._by_agent.get(path, ()):
            if path == "root":
                _give(self.turns, step.prompt)
            self._step(step)

    def _step(self, step: AnyStep) -> None:
        whole = assistant(step, self._options)
        observed = results(step, self._options).observations if step.results else ()
        below = [result.agent for result in step.results]
        own = [index for index, agent in enumerate(below) if agent not in self._by_agent]
        calls = tuple(whole.calls[index] for index in own) if step.results else whole.calls
        content = "\n\n".join(filter(None, (self._said, whole.content)))
        self._said = ""
        final = not whole.calls and step.agent != "root"
        if calls or not (whole.calls or final):
            self.turns.append(Assistant(content, calls, whole.reasoning, whole.train))
        else:
            self._said = content
        if calls and observed:
            self.turns.append(Results(tuple(observed[index] for index in own)))
        for agent in below:
            if agent in self._by_agent:
                self.add(agent)


def _flattened(
    trajectory: AnyTrajectory,
    by_agent: dict[str, list[AnyStep]],
    tables: ToolTables,
    options: Options,
) -> Conversation:
    """Raises `Unfit` where two agents have different tools of one name."""
    flat = _Flat(by_agent, options)
    flat.add("root")
    tools = tables.merged(trajectory)
    turns = flat.turns
    if options.loss == "final":
        turns = _only_last(turns)
    return Conversation(tuple(_with_prompts(turns, by_agent)), tools)


def _only_last(turns: list[Turn]) -> list[Turn]:
    spoken = [index for index, turn in enumerate(turns) if isinstance(turn, Assistant)]
    return [
        msgspec.structs.replace(turn, train=turn.train and index == spoken[-1])
        if isinstance(turn, Assistant)
        else turn
        for index, turn in enumerate(turns)
    ]


def _with_prompts(turns: list[Turn], by_agent: dict[str, list[AnyStep]]) -> Iterator[Turn]:
    """The system prompts of sub-agents follow the root's, each under its name, once."""
    prompts: dict[str, str] = {}
    for path, steps in by_agent.items():
        given = steps[0].prompt
        if path != "root" and given and isinstance(given[0], SystemMessage):
            prompts.setdefault(definition_of(path, ""), given[0].content)
    below = [f"## {name}\n{text}" for name, text in sorted(prompts.items())]
    first = turns[0] if turns else None
    if isinstance(first, System):
        yield System("\n\n".join([first.content, *below]))
        yield from turns[1:]
        return
    if below:
        yield System("\n\n".join(below))
    yield from turns
