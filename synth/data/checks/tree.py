"""The tree of agents, contexts, use and time (rules 19, 23, 24, and what goes beside them)."""

import re
from collections.abc import Iterator

from nexau.synth.data.checks.facts import Context, Facts, leaves, plain
from nexau.synth.data.checks.grounding import follows, sizes
from nexau.synth.data.checks.leaks import grams8
from nexau.synth.data.checks.rule import Finding, at, short
from nexau.transports.protocol import NO_TIMING

_NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?(?!\w)")
_MOST = 120
_EARLY = -0.001
"""Seconds below zero that are a clock's, not a fault."""
_LEAST = 3
"""Characters of a leaf that count as used when they come again."""


def context_overflow(facts: Facts) -> Iterator[Finding]:
    """19. More tokens than the context holds, or a call dropped before it was answered."""
    limit = facts.limits.context
    for step in facts.trajectory.steps:
        usage = step.usage
        tokens = usage.input_tokens + usage.output_tokens
        if step.tokens is not None:
            tokens = max(tokens, len(step.tokens.prompt_ids) + len(step.tokens.response_ids))
        if tokens > limit:
            yield Finding("context_overflow", "hard", f"{tokens:,} tokens; {limit:,} fit",
                          step.index, step.agent, "usage")  # fmt: skip
    for context in facts.contexts.values():
        last = context.steps[-1]
        if context.paired:
            continue
        for step in context.steps:
            if step is not last and len(step.results) < len(step.calls):
                yield Finding("context_overflow", "hard", "went on without the result of a call",
                              step.index, step.agent, "results")  # fmt: skip


def needless_tool(facts: Facts) -> Iterator[Finding]:
    """23. Nothing that any result said is used later, or tools were called that none was needed."""
    root = facts.root
    if root is None or not root.calls or facts.trajectory.status != "completed":
        return
    if facts.trajectory.metadata.get("needs_tools") is False:
        yield at(root.calls[0], "needless_tool", "score", "the task needs no tool")
        return
    if facts.written or any(m.tool is not None and m.tool.delegates for m in root.calls):
        return
    if all(made.result is None or made.result.is_error for made in root.calls):
        return
    if not _used(facts, root) and not _derived(facts, root):
        yield at(root.calls[-1], "needless_tool", "score", "nothing of any result is used later")


def _used(facts: Facts, root: Context) -> bool:
    """Whether a leaf of a result comes again in a later call or text, and was not the user's."""
    for made in root.calls:
        result = made.result
        if result is None or result.is_error:
            continue
        later = [s for s in root.steps if s.turn > made.step.turn]
        said = "\n".join(
            [facts.answer, *(s.response for s in later)]
            + [plain(v) for s in later for c in s.calls for v in leaves(c.arguments)]
        )
        if result.structured is not None:
            found = {plain(value) for value in leaves(result.structured)}
            if any(len(t) >= _LEAST and t in said and t not in facts.asked for t in found):
                return True
            if any(t in said for t in found if t.isdigit()):
                return True
        else:
            text = " ".join(part.text for part in result.content if hasattr(part, "text"))
            words = {w.strip(".,:;!?()[]{}\"'") for w in text.split()}
            if any(len(w) >= _LEAST and w in said and w not in facts.asked for w in words):
                return True
    return False


def _derived(facts: Facts, root: Context) -> bool:
    """Whether a number of the answer follows from numbers of the results, or counts rows of them:
    there are at most as many as there were rows."""
    numbers: list[float] = []
    rows = 0
    for made in root.calls:
        if made.result is not None:
            listed = list(sizes(made.result.structured))
            rows = max([rows, *listed])
            numbers += [float(n) for n in _NUMBER.findall(made.said)]
            numbers += map(float, listed)
    answered = [float(n) for n in _NUMBER.findall(facts.answer) if n not in facts.asked]
    return any(
        (value.is_integer() and value <= rows) or follows(value, numbers[:_MOST])
        for value in answered
    )


def delegation(facts: Facts) -> Iterator[Finding]:
    """24. A sub-agent whose result is missing, who saw what it was not given, or is too deep."""
    if len(facts.contexts) == 1 and not facts.delegated:
        return
    answered = {
        made.result.agent: made
        for _, made in facts.calls()
        if made.result is not None and made.result.agent is not None
    }
    for path, made in answered.items():
        if path not in facts.contexts and not (made.result and made.result.is_error):
            yield at(made, "delegation", "hard", f"{path} has no steps")
    for context in facts.contexts.values():
        if context.path == "root":
            continue
        first = context.steps[0]
        depth = context.path.count("/")
        if depth > facts.limits.depth:
            yield Finding("delegation", "hard", f"{depth} levels below the root", first.index,
                          context.path)  # fmt: skip
        if context.path not in answered and facts.trajectory.status == "completed":
            yield Finding("delegation", "hard", f"{context.path} has no result", first.index,
                          context.path)  # fmt: skip
        parent = facts.contexts.get(context.path.rpartition("/")[0])
        if parent is not None and (said := _given_away(parent, context)):
            yield Finding("delegation", "hard", f"was shown its parent's {short(said)!r}",
                          first.index, context.path, "prompt")  # fmt: skip


def _given_away(parent: Context, child: Context) -> str | None:
    """Words of the parent's system prompt, or of its user, in the child's prompt and not in the
    call. A call may quote whatever its agent wants to."""
    shown = "\n".join([*child.users, *child.prompts])
    if len(shown) < 40:
        return None
    quoted = {
        plain(value)
        for made in parent.calls
        if made.tool is None or made.tool.delegates
        for value in leaves(made.call.arguments)
    }
    own = [text for text in child.users if text not in quoted]
    for text in (*parent.prompts, *parent.users):
        for given in own:
            if len(text) >= 24 and text in given:
                return text
            if shared := set(grams8(text)).intersection(grams8(given)):
                return min(shared)
    return None


def final_state(facts: Facts) -> Iterator[Finding]:
    """The check of the task does not hold."""
    reward, score = facts.trajectory.reward, facts.trajectory.score
    if reward is not None and reward <= 0:
        notes = "; ".join(score.notes) if score is not None else ""
        yield Finding("final_state", "hard", f"the reward is {reward:g}: {short(notes)}",
                      path="reward")  # fmt: skip


def time_backwards(facts: Facts) -> Iterator[Finding]:
    """Durations below zero, steps and turns out of order."""
    before = -1
    turns: dict[str, int] = {}
    for step in facts.trajectory.steps:
        timing = step.timing
        if timing is not NO_TIMING and (
            timing.model < _EARLY
            or timing.tool < _EARLY
            or timing.queue < _EARLY
            or timing.own < _EARLY
        ):
            yield Finding("time_backwards", "hard", "a duration below zero", step.index, step.agent,
                          "timing")  # fmt: skip
        if step.index <= before or step.turn <= turns.get(step.agent, -1):
            yield Finding("time_backwards", "hard", "out of order", step.index, step.agent, "index")
        before = step.index
        turns[step.agent] = step.turn
        for result in step.results:
            if result.seconds < 0:
                place = step.results.index(result)
                yield Finding("time_backwards", "hard", "a duration below zero", step.index,
                              step.agent, f"results/{place}/seconds")  # fmt: skip
