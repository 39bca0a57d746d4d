"""From an executed plan to the request that asks for it, and to the answer that settles it."""

from random import Random
from typing import Any

from msgspec import Struct

from nexau.synth.tasks.nouns import (
    Nouns,
    be,
    label,
    moment_of,
    participle,
    shown,
    some,
    spoken,
)
from nexau.synth.tasks.personas import Persona
from nexau.synth.tasks.phrases import OTHER_VERB, VERBS
from nexau.synth.tasks.structs import Draft, Fact, Given, Goal, Operand, Reply, Step


class Said(Struct, frozen=True):
    """A request in parts, one for each goal, and the answers to them."""

    parts: tuple[str, ...]
    answers: tuple[str, ...]
    """With references to results, as gold plans have them."""
    literals: tuple[Any, ...]
    """What the plan takes from the request, and so must stand in it."""


def say(draft: Draft, persona: Persona, chance: Random) -> Said:
    """Raises `Unusable` for what cannot be said so that it is clear."""
    nouns = Nouns(draft, draft.replies, chance)
    parts = tuple(_part(draft, goal, nouns, persona, chance) for goal in draft.goals)
    answers = tuple(_answer(draft, goal) for goal in draft.goals)
    return Said(parts, answers, tuple(nouns.literals))


def joined(said: Said, persona: Persona, chance: Random) -> str:
    """The whole request."""
    voice = persona.voice
    text = chance.choice(voice.openings) + said.parts[0]
    for part in said.parts[1:]:
        link = chance.choice(voice.links)
        low = part if part.startswith("I ") else part[0].lower() + part[1:]
        text += f" {link} {low}"
    return text + chance.choice(voice.endings)


def _part(draft: Draft, goal: Goal, nouns: Nouns, persona: Persona, chance: Random) -> str:
    if goal.kind in ("chat", "alien"):
        return goal.detail
    if goal.kind in ("change", "refused"):
        do = _deed(draft.step(goal.target), nouns, chance)
        return _filled(chance.choice(persona.voice.orders), "do", do)
    what, direct = _question(draft, goal, nouns)
    pattern = chance.choice(persona.voice.asks)
    return _filled(_filled(pattern, "what", what), "direct", direct)


def _filled(pattern: str, name: str, text: str) -> str:
    upper = text[0].upper() + text[1:]
    return pattern.replace(f"{{{name}}}", text).replace(f"{{{name.capitalize()}}}", upper)


def _question(draft: Draft, goal: Goal, nouns: Nouns) -> tuple[str, str]:
    """The question as it follows "tell me", and as it is asked."""
    step = draft.step(goal.target)
    fact = goal.facts[0]
    if goal.kind == "count":
        rows = nouns.rows(step, goal.detail)
        if goal.field:
            name = goal.field.rsplit("/", 1)[1]
            value = _value_at(draft.replies[step.id], goal.field)
            text = f"how many {rows} have the {label(name)} {shown(value)}"
            return text, text
        return f"how many {rows} there are", f"how many {rows} are there"
    if goal.operands:
        return _met(draft, goal, nouns)
    if goal.kind == "constrain":
        name = goal.field.rsplit("/", 1)[1]
        rows = nouns.rows(step, goal.detail)
        others = nouns.rows(draft.step(goal.others[0]), goal.detail)
        text = f"how many {rows} have a higher {label(name)} than every one of the {others}"
        return text, text
    if goal.kind in ("compare", "total"):
        return _fused(draft, goal, nouns)
    if goal.kind == "contradict":
        one, other = nouns.subject(step), nouns.subject(draft.step(goal.others[0]))
        name = _asked(fact)
        text = f"the {name} that {one} has and the {name} that {other} has"
        return text, f"what is {text}"
    if goal.kind == "most":
        name = goal.field.rsplit("/", 1)[1]
        rows = nouns.rows(step, f"/{goal.field.split('/')[1]}")
        what = f"the {_asked(fact)} of the one among the {rows} {_extreme(name, goal.detail)}"
        return what, f"what is {what}"
    listed = goal.field and goal.detail != "text"
    where = _one_row(draft, step, goal, nouns) if listed else nouns.subject(step)
    what = f"{_wanted(goal)} of {where}"
    plural = len(goal.facts) > 1 or be(_asked(fact)) == "are"
    return what, f"what {'are' if plural else 'is'} {what}"


