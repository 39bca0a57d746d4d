"""Noun phrases for rows and values: `the order placed on 2026-02-20 of customer C-1022`."""

import re
from random import Random
from typing import Any

from nexau.synth.tasks.building import Unusable, leaf_at
from nexau.synth.tasks.goals import rows_of, telling
from nexau.synth.tasks.lookups import asks
from nexau.synth.tasks.phrases import LABELS, MOMENTS, PARTICIPLES
from nexau.synth.tasks.structs import Argument, Draft, Found, Given, Leaf, Reply, Step

_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-_./:]")


def spoken(name: str) -> str:
    """A name as words: `postal_code` is `postal code`, and so are `postal-code`, `postalCode`."""
    if name.islower() and "-" not in name:
        return name.replace("_", " ").strip()
    return " ".join(_HUMPS.sub(" ", name).replace("_", " ").split()).casefold()


def label(name: str) -> str:
    """A field as people call it: `unit_price` is `unit price`, `order_id` `order number`."""
    *front, last = spoken(name).split() or [""]
    return " ".join([*front, LABELS.get(last, last)])


def participle(name: str) -> str | None:
    """`delivered` of `delivered_on`; None where the field is no date of a deed."""
    stem, mark, ending = name.rpartition("_")
    word = stem.rpartition("_")[2]
    if mark and ending in ("on", "at") and (word.endswith("ed") or word in PARTICIPLES):
        return spoken(stem)
    return None


def moment_of(name: str) -> tuple[str, str, str] | None:
    """`departs_at` as (`departure`, `time`, `departs`); None for what is no moment."""
    stem, mark, ending = name.rpartition("_")
    if not mark or ending not in ("on", "at") or participle(name) is not None:
        return None
    verb = spoken(stem)
    return MOMENTS.get(verb, verb), "time" if ending == "at" else "date", verb


def be(noun: str) -> str:
    """`is`, or `are` for a plural."""
    last = noun.rsplit(" ", 1)[-1]
    return "are" if last.endswith("s") and not last.endswith(("ss", "us", "is")) else "is"


def some(noun: str) -> str:
    """With its article: `an order`, `some goods`."""
    return f"some {noun}" if be(noun) == "are" else article(noun)


def article(noun: str) -> str:
    return f"an {noun}" if noun[:1].casefold() in "aeiou" else f"a {noun}"


def plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def shown(value: Any) -> str:
    """A value as a request says it: numbers without an exponent, lists with `and`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " and ".join(map(shown, value))
    if isinstance(value, str):
        return value.replace("_", " ") if value.islower() and " " not in value else value
    return str(value)


def singular(noun: str) -> str:
    if noun.endswith("ies") and len(noun) > 4:
        return f"{noun[:-3]}y"
    ended = noun.endswith("s") and not noun.endswith(("ss", "us", "is"))
    return noun[:-1] if ended else noun


class Nouns:
    """Phrases for one draft. What it says once it may refer to afterwards."""

    def __init__(self, draft: Draft, replies: dict[str, Reply], chance: Random) -> None:
        self._draft = draft
        self._replies = replies
        self._chance = chance
        self.literals: list[Any] = []
        """Values of the request's arguments that have been said."""

    def of(self, argument: Argument, noun: str) -> str:
        """The row that an argument names. Raises `Unusable` where it cannot be told apart."""
        if isinstance(argument, Given):
            self.literals.append(argument.value)
            return f"{spoken(noun)} {shown_key(argument.value)}"
        step = self._draft.step(argument.call)
        reply = self._replies[step.id]
        if not step.tool.reads:
            return f"that {spoken(noun)}"
        leaf = leaf_at(reply, argument.pointer)
        assert leaf is not None
        return f"the {spoken(noun)}{self._which(step, reply, leaf, noun)}"

    def _which(self, step: Step, reply: Reply, leaf: Leaf, noun: str) -> str:
        inside = leaf.pointer.count("/") > 1
        if not inside:
            return self._context(step, same=noun)
        at = f"/{leaf.pointer.split('/')[1]}"
        rows = rows_of(reply)[at]
        row = next(row for row in rows if any(each is leaf for each in row.values()))
        query = self._query(step)
        if query is not None:
            if len(rows) > 1:
                exact = [r for r in rows if any(_same(x.value, query) for x in r.values())]
                if len(exact) != 1 or exact[0] is not row:
                    raise Unusable("a search finds several")
            self.literals.append(query)
            which = f" {shown(query)}{self._context(step)}"
            if leaf.name != "id" and step.tool.noun not in ("", noun):
                return f" of the {spoken(step.tool.noun)}{which}"
            return which
        if len(rows) == 1:
            return self._context(step)
        mark = telling({k: v for k, v in row.items() if v is not leaf}, rows)
        if mark is None:
            raise Unusable("a row cannot be told from the others")
        which = f"{self.mark(mark)}{self._context(step)}"
        if leaf.name != "id" and step.tool.noun not in ("", noun):
            return f" of the {spoken(step.tool.noun)}{which}"
        return which

    def mark(self, leaf: Leaf) -> str:
        """What tells a row from others, after its noun."""
        done = participle(leaf.name)
        if done is not None:
            return f" {done} on {shown(leaf.value)}"
        moment = moment_of(leaf.name)
        if moment is not None:
            at = "at" if moment[1] == "time" else "on"
            return f" that {moment[2]} {at} {shown(leaf.value)}"
        if leaf.noun:
            return f" for {spoken(leaf.noun)} {shown_key(leaf.value)}"
        if leaf.name in ("name", "title", "subject", "label") or leaf.name.endswith("_name"):
            return f' "{leaf.value}"'
        if leaf.name in ("status", "state"):
            return f" that is {shown(leaf.value)}"
        return f" with the {label(leaf.name)} {shown(leaf.value)}"

    def _context(self, step: Step, same: str = "") -> str:
        """Whose rows a call gives: `of the customer ...`."""
        parts: list[str] = []
        for name, argument in step.arguments.items():
            param = step.tool.param(name)
            if param.ref and param.ref != same:
                parts.append(f" of {self.of(argument, param.ref)}")
            elif param.ref:
                parts.append(f" {self.of(argument, param.ref)}")
            elif not _searches(step, name):
                parts.append(_joining("".join(parts), self._scalar(step, name, argument)))
        return "".join(parts)

    def _scalar(self, step: Step, name: str, argument: Argument) -> str:
        """A value that is no key, after its noun."""
        if not isinstance(argument, Given):
            carried = self.carried(step, argument)
            said = f"{carried} as the {label(name)}" if carried else f"the same {label(name)}"
            return f" with {said}"
        self.literals.append(argument.value)
        return f" {bounded(name, argument.value)}"

    def subject(self, step: Step) -> str:
        """What the plain fields of a call's result are fields of."""
        noun = spoken(step.tool.noun) or "entry"
        queries = self._query(step)
        refs = [(n, a) for n, a in step.arguments.items() if step.tool.param(n).ref]
        own = [(n, a) for n, a in refs if step.tool.param(n).ref == step.tool.noun]
        if own:
            first, *others = own + [each for each in refs if each not in own]
            text = self.of(first[1], step.tool.param(first[0]).ref)
            for name, argument in others:
                text += f" with {self.of(argument, step.tool.param(name).ref)}"
            return f"{text}{self._scalars(step)}"
        if queries is not None:
            self.literals.append(queries)
            return f"the {noun} {shown(queries)}{self._context(step)}"
        if refs and rows_of(self._replies[step.id]).get("/rows"):
            return f"the {self.rows(step, '/rows')}"
        if refs:
            phrases = [self.of(argument, step.tool.param(name).ref) for name, argument in refs]
            return " with ".join(phrases) + self._scalars(step)
        return f"{self._bare(step)}{self._scalars(step)}".strip()

    def _bare(self, step: Step) -> str:
        words = spoken(step.tool.name).split()
        return f"the {' '.join(words[1:] if len(words) > 1 else words)}"

    def _scalars(self, step: Step) -> str:
        said = ""
        for name, argument in step.arguments.items():
            if not step.tool.param(name).ref and not _searches(step, name):
                said += _joining(said, self._scalar(step, name, argument))
        return said

    def carried(self, step: Step, argument: Found) -> str:
        """The field of a record of another server, or of another kind, that an argument is; empty
        where the request has said the value's name already.
        """
        source = self._draft.step(argument.call)
        if source.tool.server == step.tool.server and not self._lone(source):
            return ""
        leaf = leaf_at(self._replies[source.id], argument.pointer)
        assert leaf is not None
        return f"the {label(leaf.name)} of {self.subject(source)}"

    def _lone(self, step: Step) -> bool:
        """Whether nothing of a call's result is a key: nothing else in the request tells it."""
        return not any(leaf.noun for leaf in self._replies[step.id].leaves)

    def rows(self, step: Step, at: str) -> str:
        """The rows of a list that a call gives: `orders of the customer ...`."""
        noun = spoken(at.strip("/")) if at != "/rows" else plural(spoken(step.tool.noun or "entry"))
        query = self._query(step)
        if query is not None:
            self.literals.append(query)
            return f'{noun}{self._context(step)} that match "{query}"'
        return f"{noun}{self._context(step)}"

    def _query(self, step: Step) -> str | None:
        for name, argument in step.arguments.items():
            if _searches(step, name) and isinstance(argument, Given):
                return str(argument.value)
        return None


def _joining(before: str, phrase: str) -> str:
    """`with a 3 and b 4`: the second `with` is an `and`."""
    again = before.startswith(" with ") and phrase.startswith(" with ")
    return f" and {phrase.removeprefix(' with ')}" if again else phrase


def shown_key(value: Any) -> str:
    """A key exactly as it is."""
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def _same(value: Any, query: str) -> bool:
    return isinstance(value, str) and value.casefold() == query.casefold()


def _searches(step: Step, name: str) -> bool:
    """Whether an argument is the words of a search, which name a row by themselves."""
    param = step.tool.param(name)
    free = step.tool.reads and param.required and not (param.ref or param.values)
    return free and param.kind == "string" and asks(name)


def bounded(name: str, value: Any) -> str:
    """A value that narrows a list: `since 2026-01-02`, `with at least 3 seats`."""
    first, _, rest = name.partition("_")
    said = shown(value)
    if first in ("since", "until", "before", "after", "between"):
        return f"{first} {said}"
    if first in ("from", "to"):
        return f"{first} {said}"
    if name in ("least", "most", "at_least", "at_most"):
        return f"with at {rest or first} {said}"
    if first in ("min", "max") and rest:
        return f"with at {'least' if first == 'min' else 'most'} {said} {label(rest)}"
    return f"with {label(name)} {said}"
