"""Simulated users: scripts, models, what is recorded, how the conversation ends."""

import pytest

import nexau
from nexau.definitions.values import Agent, Saying, Task, User
from nexau.fold import fold
from nexau.models.base import ModelRequest, Turn, UserMessage
from nexau.scoring.users import Reply, ScriptedUser, holds
from nexau.testing import FunctionPolicy, ListSink, turns
from nexau.trajectory import Event, Trajectory, UserOutcome, UserSaid

pytestmark = pytest.mark.anyio


def test_facts_are_found_whatever_their_case_and_thousands_marks() -> None:
    assert holds("You paid 1,250 EUR\nin  total.", ("1250 eur in total",))
    assert not holds("nothing", ("1250",))
    assert holds("anything", ())


def test_a_script_complains_as_long_as_it_is_patient_then_leaves() -> None:
    user = ScriptedUser(User(says=(Saying("And B?", expects=("a",)),), expects=("b",)))
    assert user.reply("no") == Reply("That is not what I asked for.")
    assert user.reply("A it is") == Reply("And B?")
    assert user.reply("no") == Reply("That is not what I asked for.", done=True, content=False)
    user = ScriptedUser(User(says=(Saying("And B?"),), expects=("b",)))
    assert user.reply("x") == Reply("And B?")
    assert user.reply("b") == Reply(None, done=True, content=True)


async def play(agent: Agent, task: Task, **options: object) -> tuple[Trajectory, list[Event]]:
    sink = ListSink("events")
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent, [task], sinks=[sink], **options) as run:  # type: ignore[arg-type]
            trajectory = await anext(run)
            await run.wait()
    return trajectory, sink.items  # type: ignore[return-value]


async def test_the_agent_sees_each_message_and_the_record_has_it() -> None:
    policy = turns("first", "second", "third")
    says = (Saying("more"), Saying("and more"))
    trajectory, events = await play(Agent("a", policy), Task("begin", user=User(says=says)))
    assert [str(r.messages[-1].content) for r in policy.requests] == ["begin", "more", "and more"]
    assert trajectory.status == "completed"
    assert trajectory.answer == "third"
    assert trajectory.user == UserOutcome(("more", "and more"), content=True)
    assert [s.prompt for s in trajectory.steps[1:]] == [
        (UserMessage("more"),),
        (UserMessage("and more"),),
    ]
    assert [e.text for e in events if isinstance(e, UserSaid)] == ["more", "and more", ""]
    assert fold(events) == list(trajectory.steps)


async def test_a_user_who_does_not_get_it_leaves_unhappy() -> None:
    user = User(expects=("42",), patience=0)
    trajectory, _ = await play(Agent("a", turns("no idea")), Task("what?", user=user))
    assert trajectory.user == UserOutcome(("That is not what I asked for.",), content=False)
    assert trajectory.status == "completed"


async def test_a_model_plays_a_user_with_a_hidden_goal() -> None:
    def speak(request: ModelRequest) -> Turn:
        assert "to leave early" in str(request.messages[0].content)
        heard = str(request.messages[-1].content)
        return Turn(content="<done/>" if "goodbye" in heard else "I should go.")

    policy = turns("hello", "goodbye")
    trajectory, _ = await play(
        Agent("a", policy),
        Task("hi", user=User(persona="a guest", goal="to leave early")),
        user_model=FunctionPolicy(speak),
    )
    assert trajectory.user == UserOutcome(("I should go.",), content=True)
    assert not any("to leave early" in str(r.messages) for r in policy.requests)


async def test_a_users_model_that_fails_fails_the_rollout() -> None:
    def broken(request: ModelRequest) -> Turn:
        raise nexau.ModelError("no more quota")

    trajectory, _ = await play(
        Agent("a", turns("hello")),
        Task("hi", user=User(goal="anything")),
        user_model=FunctionPolicy(broken),
    )
    assert trajectory.status == "failed"
    assert trajectory.error is not None
    assert "no more quota" in trajectory.error.message


async def test_the_plan_goes_on_with_the_users_next_message() -> None:
    plan = {"turns": [], "answer": "one", "then": [{"turns": [], "answer": "two"}]}
    task = Task("begin", plan=plan, user=User(says=(Saying("more", ("one",)),), expects=("two",)))
    trajectory, _ = await play(Agent("a", nexau.PlanModel()), task)
    assert [s.response for s in trajectory.steps] == ["one", "two"]
    assert trajectory.user is not None
    assert trajectory.user.content