def _fused(draft: Draft, goal: Goal, nouns: Nouns) -> tuple[str, str]:
    names = [nouns.subject(draft.step(each)) for each in _in_order(draft, goal)]
    listed = ", ".join(names[:-1]) + f" and {names[-1]}"
    if goal.kind == "total":
        name = label(goal.field)
        return (
            f"the {name} of {listed} taken together",
            f"what is the {name} of {listed} taken together",
        )
    word = "highest" if goal.detail == "most" else "lowest"
    if len(names) == 2:
        word = "higher" if goal.detail == "most" else "lower"
    text = f"which of {listed} has the {word} {label(goal.field)}"
    return f"{text}, and how much that is", f"{text}, and how much is that"


def _met(draft: Draft, goal: Goal, nouns: Nouns) -> tuple[str, str]:
    """Values with fields of their own, of records of different servers."""
    if goal.kind == "resolve":
        one, _, other, later = goal.operands
        name = label(goal.field)
        first, second = (nouns.subject(draft.step(each.call)) for each in (one, other))
        date = _asked(Fact(goal.detail, later.value))
        text = (
            f"{name} holds where {first} and {second} say different things and the one with the "
            f"later {date} counts"
        )
        return f"which {text}", f"which {text}"
    phrases = [_operand(draft, each, nouns) for each in goal.operands]
    if goal.kind == "constrain":
        name = goal.field.rpartition("/")[2]
        rows = nouns.rows(draft.step(goal.target), goal.detail)
        timed = participle(name) is not None or moment_of(name) is not None
        word = "later" if timed else "higher"
        text = f"how many {rows} have a {word} {_asked(Fact(name, ''))} than {phrases[0]}"
        return text, text
    if goal.kind == "total":
        listed = f"{', '.join(phrases[:-1])} and {phrases[-1]}"
        return f"{listed} taken together", f"what is {listed} taken together"
    listed = f"{', '.join(phrases[:-1])} or {phrases[-1]}"
    timed = goal.field in ("date", "moment")
    words = ("latest", "earliest") if timed else ("highest", "lowest")
    word = words[goal.detail == "least"]
    text = f"which is the {word}, {listed}, and"
    return f"{text} {'when' if timed else 'how much'} that is", (
        f"{text} {'when' if timed else 'how much'} is that"
    )


def _operand(draft: Draft, operand: Operand, nouns: Nouns) -> str:
    step = draft.step(operand.call)
    if operand.counted:
        return f"the number of {nouns.rows(step, operand.pointer)}"
    name = operand.pointer.rpartition("/")[2]
    return f"the {_asked(Fact(name, operand.value))} of {nouns.subject(step)}"


def _in_order(draft: Draft, goal: Goal) -> list[str]:
    chosen = {goal.target, *goal.others}
    return [step.id for step in draft.steps if step.id in chosen]


def _extreme(name: str, way: str) -> str:
    done = participle(name)
    moment = moment_of(name)
    if done is not None or moment is not None:
        what = done if done is not None else f"that {moment[2]}"  # type: ignore[index]
        return f"{what} {'last' if way == 'most' else 'first'}"
    return f"with the {'highest' if way == 'most' else 'lowest'} {label(name)}"


def _wanted(goal: Goal) -> str:
    return " and the ".join([f"the {_asked(goal.facts[0])}", *map(_asked, goal.facts[1:])])


def _asked(fact: Fact) -> str:
    done = participle(fact.label)
    if done is not None:
        return f"{done} date"
    moment = moment_of(fact.label)
    return f"{moment[0]} {moment[1]}" if moment is not None else label(fact.label)


