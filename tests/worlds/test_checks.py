"""Checks of tasks: what they find, and what is wrong with them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexau.synth.worlds.checks import CheckError, compile_check, read_world_tasks
from nexau.synth.worlds.engine import call
from nexau.synth.worlds.evaluate import evaluate
from nexau.synth.worlds.state import State, Template
from tests.worlds.worlds_for_tests import world_of


@pytest.fixture
def lent(template: Template, state: State) -> State:
    who = next(row["id"] for row in state.rows("member") if not row["blocked"] and not row["fines"])
    assert not call(state, "lend", {"book_id": 3, "member_id": who}).is_error
    return state


def failures(template: Template, after: State, check: Any, answer: str = "") -> list[str]:
    before = template.state()
    try:
        outcome = evaluate(compile_check(template.world, check), before, after, answer)
        assert outcome.passed == (not outcome.failures())
        return outcome.failures()
    finally:
        before.close()


@pytest.mark.parametrize(
    "check",
    [
        {"expect": ["exists(loan where loan.book_id == 3 and loan.due == today() + 28)"]},
        {"expect": ["count(loan) == before(count(loan)) + 1", "before(count(loan)) > 5"]},
        {"changes": {"loan": {"added": 1}, "book": {"changed": 1, "fields": ["copies"]}}},
    ],
)
def test_holds(template: Template, lent: State, check: Any) -> None:
    assert failures(template, lent, check) == []


@pytest.mark.parametrize(
    ("check", "evidence"),
    [
        ({"expect": ["count(loan) == before(count(loan))"]}, "it does not hold"),
        ({"changes": {"loan": {"added": 1}}}, "book: unchanged: changed 1 (3)"),
        ({"changes": {}}, "loan: unchanged: added 1 (11)"),
        (
            {"changes": {"loan": {"added": 2}, "book": {"changed": 1}}},
            "loan: 2 added: added 1 (11)",
        ),
        (
            {"changes": {"loan": {"added": 1}, "book": {"changed": 1, "fields": ["title"]}}},
            "also changed copies",
        ),
        (
            {"changes": {"loan": {"added": 1}, "book": {"changed": 1}, "member": {"removed": 1}}},
            "member: 1 removed: removed 0",
        ),
    ],
)
def test_fails_with_its_evidence(
    template: Template, lent: State, check: Any, evidence: str
) -> None:
    assert evidence in "\n".join(failures(template, lent, check))


@pytest.mark.parametrize(
    ("form", "answer", "passes"),
    [
        ({"contains": ["M-100"]}, "It is for m-100.", True),
        ({"contains": ["M-10"]}, "It is for M-100.", False),
        ({"contains": ["12100"]}, "That makes 12,100 cents.", True),
        ({"contains": ["121.00"]}, "That makes 121 euros.", True),
        ({"contains": ["12"]}, "That makes 121 euros.", False),
        ({"contains": ["The  Swift\nRiver"]}, "the swift river", True),
        ({"contains": ["a", "b"]}, "a", False),
        ({"any": ["no", "cannot"]}, "I cannot do that.", True),
        ({"any": ["no"]}, "I know that.", False),
        ({"lacks": ["secret"]}, "A secret.", False),
        ({"values": ["count(book)", "max(book.id for book) // 2"]}, "20 books, half are 10", True),
        ({"values": ["count(book)"]}, "21 books", False),
        ({"values": ["min(loan.back for loan where false)"]}, "None", False),
    ],
)
def test_answers(template: Template, state: State, form: Any, answer: str, passes: bool) -> None:
    assert (failures(template, state, {"answer": form}, answer) == []) == passes


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ([], "check: expected a mapping, got a list"),
        ({}, "check: expected one of expect, changes and answer"),
        ({"expects": []}, "unknown key 'expects'; did you mean 'expect'?"),
        ({"expect": ["1"]}, "check.expect[0]: expected a condition"),
        ({"expect": [5]}, "check.expect[0]: expected text"),
        ({"expect": ["count(lon) > 1"]}, "did you mean 'loan'?"),
        ({"expect": ["before(1, 2) > 1"]}, "before takes one expression"),
        ({"changes": {"lone": {}}}, "no entity 'lone'; did you mean 'loan'?"),
        ({"changes": {"loan": {"fields": ["du"]}}}, "loan has no field 'du'; did you mean 'due'?"),
        ({"answer": {"values": ["x"]}}, "check.answer.values[0]: nothing is called 'x' here"),
    ],
)
def test_what_is_refused(check: Any, message: str) -> None:
    with pytest.raises(CheckError) as caught:
        compile_check(world_of(), check)
    assert message in str(caught.value)


def test_a_tasks_file_tells_all_that_is_wrong(tmp_path: Path) -> None:
    arguments = {"a": {"$result": "y"}}
    lines = [
        {"input": "fine", "check": {"changes": {}}},
        {"input": "bad check", "check": {"expect": ["count(loon) > 1"]}},
        {"input": "bad plan", "plan": {"turns": [[{"name": "x", "arguments": arguments}]]}},
    ]
    file = tmp_path / "lending.tasks.jsonl"
    file.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    tasks, problems = read_world_tasks(file, world_of())
    assert [task.id for task in tasks] == ["1", "2", "3"]
    assert [(each.line, each.path) for each in problems] == [
        (2, "check.expect[0]"),
        (3, "plan/turns/0/0/arguments/a"),
    ]
    file.write_bytes(b'{"input": 5}\n')
    assert "input" in str(read_world_tasks(file, world_of())[1][0])
    assert "cannot be read" in str(read_world_tasks(tmp_path / "none", world_of())[1][0])
