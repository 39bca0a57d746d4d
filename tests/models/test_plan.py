"""The `plan` policy."""

import json
from typing import Any

import anyio
import pytest
from hypothesis import given, settings, strategies as st

from nexau.models.base import (
    AssistantMessage,
    Message,
    ModelError,
    ModelRequest,
    ToolCall,
    ToolMessage,
    Turn,
    UserMessage,
)
from nexau.models.check_plan import check_plan
from nexau.models.gold import escape, is_open
from nexau.models.plan import PlanPolicy
from nexau.transports.protocol import Text

pytestmark = pytest.mark.anyio


def step(name: str = "f", /, **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields}


async def play(
    plan: Any, results: dict[str, ToolMessage] | None = None, path: str = "root"
) -> list[Turn]:
    """All turns of one agent. Calls without a result given get their arguments back."""
    policy = PlanPolicy()
    messages: list[Message] = [UserMessage("task")]
    turns: list[Turn] = []
    while True:
        turn = await policy.turn(ModelRequest(messages, (), path, len(turns), plan=plan))
        turns.append(turn)
        if not turn.calls:
            return turns
        messages.append(AssistantMessage(turn.content, turn.calls))
        for call in turn.calls:
            echo = ToolMessage(call.id, (Text(json.dumps(call.arguments)),))
            messages.append((results or {}).get(call.id, echo))


async def test_turns_parallel_calls_and_the_answer() -> None:
    plan = {
        "turns": [[step("a", id="x", arguments={"k": 1}), step("b")], [step("c")]],
        "answer": "done",
    }
    first, second, last = await play(plan)
    assert first.calls == (ToolCall("x", "a", {"k": 1}), ToolCall("0.1", "b", {}))
    assert second.calls == (ToolCall("1.0", "c", {}),)
    assert first.finish_reason == "tool_calls"
    assert (last.content, last.finish_reason, last.model) == ("done", "stop", "plan")


async def test_sub_agents_play_the_plan_of_their_call() -> None:
    def part(name: str) -> dict[str, Any]:
        return {"turns": [[step(name, id="c")]], "answer": f"from {name}"}

    deep = {"turns": [[step("helper", plan=part("deep"))]], "answer": ""}
    plan = {
        "turns": [
            [step("worker", plan=part("one")), step("tool")],
            [step("worker", plan=part("two")), step("worker", plan=deep)],
        ],
        "answer": "",
    }
    for path, name in [
        ("root/worker#1", "one"),
        ("root/worker#2", "two"),
        ("root/worker#3/helper#1", "deep"),
    ]:
        turns = await play(plan, path=path)
        assert [call.name for call in turns[0].calls] == [name]
        assert turns[0].calls[0].id == f"{path.removeprefix('root/')}:c"
        assert turns[-1].content == f"from {name}"


@pytest.mark.parametrize("path", ["root/worker#2", "root/other#1", "root/worker#0", "root/x"])
async def test_a_path_outside_the_plan(path: str) -> None:
    plan = {"turns": [[step("worker", plan={"answer": "x"}), step("plain")]], "answer": ""}
    with pytest.raises(ModelError, match="no call that starts"):
        await play(plan, path=path)
    with pytest.raises(ModelError, match="no plan of its own"):
        await play(plan, path="root/plain#1")


async def test_references_bring_results_into_arguments_and_answer() -> None:
    plan = {
        "turns": [
            [step("find", id="a"), step("count", id="b")],
            [
                step(
                    "use",
                    id="c",
                    arguments={
                        "whole": {"$result": "a"},
                        "row": {"$result": "a", "pointer": "/rows/1"},
                        "list": [{"$result": "b"}, "n={{b}}", {"deep": "{{ a/rows/0/id }}!"}],
                        "odd": {"$result": "a", "pointer": "/a~1b/m~0n"},
                    },
                )
            ],
        ],
        "answer": "{{a/rows}} and {{b}}, {{{{not this}}",
    }
    found = {"rows": [{"id": "r0"}, {"id": "r1"}], "a/b": {"m~n": True}}
    results = {
        "a": ToolMessage("a", (Text("two rows"),), structured=found),
        "b": ToolMessage("b", (Text(" 7"),)),
    }
    turns = await play(plan, results)
    assert turns[1].calls[0].arguments == {
        "whole": found,
        "row": {"id": "r1"},
        "list": [7, "n= 7", {"deep": "r0!"}],
        "odd": True,
    }
    assert turns[2].content == '[{"id":"r0"},{"id":"r1"}] and  7, {{not this}}'


