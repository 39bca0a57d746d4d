"""Calls: known, well-formed, answered once (rules 1 to 4)."""

from collections.abc import Iterator

from nexau.synth.data.checks.facts import Context, Facts, Made
from nexau.synth.data.checks.rule import Finding, at, short

_MARKERS = (
    "<tool_call>", "[TOOL_CALLS]", "<function=", "<invoke name=", "<|tool_call_begin|>",
    "<｜tool▁call▁begin｜>", "<tool_use>", "<|python_tag|>", "<function_call>", "to=functions.",
)  # fmt: skip


def unknown_tool(facts: Facts) -> Iterator[Finding]:
    """1. A name that is not among the tools of that agent."""
    for context in facts.contexts.values():
        for made in context.calls:
            if made.tool is None and context.tools is not None:
                said = f"{made.call.name} is no tool of {context.definition}"
                yield at(made, "unknown_tool", "hard", said, "/name")


def schema(facts: Facts) -> Iterator[Finding]:
    """2. Arguments against the schema, unless the server said so and a later call was right."""
    for context in facts.contexts.values():
        for made in context.calls:
            tool, arguments = made.tool, made.call.arguments
            if tool is None or tool.validator is None or arguments is None:
                continue
            wrong = tool.validator.validate(arguments)
            if wrong is not None and not _corrected(context, made):
                yield at(made, "schema", "hard", short(wrong, 160), "/arguments")


def _corrected(context: Context, made: Made) -> bool:
    if made.result is None or not made.result.is_error:
        return False
    return any(
        later.call.name == made.call.name
        and later.tool is not None
        and later.tool.validator is not None
        and later.call.arguments is not None
        and later.tool.validator.validate(later.call.arguments) is None
        for later in context.calls[made.order + 1 :]
    )


def unparseable(facts: Facts) -> Iterator[Finding]:
    """3. More marks of calls in the text than calls, or arguments that are no JSON object."""
    if not facts.parsed:
        yield from _malformed(facts)
    for step in facts.spoken:
        text = step.response
        if "<" in text or "[" in text or "=" in text:
            count = sum(text.count(marker) for marker in _MARKERS)
            if count > len(step.calls):
                yield Finding("unparseable", "hard",
                              f"{count} marks of calls in the text, {len(step.calls)} calls",
                              step.index, step.agent, "response")  # fmt: skip


def _malformed(facts: Facts) -> Iterator[Finding]:
    for step in facts.trajectory.steps:
        for index, call in enumerate(step.calls):
            if call.arguments is None:
                yield Finding("unparseable", "hard", f"arguments: {short(call.malformed)!r}",
                              step.index, step.agent, f"calls/{index}/malformed")  # fmt: skip


def pairing(facts: Facts) -> Iterator[Finding]:
    """4. Every call has one result, every result a call, and no two calls share an id."""
    for context in facts.contexts.values():
        if context.paired and len(set(context.ids)) == len(context.ids):
            continue
        known: set[str] = set()
        for step in context.steps:
            ids = [call.id for call in step.calls]
            given = [result.call_id for result in step.results]
            if ids != given or not known.isdisjoint(ids) or len(set(ids)) != len(ids):
                yield Finding("pairing", "hard", _unpaired(ids, given, known), step.index,
                              step.agent, "results")  # fmt: skip
            known.update(ids)


def _unpaired(ids: list[str], given: list[str], known: set[str]) -> str:
    if missing := [each for each in ids if each not in given]:
        return f"no result for {short(missing)}"
    if orphans := [each for each in given if each not in ids]:
        return f"results without a call: {short(orphans)}"
    if len(given) > len(set(given)):
        return f"more than one result for a call: {short(given)}"
    if again := [each for each in ids if each in known or ids.count(each) > 1]:
        return f"ids used before: {short(again)}"
    return f"results in another order: {short(given)}"
