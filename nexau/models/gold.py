"""Gold plans: the calls that solve a task, and the answer. What the `plan` policy plays.

    {"turns": [[{"id": "a", "name": "lookup", "arguments": {"key": "x"}}],
               [{"name": "store", "arguments": {"row": {"$result": "a", "pointer": "/rows/0"}}}]],
     "answer": "stored row {{a/rows/0/id}}"}

Each turn is a list of parallel calls. A call of a sub-agent may carry that agent's own `plan`. A
value `{"$result": ID, "pointer": POINTER}` stands for what an earlier call of the same agent
brought back, `{{ID/POINTER}}` inside a string for the same as text; `{{{{` is a literal `{{`.
POINTER is a JSON Pointer (RFC 6901) into the call's structured content, or into its text read as
JSON where it has none; without one it is the whole.

Where a simulated user goes on after the answer, `then` has a plan for each further message: its
calls may refer to those of the plans before it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from nexau.models.base import ToolMessage, text_of
from nexau.spill import FileGone, restored, restored_structured

CALL_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_IN_STRING = re.compile(r"\{\{\{\{|\{\{(?P<target>[^{}]*)\}\}|(?P<open>\{\{)")


class PlannedCall(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    id: str = ""
    """For references; unique within one agent's plan."""
    arguments: dict[str, Any] = {}
    plan: "GoldPlan | None" = None
    """Of the sub-agent that is called."""


class GoldPlan(Struct, frozen=True, forbid_unknown_fields=True):
    turns: tuple[tuple[PlannedCall, ...], ...] = ()
    answer: str = ""
    then: "tuple[GoldPlan, ...]" = ()
    """What follows the user's next messages, one after the other."""

    @property
    def parts(self) -> "tuple[GoldPlan, ...]":
        """This plan and those that follow it."""
        return (self, *self.then)


class PlanProblem(Struct, frozen=True):
    pointer: str
    """Where in the plan: a JSON Pointer; empty for the whole."""
    message: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.message}"


class Unresolved(Exception):
    """A reference that leads nowhere. The text completes `the plan cannot go on: `."""


class Reference(Struct, frozen=True):
    call_id: str
    pointer: str


def resolve(value: Any, results: Mapping[str, ToolMessage]) -> Any:
    """`value` with its references replaced. Raises `Unresolved`."""
    if isinstance(value, str):
        return resolve_text(value, results) if "{{" in value else value
    if isinstance(value, dict):
        if "$result" in value:
            return _lookup(Reference(value["$result"], value.get("pointer", "")), results)
        return {key: resolve(item, results) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, results) for item in value]
    return value


def resolve_text(text: str, results: Mapping[str, ToolMessage]) -> str:
    """`text` with its `{{...}}` replaced: strings as they are, other values as JSON."""

    def replace(match: re.Match[str]) -> str:
        target = match["target"]
        if target is None:
            return "{{"
        value = _lookup(reference_in(target), results, as_text=True)
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()

    return _IN_STRING.sub(replace, text)


def is_open(value: Any) -> bool:
    """Whether `resolve` would change anything."""
    if isinstance(value, str):
        return "{{" in value
    if isinstance(value, dict):
        return "$result" in value or any(map(is_open, value.values()))
    return isinstance(value, list) and any(map(is_open, value))


def references(value: Any, pointer: str) -> Iterator[tuple[str, Reference | PlanProblem]]:
    """Every reference inside a value, or what is wrong with it, and where it stands."""
    if isinstance(value, str):
        for match in _IN_STRING.finditer(value):
            if match["open"]:
                text = "`{{` without `}}`; write `{{{{` for a literal one"
                yield pointer, PlanProblem(pointer, text)
            elif match["target"] is not None:
                yield pointer, reference_in(match["target"])
    elif isinstance(value, dict):
        if "$result" in value:
            yield pointer, _written(value, pointer)
            return
        for key, item in value.items():
            yield from references(item, f"{pointer}/{escape(str(key))}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from references(item, f"{pointer}/{index}")


def _written(value: Mapping[str, Any], pointer: str) -> Reference | PlanProblem:
    unknown = sorted(set(value) - {"$result", "pointer"})
    if unknown:
        return PlanProblem(pointer, f"unknown key {unknown[0]!r} beside $result")
    call_id, inside = value["$result"], value.get("pointer", "")
    if not isinstance(call_id, str) or not isinstance(inside, str):
        return PlanProblem(pointer, "$result and pointer must be strings")
    if inside and not inside.startswith("/"):
        return PlanProblem(pointer, f"the pointer {inside!r} does not begin with /")
    return Reference(call_id, inside)


def reference_in(target: str) -> Reference:
    """The `ID/POINTER` between double braces."""
    call_id, slash, rest = target.strip().partition("/")
    return Reference(call_id.strip(), slash + rest)


def _lookup(
    reference: Reference, results: Mapping[str, ToolMessage], *, as_text: bool = False
) -> Any:
    call_id = reference.call_id
    result = results.get(call_id)
    if result is None:
        raise Unresolved(f"there is no result of the call {call_id!r}")
    if result.is_error:
        raise Unresolved(f"the call {call_id!r} failed: {text_of(result.content)[:200]}")
    try:
        value = restored_structured(result.structured)
        content = tuple(map(restored, result.content)) if value is None else ()
    except FileGone as error:
        raise Unresolved(f"the result of the call {call_id!r} is gone: {error}") from None
    if value is None:
        text = text_of(content)
        if as_text and not reference.pointer:
            return text
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            if reference.pointer:
                raise Unresolved(f"the result of the call {call_id!r} is not JSON") from None
            return text
    return follow(value, reference)


def follow(value: Any, reference: Reference) -> Any:
    """RFC 6901. Raises `Unresolved`."""
    if not reference.pointer:
        return value
    for token in reference.pointer[1:].split("/"):
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and _is_index(key) and int(key) < len(value):
            value = value[int(key)]
        else:
            raise Unresolved(
                f"the result of the call {reference.call_id!r} has nothing at {reference.pointer}"
            )
    return value


def _is_index(key: str) -> bool:
    return key == "0" or (key.isascii() and key.isdigit() and key[0] != "0" and len(key) < 10)


def escape(key: str) -> str:
    """`key` as a token of a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")