async def test_literal_braces_alone() -> None:
    plan = {"turns": [[step(arguments={"a": "{{{{x}}"})]], "answer": "{{{{y}}"}
    turns = await play(plan)
    assert turns[0].calls[0].arguments == {"a": "{{x}}"}
    assert turns[1].content == "{{y}}"


async def test_references_of_a_sub_agent_are_its_own() -> None:
    child = {"turns": [[step(id="a", arguments={"v": 5})], [step(arguments={"w": "{{a/v}}"})]]}
    plan = {"turns": [[step("worker", id="a", plan=child)]], "answer": "{{a}}"}
    turns = await play(plan, path="root/worker#1")
    assert turns[1].calls[0].arguments == {"w": "5"}


@pytest.mark.parametrize(
    ("pointer", "result", "says"),
    [
        ("/rows/7", ToolMessage("a", (), structured={"rows": []}), "has nothing at /rows/7"),
        ("/rows/01", ToolMessage("a", (), structured={"rows": [1, 2]}), "has nothing at"),
        ("/x", ToolMessage("a", (Text("plain"),)), "is not JSON"),
        ("", ToolMessage("a", (Text("no such table"),), is_error=True), "failed: no such table"),
    ],
)
async def test_a_reference_that_leads_nowhere_ends_the_plan(
    pointer: str, result: ToolMessage, says: str
) -> None:
    plan = {
        "turns": [[step(id="a")], [step(arguments={"x": {"$result": "a", "pointer": pointer}})]],
        "answer": "never",
    }
    turns = await play(plan, {"a": result})
    assert len(turns) == 2
    assert turns[1].content.startswith("The plan cannot go on: ")
    assert says in turns[1].content
    assert turns[1].finish_reason == "stop"