def _one_row(draft: Draft, step: Step, goal: Goal, nouns: Nouns) -> str:
    reply = draft.replies[step.id]
    leaf = next(leaf for leaf in reply.leaves if leaf.pointer == goal.field)
    rows = nouns.rows(step, goal.detail)
    return f"the one{nouns.mark(leaf)} among the {rows}"


def _deed(step: Step, nouns: Nouns, chance: Random) -> str:
    """What is to be done, in other words than the tool's."""
    words = spoken(step.tool.name).split()
    verb = chance.choice(VERBS.get(words[0], OTHER_VERB))
    rest = " ".join(words[1:])
    refs = [(n, a) for n, a in step.arguments.items() if step.tool.param(n).ref]
    own = [(n, a) for n, a in refs if step.tool.param(n).ref == step.tool.noun]
    others = [(n, a) for n, a in refs if (n, a) not in own]
    if own and not step.tool.makes:
        thing = nouns.of(own[0][1], step.tool.noun)
        if rest and rest != spoken(step.tool.noun):
            thing = f"the {rest} of {thing}"
    else:
        thing = some(rest or spoken(step.tool.makes or step.tool.noun))
        others = refs
    text = f"{verb} {thing}"
    said: list[str] = []
    for name, argument in others:
        phrase = nouns.of(argument, step.tool.param(name).ref)
        if phrase not in text and not any(phrase in each for each in said):
            said.append(phrase)
    for index, phrase in enumerate(said):
        text += f" {'for' if index == 0 else 'and'} {phrase}"
    details = [_detail(step, name, a, nouns) for name, a in step.arguments.items()]
    listed = [each for each in details if each]
    if listed:
        text += (
            ", with " + (", ".join(listed[:-1]) + " and " if len(listed) > 1 else "") + listed[-1]
        )
    return text


def _detail(step: Step, name: str, argument: Any, nouns: Nouns) -> str:
    if step.tool.param(name).ref:
        return ""
    if not isinstance(argument, Given):
        carried = nouns.carried(step, argument)
        return f"{carried} as the {label(name)}" if carried else f"the same {label(name)}"
    nouns.literals.append(argument.value)
    if argument.fixed:
        return f'the {label(name)} "{argument.value}"'
    return f"{label(name)} {shown(argument.value)}"


def _value_at(reply: Reply, pointer: str) -> Any:
    return next(leaf.value for leaf in reply.leaves if leaf.pointer == pointer)


def _answer(draft: Draft, goal: Goal) -> str:
    if goal.kind == "chat":
        return f"That is {goal.facts[0].value}."
    if goal.kind == "alien":
        return "I cannot help with that here: nothing that I can use does it."
    if goal.kind == "refused":
        return f"I cannot do that: {draft.replies[goal.target].message}."
    told = [_told(fact) for fact in goal.facts]
    if goal.kind == "change":
        step = draft.step(goal.target)
        thing = spoken(step.tool.makes or step.tool.noun)
        return f"The {thing} is taken care of: the {told[0]}." if told else f"The {thing} is done."
    if goal.operands:
        return f"It comes to {goal.facts[0].value}."
    if goal.detail == "text":
        return f"The {label(goal.field)} is {goal.facts[0].value}."
    if goal.kind == "compare":
        step = draft.step(goal.target)
        keys = ", ".join(str(value) for value in step.values.values())
        return f"It is {keys}: the {told[0]}."
    if goal.kind in ("count", "constrain"):
        number = goal.facts[0].value
        return f"There {'is' if number == 1 else 'are'} {number}."
    if goal.kind == "contradict":
        first, second = (_reference(fact) for fact in goal.facts)
        return f"The first record has {first}, the second {second}."
    return f"The {', the '.join(told)}."


def _told(fact: Fact) -> str:
    return f"{_asked(fact)} {be(_asked(fact))} {_reference(fact)}"


def _reference(fact: Fact) -> str:
    """Where the value stands in a result; a value that was worked out stands for itself."""
    return f"{{{{{fact.call}{fact.pointer}}}}}" if fact.call and fact.pointer else str(fact.value)
