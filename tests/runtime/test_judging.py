"""Scores, next-state signals, pass@k and pass^k."""

import itertools
from math import isclose
from typing import Any

import anyio
import pytest
from hypothesis import given, strategies as st

import nexau
from nexau.definitions.functions import python_tool
from nexau.definitions.values import Agent, Saying, Task, User
from nexau.models.base import ModelRequest, Turn
from nexau.scoring.judging import Ended, score_of
from nexau.scoring.nextstate import majority
from nexau.scoring.passk import pass_all, pass_at
from nexau.testing import FunctionPolicy, calls, turns
from nexau.trajectory import Score, Signal, Trajectory

pytestmark = pytest.mark.anyio


async def look(what: str) -> list[str]:
    """Looks something up.

    Args:
        what: What to look up.
    """
    if what == "trouble":
        raise ValueError("no such thing")
    return [] if what == "nothing" else [what]


class Answers:
    """Scores by the answer alone."""

    async def judge(self, ended: Ended) -> Score | None:
        if ended.task.check is None:
            return None
        right = ended.finished.answer == ended.task.check
        return score_of(ended, {"answer": float(right)}, () if right else ("another answer",))


async def play(policy: Any, *tasks: Task, **options: Any) -> tuple[list[Trajectory], Any]:
    agent = Agent("a", policy, tools=(python_tool(look),))
    async with nexau.open_runtime() as runtime:
        async with runtime.rollouts(agent, tasks, **options) as run:
            done = [trajectory async for trajectory in run]
            return done, run.summary()


async def test_a_rollout_is_scored_by_the_check_of_its_task() -> None:
    done, summary = await play(
        turns("42"), Task("a", check="42"), Task("b", check="43"), Task("c"), judge=Answers()
    )
    by_task = {t.input: t for t in done}
    assert by_task["a"].reward == 1.0
    assert by_task["b"].score == Score(0.0, {"answer": 0.0}, ("another answer",))
    assert by_task["c"].reward is None
    assert summary.passes.scored == 2
    assert summary.passes.pass_at == {"1": 0.5}


async def test_an_early_end_is_worth_nothing() -> None:
    agent = Agent("a", turns(calls(("look", {"what": "x"}))), limits=nexau.Limits(steps=1))
    async with nexau.open_runtime() as runtime:
        task = [Task("a", check=None, id="x"), Task("b", check="42")]
        async with runtime.rollouts(agent, task, judge=Answers()) as run:
            done = {t.input: t async for t in run}
    assert done["b"].status == "limit"
    assert done["b"].reward == 0.0


async def test_a_judge_that_fails_leaves_a_note_and_no_score() -> None:
    class Broken:
        async def judge(self, ended: Ended) -> Score | None:
            raise LookupError("no table")

    done, summary = await play(turns("42"), Task("a", check="42"), judge=Broken())
    assert done[0].status == "completed"
    assert done[0].reward is None
    assert "no table" in done[0].unscored
    assert summary.passes is None


async def test_pass_rates_over_repeats() -> None:
    def sometimes(request: ModelRequest) -> Turn:
        return Turn(content="42" if next(counter) % 2 else "no")

    counter = itertools.count()
    done, summary = await play(
        FunctionPolicy(sometimes), Task("a", check="42"), judge=Answers(), repeat=2, concurrency=1
    )
    assert sorted(t.reward or 0 for t in done) == [0.0, 1.0]
    assert summary.passes.pass_at == {"1": 0.5, "2": 1.0}
    assert summary.passes.pass_all == {"1": 0.5, "2": 0.0}


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_the_estimators_count_subsets(passed: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(passed)))
    subsets = list(itertools.combinations(passed, k))
    n, c = len(passed), sum(passed)
    assert isclose(pass_at(n, c, k), sum(map(any, subsets)) / len(subsets))
    assert isclose(pass_all(n, c, k), sum(map(all, subsets)) / len(subsets))


async def signals(policy: Any, task: Task, **options: Any) -> list[Signal | None]:
    done, _ = await play(policy, task, signals=True, **options)
    return [step.signal for step in done[0].steps]


def values(found: list[Signal | None]) -> list[int | None]:
    return [None if signal is None else signal.value for signal in found]


async def test_what_the_tools_say_judges_the_turn() -> None:
    policy = turns(
        calls(("look", {"what": "x"})),
        calls(("look", {"what": "nothing"})),
        calls(("look", {"what": "trouble"})),
        calls(("look", {"what": "x"})),
        calls(("look", {"whom": "x"})),
        "done",
    )
    found = await signals(policy, Task("a"))
    # The last turn has nothing after it.
    assert values(found) == [1, 0, -1, -1, -1, None]
    assert found[3] is not None
    assert "called before" in found[3].evidence


async def test_what_the_user_says_judges_the_answer() -> None:
    user = User(says=(Saying("and now?", expects=("a",)),), expects=("b",))
    found = await signals(turns("no", "a", "b"), Task("x", user=user))
    assert values(found) == [-1, 1, 1]


async def test_the_score_judges_the_last_turn() -> None:
    found = await signals(turns("42"), Task("x", check="43"), judge=Answers())
    assert values(found) == [-1]


async def test_a_judge_model_votes_where_rules_do_not_tell() -> None:
    votes = iter(("1", "-1", "the vote is 1"))
    judge = FunctionPolicy(lambda request: Turn(content=next(votes)))
    policy = turns(calls(("look", {"what": "nothing"})), "done")
    found = await signals(policy, Task("x"), judge_model=judge)
    assert found[0] == Signal(1, "look found nothing", "judge", (-1, 1, 1))
    assert len(judge.requests) == 3


def test_a_tie_tells_nothing() -> None:
    assert majority([1, -1]) == 0
    assert majority([1, 1, -1]) == 1
    assert majority([-1]) == -1
    assert majority([]) == 0


async def test_a_judge_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        async def judge(self, ended: Ended) -> Score | None:
            await anyio.sleep_forever()
            raise AssertionError

    monkeypatch.setattr("nexau.rollout.JUDGE_SECONDS", 0.01)
    done, _ = await play(turns("42"), Task("a", check="42"), judge=Silent())
    assert done[0].reward is None
    assert "did not answer" in done[0].unscored