@pytest.mark.parametrize(
    ("plan", "pointer", "message"),
    [
        (None, "", "no plan"),
        ([], "/", "a plan is an object"),
        ({"turn": []}, "/turn", "unknown key; did you mean 'turns'?"),
        ({"turns": {}}, "/turns", "a list of lists"),
        ({"turns": [step()]}, "/turns/0", "a list of calls, not an object"),
        ({"turns": [[]]}, "/turns/0", "without calls"),
        ({"turns": [["f"]]}, "/turns/0/0", "not a string"),
        ({"turns": [[{"id": "a"}]]}, "/turns/0/0/name", "needs the name"),
        ({"turns": [[step(argument={})]]}, "/turns/0/0/argument", "did you mean 'arguments'?"),
        ({"turns": [[step(arguments=[])]]}, "/turns/0/0/arguments", "named values"),
        ({"turns": [[step(arguments={"$result": "a"})]]}, "/turns/0/0/arguments", "named"),
        ({"turns": [[step(id="1")]]}, "/turns/0/0/id", "a letter"),
        ({"turns": [[step(id="a"), step(id="a")]]}, "/turns/0/1/id", "given twice"),
        ({"turns": [[step(id="a"), step(arguments={"x": "{{a}}"})]]},
         "/turns/0/1/arguments/x", "no call of an earlier turn"),
        ({"turns": [[step(id="row")], [step(arguments={"x/y": [{"$result": "rov"}]})]]},
         "/turns/1/0/arguments/x~1y/0", "did you mean 'row'?"),
        ({"turns": [[step(id="a")], [step(arguments={"x": {"$result": "a", "at": "/"}})]]},
         "/turns/1/0/arguments/x", "unknown key 'at'"),
        ({"turns": [[step(id="a")], [step(arguments={"x": {"$result": 1}})]]},
         "/turns/1/0/arguments/x", "must be strings"),
        ({"turns": [[step(id="a")], [step(arguments={"x": {"$result": "a", "pointer": "b"}})]]},
         "/turns/1/0/arguments/x", "begin with /"),
        ({"answer": "{{a"}, "/answer", "`{{` without `}}`"),
        ({"answer": 5}, "/answer", "a string, not a number"),
        ({"turns": [[step(plan={"turns": [[step(plan=5)]]})]]},
         "/turns/0/0/plan/turns/0/0/plan", "a plan is an object"),
    ],
)  # fmt: skip
async def test_plans_that_cannot_be_played(plan: Any, pointer: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        await play(plan)
    assert message in str(caught.value)
    if plan is not None:
        (problem,) = check_plan(plan)
        assert problem.pointer == pointer.rstrip("/")
        assert message in problem.message


def test_all_problems_are_found() -> None:
    plan = {"turns": [[step(id="-"), step("")]], "answer": "{{x}}", "more": 1}
    assert [problem.pointer for problem in check_plan(plan)] == [
        "/more",
        "/turns/0/0/id",
        "/turns/0/1/name",
        "/answer",
    ]


def test_plans_nested_too_deep() -> None:
    plan: dict[str, Any] = {"answer": "x"}
    for _ in range(20):
        plan = {"turns": [[step(plan=plan)]]}
    assert "nested deeper" in check_plan(plan)[0].message


async def test_one_policy_serves_many_plans_at_once() -> None:
    policy = PlanPolicy()
    plans = [{"turns": [[step(f"f{i}")]], "answer": str(i)} for i in range(100)]
    for turn in range(2):
        for i, plan in enumerate(plans):
            made = await policy.turn(ModelRequest((), (), "root", turn, plan=plan))
            expected = (f"f{i}",) if turn == 0 else ()
            assert tuple(call.name for call in made.calls) == expected


async def test_latency_ends_at_the_deadline() -> None:
    policy = PlanPolicy(latency=0.01)
    plan = {"answer": "x"}
    assert (await policy.turn(ModelRequest((), plan=plan))).content == "x"
    before = anyio.current_time()
    slow = PlanPolicy(latency=1000.0)
    with pytest.raises(ModelError, match="deadline"):
        await slow.turn(ModelRequest((), plan=plan, deadline=before + 0.01))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
@settings(max_examples=50)
def test_a_pointer_leads_to_every_value(found: dict[str, Any]) -> None:
    async def check() -> None:
        for key, value in found.items():
            reference = {"$result": "a", "pointer": f"/{escape(key)}"}
            plan = {"turns": [[step(id="a")], [step(arguments={"x": reference})]]}
            turns = await play(plan, {"a": ToolMessage("a", (), structured=found)})
            assert turns[1].calls[0].arguments == {"x": value}

    anyio.run(check)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=3))
@settings(max_examples=50)
def test_what_holds_no_reference_is_played_as_it_is(arguments: dict[str, Any]) -> None:
    if is_open(arguments):
        return

    async def check() -> None:
        turns = await play({"turns": [[step(arguments=arguments)]]})
        assert turns[0].calls[0].arguments == arguments

    anyio.run(check)


def test_plans_of_a_conversation_share_their_ids() -> None:
    first = {"turns": [[{"id": "a", "name": "x"}]], "answer": "1"}
    refers = {"turns": [[{"name": "x", "arguments": {"y": {"$result": "a"}}}]], "answer": "{{a}}"}
    assert check_plan({**first, "then": [refers]}) == []
    twice = check_plan({**first, "then": [first]})
    assert [p.pointer for p in twice] == ["/then/0/turns/0/0/id"]
    nested = check_plan({**first, "then": [{"answer": "", "then": [first]}]})
    assert [p.pointer for p in nested] == ["/then/0/then"]
    assert [p.pointer for p in check_plan({"then": 3})] == ["/then"]
    assert [p.pointer for p in check_plan({"then": [3]})] == ["/then/0"]
