"""The `replay` policy."""

from pathlib import Path

import msgspec
import pytest

from nexau.definitions.values import DefinitionError
from nexau.models.base import (
    AssistantMessage,
    Message,
    ModelError,
    ModelRequest,
    TokenData,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from nexau.models.replay import ReplayPolicy, read_trajectories
from nexau.trajectory import SCHEMA, CallResult, Started, Step, Trajectory
from nexau.transports.protocol import Text, Usage

pytestmark = pytest.mark.anyio

CALL = ToolCall("c0", "look", {"q": 1})
PROMPT: tuple[Message, ...] = (UserMessage("task"),)


def trajectory(task: str = "t", seed: int = 0, answer: str = "42") -> Trajectory:
    steps = (
        Step(
            f"{task}/0", 0, "root", 0, PROMPT, "Looking.", (CALL,),
            (CallResult("c0", (Text("found"),), structured={"a": 1}),), "Hm.", "tool_calls", "m",
            Usage(1, 2), tokens=TokenData((1,), (2,), (-0.5,)),
        ),
        Step(f"{task}/0", 1, "root", 1, (), answer, model="m"),
        Step(f"{task}/0", 2, "root/w#1", 0, (UserMessage("sub"),), "from w"),
    )  # fmt: skip
    return Trajectory(SCHEMA, f"{task}/0", task, "task", "a", "completed", steps, seed=seed)


def observed(text: str = "found", call_id: str = "c0") -> list[Message]:
    return [
        *PROMPT,
        AssistantMessage("Looking.", (CALL,), "Hm."),
        ToolMessage(call_id, (Text(text),), structured={"another": 2}),
    ]


async def test_turns_come_back_as_they_were() -> None:
    policy = ReplayPolicy([trajectory()])
    first = await policy.turn(ModelRequest(PROMPT, task="t"))
    assert (first.content, first.calls, first.reasoning) == ("Looking.", (CALL,), "Hm.")
    assert (first.finish_reason, first.model, first.usage) == ("tool_calls", "m", Usage(1, 2))
    assert first.tokens == TokenData((1,), (2,), (-0.5,))
    last = await policy.turn(ModelRequest(observed(), turn=1, task="t"))
    assert (last.content, last.calls, last.finish_reason) == ("42", (), "stop")
    child = ModelRequest((UserMessage("sub"),), path="root/w#1", task="t")
    assert (await policy.turn(child)).content == "from w"


@pytest.mark.parametrize(
    ("messages", "turn", "says"),
    [
        ([UserMessage("another")], 0, "turn 0 of root: message 0 is "),
        ([], 0, "turn 0 of root: 0 messages"),
        ([UserMessage("more"), *PROMPT], 0, "turn 0 of root: 2 messages"),
        (observed("nothing"), 1, '"text":"nothing"'),
        (observed(call_id="c9"), 1, "message 2 is "),
        (observed()[:2], 1, "message 1 is the model's own, recorded was "),
    ],
)
async def test_where_a_prompt_diverges(messages: list[Message], turn: int, says: str) -> None:
    policy = ReplayPolicy([trajectory()], source="old.jsonl")
    with pytest.raises(ModelError) as caught:
        await policy.turn(ModelRequest(messages, turn=turn, task="t"))
    assert str(caught.value).startswith("old.jsonl: the replay of t/0 diverges at turn")
    assert says in str(caught.value)


async def test_which_trajectory_is_played() -> None:
    recorded = [trajectory("t", 1, "one"), trajectory("t", 2, "two"), trajectory("u", 1, "u")]
    policy = ReplayPolicy(recorded)

    async def answer(task: str, seed: int) -> str:
        request = ModelRequest(observed(), turn=1, task=task, seed=seed)
        return (await policy.turn(request)).content

    assert [await answer("t", 2), await answer("t", 9), await answer("u", 5)] == ["two", "one", "u"]
    with pytest.raises(ModelError, match="no trajectory of the task 'v'; tasks: t, u"):
        await answer("v", 1)
    assert (await ReplayPolicy(recorded[2:]).turn(ModelRequest(PROMPT, task="v"))).calls


async def test_the_end_of_a_trajectory() -> None:
    policy = ReplayPolicy([trajectory()])
    with pytest.raises(ModelError, match="has no turn 2 of root"):
        await policy.turn(ModelRequest(PROMPT, turn=2, task="t"))


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    lines = [Started("t/0", 0, 0.0, "root", "a", PROMPT), trajectory(), trajectory("u")]
    file.write_bytes(b"\n".join(map(msgspec.json.encode, lines)) + b"\n\n")
    assert read_trajectories(file) == lines[1:]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "holds no trajectory"),
        (b'{"type": "step"}\n', "holds no trajectory"),
        (b"\n{oops\n", ":2:1: not a line of JSON"),
        (b"[1]\n", ":1:1: not a line of JSON"),
        (b'{"type": "trajectory"}\n', ":1:1: not a trajectory"),
    ],
)
def test_files_that_cannot_be_replayed(tmp_path: Path, data: bytes, says: str) -> None:
    file = tmp_path / "run.jsonl"
    file.write_bytes(data)
    with pytest.raises(DefinitionError) as caught:
        read_trajectories(file)
    assert says in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="cannot be read"):
        read_trajectories(tmp_path / "none.jsonl")
