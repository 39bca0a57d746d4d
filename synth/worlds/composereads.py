"""Reading tools of composed worlds."""

import random
from collections.abc import Iterator

from nexau.synth.worlds.outline import Form, Noun, Outline

Named = tuple[str, Form]


class Reads:
    """`needed` give every key and show every field; `more` is what a world may have besides."""

    def __init__(self, outline: Outline, rng: random.Random) -> None:
        self._outline = outline
        self._rng = rng
        self._find = rng.choice(("find", "search", "look_up"))
        self._get = rng.choice(("get", "show", "read"))

    def needed(self) -> Iterator[Named]:
        for noun in self._outline.nouns.values():
            if noun.role in {"party", "asset", "staff", "place"}:
                yield self._search(noun)
        for noun in self._outline.nouns.values():
            if noun.role not in {"line", "record"}:
                yield self._details(noun)
        for noun in self._outline.of("deal"):
            yield self._of_owner(noun)
        for noun in self._outline.nouns.values():
            if noun.role in {"line", "record"}:
                yield self._of_deal(noun)

    def more(self) -> list[Named]:
        made: list[Named] = []
        for noun in self._outline.nouns.values():
            if noun.role == "deal":
                made += [self._by_status(noun), self._waiting(noun), self._totals(noun)]
                if "due_on" in noun.has:
                    made.append(self._overdue(noun))
            if noun.role == "asset":
                made.append(self._available(noun))
                for place in noun.refs.values():
                    if self._outline.nouns[place].role == "place":
                        made.append(self._at_place(noun, place))
            if noun.role == "staff":
                made += self._workload(noun)
            if noun.role == "party":
                made += self._busiest(noun)
                made += self._compared(noun)
        return made

    def _search(self, noun: Noun) -> Named:
        name = noun.name
        shown = ["id", "name", *[f for f in ("kind", "skill", "tier", "city", "status", "open")
                                 if f in noun.has and self._rng.random() < 0.8]]  # fmt: skip
        parameters: Form = {"query": {"description": f"Part of the name of a {noun.words}."}}
        where = f"contains({name}.name, query)"
        for field in ("kind", "skill", "tier", "city"):
            if field in noun.has and self._rng.random() < 0.4:
                values = noun.fields[field].get("values")
                parameters[field] = {"optional": True, **({"values": values} if values else {})}
                where += f" and ({field} is null or {name}.{field} == {field})"
        if self._rng.random() < 0.6:
            parameters["query"]["optional"] = True
            where = where.replace(
                f"contains({name}.name, query)",
                f"(query is null or contains({name}.name, query))",
            )
        find = {
            "find": name,
            "where": where,
            "select": shown,
            "page": self._rng.choice((5, 10, 20)),
        }
        text = f"{_plural(noun).capitalize()} by part of the name."
        return f"{self._find}_{_plural_name(noun)}", {
            "description": text, "parameters": parameters, "find": find}  # fmt: skip

    def _details(self, noun: Noun) -> Named:
        result: Form = {}
        for other, stem in self._outline.referring(noun.name):
            if other.role in {"line", "record"} or self._rng.random() < 0.4:
                fields = [f for f in other.fields if f != f"{stem}_id"]
                result[_plural_name(other)] = {
                    "find": other.name, "where": f"{other.name}.{stem}_id == {noun.name}.id",
                    "select": fields, "limit": 20}  # fmt: skip
        form: Form = {
            "description": f"All that is known of one {noun.words}.",
            "parameters": {f"{noun.name}_id": {"ref": noun.name}},
            "row": noun.name,
        }
        return f"{self._get}_{noun.name}", {**form, "result": result} if result else form

    def _of_owner(self, noun: Noun) -> Named:
        owner = next(n for n in noun.refs.values() if self._outline.nouns[n].role == "party")
        parameters: Form = {f"{owner}_id": {"ref": owner}}
        where = f"{noun.name}.{owner}_id == {owner}.id"
        if self._rng.random() < 0.7:
            parameters["status"] = {"values": list(noun.states), "optional": True}
            where += f" and (status is null or {noun.name}.status == status)"
        shown = [f for f in noun.fields if f != f"{owner}_id"]
        find = {"find": noun.name, "where": where, "select": shown, "order": ["opened_on desc"],
                "page": 10}  # fmt: skip
        return f"list_{_plural_name(noun)}_of_{owner}", {
            "description": f"The {_plural(noun)} of one {owner.replace('_', ' ')}, newest first.",
            "parameters": parameters, "find": find}  # fmt: skip

    def _of_deal(self, noun: Noun) -> Named:
        deal = next(n for n in noun.refs.values() if self._outline.nouns[n].role == "deal")
        find: Form = {"find": noun.name, "where": f"{noun.name}.{deal}_id == {deal}_id"}
        form: Form = {
            "description": f"The {_plural(noun)} of one {deal.replace('_', ' ')}.",
            "parameters": {f"{deal}_id": {"ref": deal}},
            "find": find,
        }
        number = "amount" if "amount" in noun.has else "quantity" if "quantity" in noun.has else ""
        if number and self._rng.random() < 0.6:
            total = f"sum({noun.name}.{number} for {noun.name} where {find['where']})"
            form["result"] = {f"{number}_in_all": total}
        return f"list_{_plural_name(noun)}", form

    def _by_status(self, noun: Noun) -> Named:
        by = self._rng.choice([f for f in ("status", "priority", "reason") if f in noun.has])
        select: Form = {"number": "count()"}
        if "amount" in noun.has:
            select["amount"] = f"sum({noun.name}.amount)"
        group: Form = {by: f"{noun.name}.{by}"}
        owner = self._owner(noun)
        if "tier" in owner.has and self._rng.random() < 0.4:
            group["tier"] = f"{noun.name}.{owner.name}.tier"
        find = {"find": noun.name, "group": group, "select": select, "order": ["number desc"]}
        return f"{_plural_name(noun)}_by_{by}", {
            "description": f"How many {_plural(noun)} there are of each {by}.", "find": find}  # fmt: skip

    def _waiting(self, noun: Noun) -> Named:
        days = self._rng.choice((7, 14, 30))
        where = (
            f"{noun.name}.status == '{noun.states[0]}' and today() - {noun.name}.opened_on > {days}"
        )
        owner = self._owner(noun)
        select = {"id": f"{noun.name}.id", owner.name: f"{noun.name}.{owner.name}.name",
                  "days": f"today() - {noun.name}.opened_on"}  # fmt: skip
        find = {"find": noun.name, "where": where, "select": select, "order": ["days desc"]}
        return f"waiting_{_plural_name(noun)}", {
            "description": f"{_plural(noun).capitalize()} {noun.states[0]} for over {days} days.",
            "find": find}  # fmt: skip

    def _overdue(self, noun: Noun) -> Named:
        ends = ", ".join(f"'{state}'" for state in noun.states[-2:])
        where = f"{noun.name}.due_on < today() and {noun.name}.status not in [{ends}]"
        find = {"find": noun.name, "where": where, "select": ["id", "status", "due_on"],
                "order": ["due_on"], "page": 10}  # fmt: skip
        return f"overdue_{_plural_name(noun)}", {
            "description": f"{_plural(noun).capitalize()} past their date and not ended.",
            "find": find}  # fmt: skip

    def _totals(self, noun: Noun) -> Named:
        owner = self._owner(noun)
        own = f"{noun.name}.{owner.name}_id == {owner.name}.id"
        result: Form = {
            "number": f"count({noun.name} where {own})",
            "ended": f"count({noun.name} where {own} and {noun.name}.status == '{noun.states[-2]}')",
        }
        for field in ("amount", "paid"):
            if field in noun.has:
                result[field] = f"sum({noun.name}.{field} for {noun.name} where {own})"
        return f"{owner.name}_{noun.name}_totals", {
            "description": f"How many {_plural(noun)} a {owner.words} has, and their sums.",
            "parameters": {f"{owner.name}_id": {"ref": owner.name}}, "result": result}  # fmt: skip

    def _available(self, noun: Noun) -> Named:
        free = (
            f"{noun.name}.stock > 0"
            if "stock" in noun.has
            else f"{noun.name}.status == 'available'"
        )
        parameters: Form = {"kind": {"values": noun.fields["kind"]["values"], "optional": True}}
        where = f"{free} and (kind is null or {noun.name}.kind == kind)"
        if "price" in noun.has:
            parameters["max_price"] = {"type": "integer", "min": 1, "optional": True}
            where += f" and (max_price is null or {noun.name}.price <= max_price)"
        order = ["price"] if "price" in noun.has else ["name"]
        find = {"find": noun.name, "where": where, "order": order, "page": 10}
        return f"available_{_plural_name(noun)}", {
            "description": f"{_plural(noun).capitalize()} that can be had now.",
            "parameters": parameters, "find": find}  # fmt: skip

    def _at_place(self, noun: Noun, place: str) -> Named:
        find = {"find": noun.name, "where": f"{noun.name}.{place}_id == {place}_id",
                "select": ["id", "name", "kind"], "page": 10}  # fmt: skip
        return f"{_plural_name(noun)}_in_{place}", {
            "description": f"{_plural(noun).capitalize()} of one {place.replace('_', ' ')}.",
            "parameters": {f"{place}_id": {"ref": place}}, "find": find}  # fmt: skip

    def _workload(self, noun: Noun) -> Iterator[Named]:
        for deal, stem in self._outline.referring(noun.name, "deal")[:1]:
            load = f"count({deal.name} where {deal.name}.{stem}_id == {noun.name}.id)"
            select = {"id": f"{noun.name}.id", "name": f"{noun.name}.name",
                      "skill": f"{noun.name}.skill", "load": load}  # fmt: skip
            form: Form = {
                "description": f"{_plural(noun).capitalize()} with their {_plural(deal)}, least first.",
                "parameters": {"skill": {"values": noun.fields["skill"]["values"], "optional": True}},
                "find": {"find": noun.name, "select": select, "order": ["load"],
                         "where": f"skill is null or {noun.name}.skill == skill"},
            }  # fmt: skip
            yield f"{noun.name}_workload", form

    def _busiest(self, noun: Noun) -> Iterator[Named]:
        for deal, stem in self._outline.referring(noun.name, "deal")[:1]:
            number = f"count({deal.name} where {deal.name}.{stem}_id == {noun.name}.id)"
            select = {"id": f"{noun.name}.id", "name": f"{noun.name}.name", "number": number}
            find = {"find": noun.name, "select": select, "order": ["number desc"],
                    "limit": self._rng.choice((3, 5, 10))}  # fmt: skip
            yield f"busiest_{_plural_name(noun)}", {
                "description": f"{_plural(noun).capitalize()} with the most {_plural(deal)}.",
                "find": find}  # fmt: skip

    def _compared(self, noun: Noun) -> Iterator[Named]:
        for deal, stem in self._outline.referring(noun.name, "deal")[:1]:
            value = f"{deal.name}.amount" if "amount" in deal.has else "1"
            first, second = (
                f"sum({value} for {deal.name} where {deal.name}.{stem}_id == {which}_{noun.name}.id)"
                for which in ("first", "second")
            )
            yield f"compare_{_plural_name(noun)}", {
                "description": f"By how much one {noun.words} is ahead of another in {_plural(deal)}.",
                "parameters": {f"first_{noun.name}_id": {"ref": noun.name},
                               f"second_{noun.name}_id": {"ref": noun.name}},
                "result": {"first": first, "second": second, "difference": f"{first} - {second}"},
            }  # fmt: skip

    def _owner(self, noun: Noun) -> Noun:
        return next(self._outline.nouns[n] for n in noun.refs.values()
                    if self._outline.nouns[n].role == "party")  # fmt: skip


def _plural_name(noun: Noun) -> str:
    name = noun.name
    if name.endswith("y") and name[-2] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh")) else f"{name}s"


def _plural(noun: Noun) -> str:
    return _plural_name(noun).replace("_", " ")


plural, plural_name = _plural, _plural_name
