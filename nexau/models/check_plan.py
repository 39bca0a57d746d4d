"""What is wrong with a gold plan, found before anything is run."""

from collections.abc import Iterator
from typing import Any

from nexau.files.nearest import hint
from nexau.models.gold import CALL_ID, PlanProblem, Reference, escape, references

_PLAN_KEYS = ("turns", "answer", "then")
_CALL_KEYS = ("id", "name", "arguments", "plan")
MAX_DEPTH = 16
"""Levels of sub-agents' plans."""


def check_plan(plan: Any) -> list[PlanProblem]:
    """Every problem of `plan`, in its order; an empty list for a plan that can be played."""
    return list(_check(plan, "", 0))


def _check(plan: Any, at: str, depth: int) -> Iterator[PlanProblem]:
    if not isinstance(plan, dict):
        yield PlanProblem(at, f"a plan is an object with turns and answer, not {_kind(plan)}")
        return
    if depth >= MAX_DEPTH:
        yield PlanProblem(at, f"plans are nested deeper than {MAX_DEPTH} levels")
        return
    known: set[str] = set()
    yield from _check_part(plan, at, known, depth)
    then = plan.get("then", [])
    if not isinstance(then, list | tuple):
        yield PlanProblem(f"{at}/then", f"then is a list of plans, not {_kind(then)}")
        return
    for index, part in enumerate(then):
        here = f"{at}/then/{index}"
        if not isinstance(part, dict):
            yield PlanProblem(here, f"a plan is an object, not {_kind(part)}")
        elif part.get("then"):
            yield PlanProblem(f"{here}/then", "then stands in the first plan only")
        else:
            yield from _check_part(part, here, known, depth)


def _check_part(
    plan: dict[Any, Any], at: str, known: set[str], depth: int
) -> Iterator[PlanProblem]:
    """One plan of a conversation. Adds the ids of its calls to `known`."""
    yield from _unknown_keys(plan, _PLAN_KEYS, at)
    turns = plan.get("turns", [])
    if isinstance(turns, list | tuple):
        taken = set(known)
        for index, turn in enumerate(turns):
            yield from _check_turn(turn, f"{at}/turns/{index}", known, taken, depth)
            known |= taken
    else:
        yield PlanProblem(f"{at}/turns", f"turns is a list of lists of calls, not {_kind(turns)}")
    answer = plan.get("answer", "")
    if isinstance(answer, str):
        yield from _check_references(answer, f"{at}/answer", known)
    else:
        yield PlanProblem(f"{at}/answer", f"the answer is a string, not {_kind(answer)}")


def _check_turn(
    turn: Any, at: str, known: set[str], taken: set[str], depth: int
) -> Iterator[PlanProblem]:
    if not isinstance(turn, list | tuple):
        yield PlanProblem(at, f"a turn is a list of calls, not {_kind(turn)}")
        return
    if not turn:
        yield PlanProblem(at, "a turn without calls would be the answer")
    for index, call in enumerate(turn):
        yield from _check_call(call, f"{at}/{index}", known, taken, depth)


def _check_call(
    call: Any, at: str, known: set[str], taken: set[str], depth: int
) -> Iterator[PlanProblem]:
    if not isinstance(call, dict):
        yield PlanProblem(at, f"a call is an object, not {_kind(call)}")
        return
    yield from _unknown_keys(call, _CALL_KEYS, at)
    name = call.get("name")
    if not isinstance(name, str) or not name:
        yield PlanProblem(f"{at}/name", "a call needs the name of a tool or sub-agent")
    yield from _check_id(call.get("id", ""), f"{at}/id", taken)
    arguments = call.get("arguments", {})
    if isinstance(arguments, dict) and "$result" not in arguments:
        yield from _check_references(arguments, f"{at}/arguments", known)
    else:
        yield PlanProblem(f"{at}/arguments", "the arguments are an object of named values")
    if call.get("plan") is not None:
        yield from _check(call["plan"], f"{at}/plan", depth + 1)


def _check_id(call_id: Any, at: str, taken: set[str]) -> Iterator[PlanProblem]:
    if call_id == "":
        return
    if not isinstance(call_id, str) or not CALL_ID.fullmatch(call_id):
        yield PlanProblem(at, "an id is a letter or _, then letters, digits, _ and -")
    elif call_id in taken:
        yield PlanProblem(at, f"the id {call_id!r} is given twice")
    else:
        taken.add(call_id)


def _check_references(value: Any, at: str, known: set[str]) -> Iterator[PlanProblem]:
    for where, found in references(value, at):
        if isinstance(found, PlanProblem):
            yield found
        elif isinstance(found, Reference) and found.call_id not in known:
            text = f"no call of an earlier turn has the id {found.call_id!r}"
            yield PlanProblem(where, text + hint(found.call_id, known, "ids"))


def _unknown_keys(value: dict[Any, Any], known: tuple[str, ...], at: str) -> Iterator[PlanProblem]:
    for key in value:
        if key not in known:
            text = f"unknown key{hint(str(key), known, 'keys')}"
            yield PlanProblem(f"{at}/{escape(str(key))}", text)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "this")
