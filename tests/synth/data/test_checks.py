"""Every rule finds its defect, and says nothing against what is clean."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from nexau.models.base import ToolCall
from nexau.synth.data.checks.ends import script, unbalanced
from nexau.synth.data.checks.facts import Limits
from nexau.synth.data.checks.grounding import follows
from nexau.synth.data.checks.honesty import claimed
from nexau.synth.data.checks.leaks import grams8, luhn, secret
from nexau.synth.data.checks.mutations import MUTATIONS
from nexau.synth.data.checks.proof import prove
from nexau.synth.data.checks.repetition import repeated_share
from nexau.synth.data.checks.rule import Finding
from nexau.synth.data.checks.rules import RULES, Checker
from nexau.trajectory import CallResult, Step, Trajectory
from nexau.transports.protocol import Text
from tests.synth.data.rollouts import rollout
from tests.synth.data.samples import text

CLEAN = [rollout(n) for n in range(12)]


def found(trajectory: Trajectory, **limits: Any) -> set[str]:
    return {each.rule for each in Checker(Limits(**limits)).check(trajectory)}


def changed(trajectory: Trajectory, index: int, **changes: Any) -> Trajectory:
    steps = tuple(replace(s, **changes) if s.index == index else s for s in trajectory.steps)
    answer = steps[-1].response
    return replace(trajectory, steps=steps, answer=answer)


def test_there_is_a_mutation_for_every_rule() -> None:
    assert [rule.name for rule in RULES] == list(MUTATIONS)
    assert [rule.number for rule in RULES] == list(range(1, 28))
    assert all((rule.says and "\n" not in rule.says.strip("\n")) or rule.says for rule in RULES)


def test_the_rules_of_facts_find_their_defects_and_no_others() -> None:
    rows = {row.rule: row for row in prove(CLEAN, seed=3)}
    for row in rows.values():
        assert row.false == 0, row
        if row.ground == "facts":
            assert row.defects, row
            assert row.recall >= 0.95, row


def test_a_proof_is_the_same_by_its_seed() -> None:
    assert prove(CLEAN[:4], seed=5) == prove(CLEAN[:4], seed=5)


def test_evidence_names_step_path_and_text() -> None:
    broken = changed(
        CLEAN[0], 2, calls=(ToolCall("p2", "pay", {"customer_id": "C-999", "amount": 1}),)
    )
    (finding,) = [f for f in Checker().check(broken) if f.rule == "ungrounded_argument"]
    assert finding == Finding(
        "ungrounded_argument",
        "hard",
        "customer_id 'C-999' is in nothing that root/payer#1 has seen",
        2,
        "root/payer#1",
        "calls/0/arguments/customer_id",
    )


def test_a_schema_error_that_was_corrected_is_no_fault() -> None:
    # The clean rollout has one: the server refused it, and the next call was right.
    assert found(CLEAN[0]) == set()
    never = changed(CLEAN[0], 2, calls=(ToolCall("p2", "pay", {"customer_id": "C-100"}),))
    assert "schema" in found(never)


def test_a_repeat_after_a_write_is_no_loop() -> None:
    trajectory = CLEAN[0]
    look = trajectory.steps[0]

    def again(number: int, name: str = "look_up") -> Step:
        identity = f"again{number}"
        arguments = {"name": "Ada 0"} if name == "look_up" else {"task": f"t{number}"}
        seen = look.results[0].content
        return replace(look, prompt=(), calls=(ToolCall(identity, name, arguments),),
                       results=(CallResult(identity, seen),))  # fmt: skip

    def numbered(steps: list[Step]) -> Trajectory:
        turns: dict[str, int] = {}
        made = []
        for index, step in enumerate(steps):
            turns[step.agent] = turns.get(step.agent, -1) + 1
            made.append(replace(step, index=index, turn=turns[step.agent]))
        return replace(trajectory, steps=tuple(made))

    rest = list(trajectory.steps[1:])
    assert "exact_loop" in found(numbered([look, again(1), again(2), *rest]))
    assert "exact_loop" not in found(numbered([look, again(1), again(2, "payer"), again(3), *rest]))


@pytest.mark.parametrize(
    ("answer", "fine"),
    [
        ("Paid 50 cents; the receipt is 7.", True),
        ("Paid 50 cents to C-100.", True),
        ("Paid 0.50 of it; half is 25 cents.", True),
        ("That is 57 in all.", True),  # 50 + 7
        ("Paid 51234 cents.", False),
        ("The receipt is R-7.", False),
        ("It comes on 2031-05-07.", False),
        ("See https://nowhere.test/x.", False),
        ("Three of 3 are done.", True),
    ],
)
def test_claims_are_supported_or_follow(answer: str, fine: bool) -> None:
    assert ("unsupported_claim" in found(changed(CLEAN[0], 5, response=answer))) is not fine


def test_numbers_follow_from_others() -> None:
    assert follows(300, [100, 200])
    assert follows(50, [100, 50])
    assert follows(12.5, [1250])
    assert follows(25, [50, 200])
    assert not follows(7919, [100, 200])


@pytest.mark.parametrize(
    ("answer", "claims"),
    [
        ("I have sent the mail.", True),
        ("The order has been cancelled.", True),
        ("Refunded 50 cents.", True),
        ("I could not cancel the order.", False),
        ("Nothing was paid back.", False),
        ("The order has already been cancelled.", False),
        ("Your orders: O-1, O-2.", False),
        ("It will be sent tomorrow.", False),
    ],
)
def test_claims_of_action(answer: str, claims: bool) -> None:
    assert (claimed(answer) is not None) is claims


@pytest.mark.parametrize(
    ("value", "is_secret"),
    [
        ("AKIAIOSFODNN7EXAMPLE", True),
        ("token ghp_abcdefghijklmnopqrstuvwxyz0123456789", True),
        ("-----BEGIN PRIVATE KEY-----", True),
        ("card 4111 1111 1111 1111", True),
        ("ssn 078-05-1120", True),
        ("id 3f2504e0-4f89-11d3-9a0c-0305e82c3301", False),
        ("sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", False),
        ("order 1234567890123", False),
        ("a path /usr/share/doc/python3/examples/one/two/three.txt", False),
        ("2026-03-02T10:00:00Z", False),
    ],
)
def test_secrets(value: str, is_secret: bool) -> None:
    assert (secret(value) is not None) is is_secret
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")


def test_scripts_marks_and_shares() -> None:
    assert script("Hello there, friend") == "Latin"
    assert script("Здравствуйте, друзья") == "Cyrillic"
    assert script("退款已经处理完毕") == "Han"
    assert script("42!") is None
    assert unbalanced("```a```") is None
    assert unbalanced("```a") == "```"
    assert unbalanced("<think>a") == "<think>"
    assert repeated_share("a b c d e f g h " * 6) > 0.2
    assert repeated_share(" ".join(map(str, range(60)))) == 0.0


def test_templates_of_a_generator_are_found() -> None:
    sentence = "imagine that you are a person who wants to find out something"
    leaked = replace(CLEAN[0], input=f"Hi. {sentence}. Pay Ada.")
    assert "synthetic_leak" in found(leaked, templates=frozenset(grams8(sentence)))
    assert "synthetic_leak" not in found(leaked)


def test_without_tools_in_the_record_nothing_is_said_about_them() -> None:
    assert found(replace(CLEAN[0], agents=())) & {"unknown_tool", "schema"} == set()


@given(words=text, value=text)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nasty_texts_break_no_rule(words: str, value: str) -> None:
    trajectory = changed(CLEAN[0], 5, response=words)
    seen = CallResult("p2", (Text(value),), False, None, {"x": value})
    call = ToolCall("p2", "pay", {"customer_id": value, "amount": 10**30, "more": [value, {}]})
    trajectory = changed(trajectory, 2, calls=(call,), results=(seen,))
    Checker().check(replace(trajectory, input=value))


def test_a_rollout_without_a_step_is_a_fault_and_no_crash() -> None:
    assert "empty_final" in found(replace(CLEAN[0], steps=(), answer=None, status="failed"))
