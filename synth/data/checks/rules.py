"""All the rules, in their order, and how a trajectory is put to them."""

from collections.abc import Iterable

from nexau.synth.data.checks import (
    calls,
    ends,
    grounding,
    honesty,
    leaks,
    repetition,
    tree,
)
from nexau.synth.data.checks.facts import Facts, Limits, ToolBook
from nexau.synth.data.checks.rule import Check, Finding, Ground, Rule, Weight
from nexau.trajectory import Trajectory

_TABLE: tuple[tuple[int, Weight, Ground, Check], ...] = (
    (1, "hard", "facts", calls.unknown_tool),
    (2, "hard", "facts", calls.schema),
    (3, "hard", "facts", calls.unparseable),
    (4, "hard", "facts", calls.pairing),
    (5, "score", "facts", repetition.exact_loop),
    (6, "score", "facts", repetition.cycle),
    (7, "score", "text", repetition.text_repetition),
    (8, "hard", "facts", ends.empty_final),
    (9, "hard", "facts", ends.truncated),
    (10, "hard", "text", grounding.unsupported_claim),
    (11, "hard", "text", honesty.false_action_claim),
    (12, "score", "text", honesty.ignored_error),
    (13, "score", "facts", repetition.blind_retry),
    (14, "hard", "text", honesty.reward_hacking),
    (15, "hard", "text", leaks.oracle_leak),
    (16, "hard", "text", leaks.synthetic_leak),
    (17, "score", "text", leaks.tool_name_leak),
    (18, "score", "text", ends.language_drift),
    (19, "hard", "facts", tree.context_overflow),
    (20, "hard", "facts", grounding.ungrounded_argument),
    (21, "hard", "text", grounding.placeholder_argument),
    (22, "hard", "text", leaks.secrets),
    (23, "score", "text", tree.needless_tool),
    (24, "hard", "facts", tree.delegation),
    (25, "hard", "text", honesty.injection_obeyed),
    (26, "hard", "facts", tree.final_state),
    (27, "hard", "facts", tree.time_backwards),
)


def _rule(number: int, weight: Weight, ground: Ground, check: Check) -> Rule:
    said = (check.__doc__ or "").strip()
    head, _, rest = said.partition(". ")
    return Rule(number, check.__name__, weight, ground, rest if head.isdigit() else said, check)


RULES: tuple[Rule, ...] = tuple(_rule(*row) for row in _TABLE)
"""1 to 25 as in docs/data.md; 26 and 27 go beside them."""


class Checker:
    """Puts trajectories to rules; keeps what tools compile to between them."""

    def __init__(self, limits: Limits | None = None, rules: Iterable[Rule] = RULES) -> None:
        self._limits = limits or Limits()
        self._book = ToolBook()
        self._checks = tuple(rule.check for rule in rules)

    def check(self, trajectory: Trajectory) -> list[Finding]:
        facts = Facts(trajectory, self._book, self._limits)
        found: list[Finding] = []
        for check in self._checks:
            found += check(facts)
        return found
