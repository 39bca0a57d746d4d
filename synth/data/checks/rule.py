"""What a rule is, and what it says."""

from collections.abc import Callable, Iterator
from typing import Literal

from msgspec import Struct

from nexau.synth.data.checks.facts import Facts, Made

Weight = Literal["hard", "score"]
"""hard: the trajectory is not to be trained on. score: it counts against it."""
Ground = Literal["facts", "text"]
"""facts: reads typed facts. text: judges words, and is wrong now and then."""


class Finding(Struct, frozen=True, omit_defaults=True, gc=False):
    """One fault, with the evidence."""

    rule: str
    weight: Weight
    text: str
    """What is wrong, in words that quote it."""
    step: int | None = None
    """Index of the step."""
    agent: str = "root"
    path: str = ""
    """Where in the step: `calls/0/arguments/order_id`, `response`; or `answer`, `input`."""


Check = Callable[[Facts], Iterator[Finding]]


class Rule(Struct, frozen=True):
    number: int
    name: str
    weight: Weight
    ground: Ground
    says: str
    check: Check


def short(text: object, length: int = 80) -> str:
    shown = str(text).replace("\n", " ")
    return shown if len(shown) <= length else f"{shown[: length - 3]}..."


def at(made: Made, rule: str, weight: Weight, text: str, inside: str = "") -> Finding:
    """A finding about a call."""
    place = f"calls/{made.step.calls.index(made.call)}{inside}"
    return Finding(rule, weight, text, made.step.index, made.step.agent, place)
