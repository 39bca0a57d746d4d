"""Recall and false positives of every rule, by mutation.

Clean trajectories are those that were given; a rule's false positives are the clean ones it finds
fault with, its recall the share of defects, put into clean ones, that it finds.
"""

from collections.abc import Iterable

from msgspec import Struct

from nexau.synth.data.checks.facts import Limits
from nexau.synth.data.checks.mutations import MUTATIONS
from nexau.synth.data.checks.rule import Rule
from nexau.synth.data.checks.rules import RULES, Checker
from nexau.synth.intervals import wilson
from nexau.synth.streams import stream
from nexau.trajectory import Trajectory


class Proof(Struct, frozen=True):
    """One rule's row."""

    number: int
    rule: str
    weight: str
    ground: str
    defects: int
    found: int
    recall: float
    recall_low: float
    """Lower end of the 95 % Wilson interval."""
    clean: int
    false: int
    false_rate: float
    false_high: float
    """Upper end of the 95 % Wilson interval."""


def prove(
    clean: Iterable[Trajectory],
    *,
    seed: int = 0,
    each: int = 300,
    limits: Limits | None = None,
    rules: tuple[Rule, ...] = RULES,
) -> list[Proof]:
    """`each` bounds the defects put in for a rule."""
    given = list(clean)
    checker = Checker(limits, rules)
    false: dict[str, int] = {}
    for trajectory in given:
        for name in {finding.rule for finding in checker.check(trajectory)}:
            false[name] = false.get(name, 0) + 1
    return [_prove(rule, given, checker, false.get(rule.name, 0), seed, each) for rule in rules]


def _prove(
    rule: Rule, clean: list[Trajectory], checker: Checker, false: int, seed: int, each: int
) -> Proof:
    mutate = MUTATIONS[rule.name]
    made = found = 0
    for index, trajectory in enumerate(clean):
        if made >= each:
            break
        mutated = mutate(trajectory, stream(seed, rule.name, index))
        if mutated is None:
            continue
        made += 1
        found += any(finding.rule == rule.name for finding in checker.check(mutated))
    total = len(clean)
    return Proof(
        rule.number,
        rule.name,
        rule.weight,
        rule.ground,
        made,
        found,
        found / made if made else 0.0,
        wilson(found, made)[0],
        total,
        false,
        false / total if total else 0.0,
        wilson(false, total)[1],
    )
