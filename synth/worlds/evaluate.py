"""Whether a task is done: a check on the state before, the state after, and the answer."""

import re
import sqlite3
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from nexau.synth.worlds.checks import AnswerForm, ChangeForm, Check, Expectation
from nexau.synth.worlds.state import Changes, State, plain

_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
_SPACES = re.compile(r"\s+")
_FEW = 3


class Finding(Struct, frozen=True):
    """One thing that a check asks for."""

    part: Literal["expect", "changes", "answer"]
    passed: bool
    wanted: str
    evidence: str
    """What was found instead; empty where it passed."""


class Outcome(Struct, frozen=True):
    """Whether a task is done, and why."""

    passed: bool
    findings: tuple[Finding, ...]

    def score(self, part: Literal["state", "answer"]) -> float:
        """1.0 where all findings of the part passed, or it has none; else 0.0."""
        wanted = {"answer"} if part == "answer" else {"expect", "changes"}
        return float(all(each.passed for each in self.findings if each.part in wanted))

    def failures(self) -> list[str]:
        return [f"{each.part}: {each.wanted}: {each.evidence}" for each in self.findings
                if not each.passed]  # fmt: skip


def evaluate(
    check: Check,
    before: State,
    after: State,
    answer: str,
    changes: Mapping[str, Changes] | None = None,
) -> Outcome:
    """Reads both states and changes neither. `changes` is what differs, where it is known."""
    findings = [_expectation(each, before, after) for each in check.expect]
    if check.form.changes is not None:
        found = after.changes_since(before) if changes is None else dict(changes)
        findings += _changes(check.form.changes, found)
    findings += _answer(check, before, after, answer)
    return Outcome(all(each.passed for each in findings), tuple(findings))


def _value(each: Expectation, before: State, after: State) -> Any:
    bindings = dict(each.statement.bindings)
    for name, statement in each.befores:
        before.budget.renew()
        row = before.db.execute(statement.sql, statement.bindings).fetchone()
        bindings[name] = row[0]
    after.budget.renew()
    row = after.db.execute(each.statement.sql, bindings).fetchone()
    return plain(row[0], each.kind)


def _expectation(each: Expectation, before: State, after: State) -> Finding:
    try:
        held = bool(_value(each, before, after))
    except sqlite3.Error as error:
        return Finding("expect", False, each.text, f"it cannot be computed: {error}")
    return Finding("expect", held, each.text, "" if held else "it does not hold")


def _changes(wanted: dict[str, ChangeForm], found: dict[str, Changes]) -> list[Finding]:
    findings: list[Finding] = []
    for name in sorted({*wanted, *found}):
        form = wanted.get(name, ChangeForm())
        changes = found.get(name, Changes({}, {}, {}))
        faults: list[str] = []
        for what in ("added", "removed", "changed"):
            rows = getattr(changes, what)
            if len(rows) != getattr(form, what):
                faults.append(f"{what} {len(rows)}{_some(rows)}")
        strange = {
            field
            for fields in changes.changed.values()
            for field in fields
            if form.fields and field not in form.fields
        }
        if strange:
            faults.append(f"also changed {', '.join(sorted(strange))}")
        said = [f"{getattr(form, what)} {what}" for what in ("added", "removed", "changed")
                if getattr(form, what)]  # fmt: skip
        text = f"{name}: {', '.join(said) or 'unchanged'}"
        findings.append(Finding("changes", not faults, text, "; ".join(faults)))
    return findings


def _some(rows: dict[Any, Any]) -> str:
    if not rows:
        return ""
    keys = ", ".join(map(str, list(rows)[:_FEW]))
    return f" ({keys}{', ...' if len(rows) > _FEW else ''})"


def answer_findings(form: AnswerForm, answer: str) -> list[Finding]:
    """What the answer has to say, but for `values`, which take a state."""
    said = _Said(answer)
    findings = [_found(answer, f"it says {text!r}", said.holds(text)) for text in form.contains]
    if form.any:
        findings.append(
            _found(answer, f"it says one of {form.any}", any(map(said.holds, form.any)))
        )
    findings += [
        _found(answer, f"it does not say {text!r}", not said.holds(text)) for text in form.lacks
    ]
    return findings


def _found(answer: str, wanted: str, passed: bool) -> Finding:
    evidence = "" if passed else f"the answer is {_short(answer)}"
    return Finding("answer", passed, wanted, evidence)


def _answer(check: Check, before: State, after: State, answer: str) -> list[Finding]:
    form = check.form.answer
    if form is None:
        return []
    findings = answer_findings(form, answer)
    said = _Said(answer)
    for each in check.values:
        try:
            value = _value(each, before, after)
        except sqlite3.Error as error:
            findings.append(Finding("answer", False, each.text, f"it cannot be computed: {error}"))
            continue
        held = value is not None and said.holds(_text(value))
        findings.append(_found(answer, f"it says {each.text} = {value!r}", held))
    return findings


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _short(answer: str) -> str:
    return repr(answer if len(answer) <= 200 else f"{answer[:197]}...")


class _Said:
    """An answer, to be asked what it holds."""

    def __init__(self, answer: str) -> None:
        self._text = _plain(answer)
        self._numbers = {_number(each) for each in _NUMBER.findall(answer)}

    def holds(self, text: str) -> bool:
        wanted = text.strip()
        if _NUMBER.fullmatch(wanted):
            return _number(wanted) in self._numbers
        place = self._text.find(_plain(text))
        while place >= 0:
            end = place + len(_plain(text))
            if not self._inside_word(place, end):
                return True
            place = self._text.find(_plain(text), place + 1)
        return False

    def _inside_word(self, start: int, end: int) -> bool:
        """`O-2011` does not stand in `O-20117`."""
        text = self._text
        left = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
        right = end < len(text) and text[end - 1].isalnum() and text[end].isalnum()
        return left or right


def _plain(text: str) -> str:
    return _SPACES.sub(" ", text).strip().casefold()


def _number(text: str) -> float:
    return round(float(text.replace(",", "")), 6)
