"""What else is written in composed worlds: changes of single fields, under rules."""

import random
from collections.abc import Iterator

from nexau.synth.worlds.composereads import plural, plural_name
from nexau.synth.worlds.composewrites import Named, rule
from nexau.synth.worlds.outline import Noun, Outline


class Changes:
    """Tools that a world may have."""

    def __init__(self, outline: Outline, rng: random.Random) -> None:
        self._outline = outline
        self._rng = rng

    def more(self) -> list[Named]:
        made: list[Named] = []
        for noun in self._outline.nouns.values():
            if noun.role == "deal":
                made += [*self._postpone(noun), *self._assign(noun), *self._hand_over(noun)]
                made += [*self._pay(noun), *self._prioritise(noun), *self._sweep(noun)]
            if noun.role == "line":
                made.append(self._remove(noun))
            if noun.role == "party":
                made += [*self._contact(noun), *self._block(noun), *self._promote(noun)]
                made += self._top_up(noun)
            if noun.role == "asset":
                made += [*self._restock(noun), *self._retire(noun), *self._reprice(noun)]
                made += self._move(noun)
            if noun.role == "staff" and "on_duty" in noun.has:
                made.append(self._duty(noun))
            if noun.role == "place" and "open" in noun.has:
                made.append(self._opening(noun))
        return made

    def _remove(self, noun: Noun) -> Named:
        (deal,) = self._outline.targets(noun, "deal")
        test = f"{noun.name}.{deal.name}.status == '{deal.states[0]}'"
        return f"remove_{noun.name}", {
            "description": f"Remove a {noun.words} from a {deal.words} that is {deal.states[0]}.",
            "parameters": {f"{noun.name}_id": {"ref": noun.name}},
            "rules": [rule(test, f"not_{deal.states[0]}", f"the {deal.words} has gone on")],
            "effects": [{"delete": noun.name}]}  # fmt: skip

    def _postpone(self, noun: Noun) -> Iterator[Named]:
        if "due_on" in noun.has:
            days = self._rng.choice((30, 60, 120))
            name = noun.name
            ended = ", ".join(f"'{state}'" for state in noun.states[-2:])
            yield f"postpone_{name}", {
                "description": f"Set a new date for a {noun.words}, at most {days} days ahead.",
                "parameters": {f"{name}_id": {"ref": name}, "due_on": {"type": "date"}},
                "rules": [
                    rule(f"{name}.status not in [{ended}]", f"{name}_ended",
                         f"{noun.words} {{{name}.id}} is {{{name}.status}}"),
                    rule("due_on > today()", "in_the_past", "{due_on} is not after {today()}"),
                    rule(f"due_on - today() <= {days}", "too_far",
                         f"{{due_on}} is more than {days} days ahead"),
                ],
                "effects": [{"update": name, "set": {"due_on": "due_on"}}],
                "result": {"due_on": f"{name}.due_on"}, "idempotent": True}  # fmt: skip

    def _assign(self, noun: Noun) -> Iterator[Named]:
        for staff in self._outline.targets(noun, "staff"):
            name = noun.name
            rules = [rule(f"{name}.status == '{noun.states[0]}'", f"not_{noun.states[0]}",
                          f"{noun.words} {{{name}.id}} is {{{name}.status}}")]  # fmt: skip
            if "on_duty" in staff.has:
                rules.append(rule(f"{staff.name}.on_duty", "off_duty",
                                  f"{{{staff.name}.name}} is off duty"))  # fmt: skip
            yield f"assign_{name}", {
                "description": f"Give a {noun.words} to a {staff.words}.",
                "parameters": {f"{name}_id": {"ref": name}, f"{staff.name}_id": {"ref": staff.name}},
                "rules": rules,
                "effects": [{"update": name, "set": {f"{staff.name}_id": f"{staff.name}_id"}}],
                "result": {f"{staff.name}_id": f"{name}.{staff.name}_id"}, "idempotent": True}  # fmt: skip

    def _hand_over(self, noun: Noun) -> Iterator[Named]:
        (party, *_) = self._outline.targets(noun, "party")
        name = noun.name
        new = f"new_{party.name}"
        rules = [rule(f"{name}.{party.name}_id != {new}_id", "same", "it is theirs already")]
        if "blocked" in party.has:
            rules.append(rule(f"not {new}.blocked", f"{party.name}_blocked",
                              f"{{{new}.name}} is blocked"))  # fmt: skip
        yield f"hand_over_{name}", {
            "description": f"Make a {noun.words} another {party.words}'s.",
            "parameters": {f"{name}_id": {"ref": name}, f"{new}_id": {"ref": party.name}},
            "rules": rules,
            "effects": [{"update": name, "set": {f"{party.name}_id": f"{new}_id"}}],
            "result": {f"{party.name}_id": f"{name}.{party.name}_id"}}  # fmt: skip

    def _pay(self, noun: Noun) -> Iterator[Named]:
        if "paid" in noun.has:
            name = noun.name
            yield f"pay_{name}", {
                "description": f"Pay some of what a {noun.words} costs.",
                "parameters": {f"{name}_id": {"ref": name}, "sum": {"type": "integer", "min": 1}},
                "let": {"open": f"{name}.amount - {name}.paid"},
                "rules": [rule("sum <= open", "above_open", "only {open} are open")],
                "effects": [{"update": name, "set": {"paid": f"{name}.paid + sum"}}],
                "result": {"paid": f"{name}.paid", "open": "open - sum"}}  # fmt: skip

    def _prioritise(self, noun: Noun) -> Iterator[Named]:
        if "priority" in noun.has:
            name = noun.name
            high = f"count({name} as other where other.priority == 'high' and other.status == '{noun.states[0]}')"
            most = self._rng.randint(4, 12)
            yield f"prioritise_{name}", {
                "description": f"Set the priority of a {noun.words}; few may be high at once.",
                "parameters": {f"{name}_id": {"ref": name},
                               "priority": {"values": ["low", "normal", "high"]}},
                "rules": [rule(f"priority != 'high' or {high} < {most}", "too_many_high",
                               f"{{{high}}} {plural(noun)} are high already")],
                "effects": [{"update": name, "set": {"priority": "priority"}}],
                "result": {"priority": f"{name}.priority"}, "idempotent": True}  # fmt: skip

    def _sweep(self, noun: Noun) -> Iterator[Named]:
        if "due_on" in noun.has:
            (party, *_) = self._outline.targets(noun, "party")
            name = noun.name
            late = (f"{name}.{party.name}_id == {party.name}.id and {name}.due_on < today()"
                    f" and {name}.status == '{noun.states[0]}'")  # fmt: skip
            yield f"drop_late_{plural_name(noun)}", {
                "description": f"Make all of a {party.words}'s overdue {plural(noun)} {noun.states[-1]}.",
                "parameters": {f"{party.name}_id": {"ref": party.name}},
                "let": {"number": f"count({name} where {late})"},
                "rules": [rule("number > 0", "none_late", f"no {noun.words} is overdue")],
                "effects": [{"update": name, "where": late,
                             "set": {"status": f"'{noun.states[-1]}'"}}],
                "result": {"number": "number"}}  # fmt: skip

    def _contact(self, noun: Noun) -> Iterator[Named]:
        fields = [f for f in ("phone", "city") if f in noun.has]
        if fields:
            yield f"update_{noun.name}", {
                "description": f"Change the {' and '.join(fields)} of a {noun.words}.",
                "parameters": {f"{noun.name}_id": {"ref": noun.name},
                               **{field: {"max": 80} for field in fields}},
                "effects": [{"update": noun.name, "set": {field: field for field in fields}}],
                "row": noun.name, "idempotent": True}  # fmt: skip

    def _block(self, noun: Noun) -> Iterator[Named]:
        if "blocked" in noun.has:
            name = noun.name
            yield f"block_{name}", {
                "description": f"Block a {noun.words}, or let it in again.",
                "parameters": {f"{name}_id": {"ref": name}, "blocked": {"type": "boolean"}},
                "rules": [rule(f"{name}.blocked != blocked", "no_change",
                               f"blocked is {{{name}.blocked}} already")],
                "effects": [{"update": name, "set": {"blocked": "blocked"}}],
                "result": {"blocked": f"{name}.blocked"}}  # fmt: skip

    def _promote(self, noun: Noun) -> Iterator[Named]:
        tiers = noun.fields.get("tier", {}).get("values")
        deals = self._outline.referring(noun.name, "deal")
        if tiers and deals:
            name = noun.name
            deal, stem = deals[0]
            number = f"count({deal.name} where {deal.name}.{stem}_id == {name}.id)"
            yield f"promote_{name}", {
                "description": f"Raise a {noun.words} to {tiers[-1]}.",
                "parameters": {f"{name}_id": {"ref": name}},
                "rules": [rule(f"{name}.tier != '{tiers[-1]}'", "top_tier", "it is there already"),
                          rule(f"{number} >= {self._rng.randint(1, 3)}", "too_few",
                               f"it has {{{number}}} {plural(deal)}")],
                "effects": [{"update": name, "set": {"tier": f"'{tiers[-1]}'"}}],
                "result": {"tier": f"{name}.tier"}}  # fmt: skip

    def _top_up(self, noun: Noun) -> Iterator[Named]:
        if "balance" in noun.has:
            name = noun.name
            most = self._rng.choice((1000, 2000, 5000))
            yield f"top_up_{name}", {
                "description": f"Add to the balance of a {noun.words}, up to {most}.",
                "parameters": {f"{name}_id": {"ref": name}, "sum": {"type": "integer", "min": 1}},
                "rules": [rule(f"{name}.balance + sum <= {most}", "above_limit",
                               f"the balance would be {{{name}.balance + sum}}")],
                "effects": [{"update": name, "set": {"balance": f"{name}.balance + sum"}}],
                "result": {"balance": f"{name}.balance"}}  # fmt: skip

    def _restock(self, noun: Noun) -> Iterator[Named]:
        if "stock" in noun.has:
            name = noun.name
            most = self._rng.choice((30, 50, 100))
            yield f"restock_{name}", {
                "description": f"Add to the stock of a {noun.words}, up to {most}.",
                "parameters": {f"{name}_id": {"ref": name},
                               "quantity": {"type": "integer", "min": 1, "max": 100}},
                "rules": [rule(f"{name}.stock + quantity <= {most}", "no_room",
                               f"{{{name}.stock}} are there, and room is for {most}")],
                "effects": [{"update": name, "set": {"stock": f"{name}.stock + quantity"}}],
                "result": {"stock": f"{name}.stock"}}  # fmt: skip

    def _retire(self, noun: Noun) -> Iterator[Named]:
        if "status" in noun.has:
            name = noun.name
            yield f"retire_{name}", {
                "description": f"Take a {noun.words} out of use.",
                "parameters": {f"{name}_id": {"ref": name}},
                "rules": [rule(f"{name}.status == 'available'", "not_available",
                               f"{{{name}.name}} is {{{name}.status}}")],
                "effects": [{"update": name, "set": {"status": "'retired'"}}],
                "result": {"status": f"{name}.status"}}  # fmt: skip

    def _reprice(self, noun: Noun) -> Iterator[Named]:
        if "price" in noun.has:
            name = noun.name
            share = self._rng.choice((20, 30, 50))
            yield f"reprice_{name}", {
                "description": f"Set the price of a {noun.words}; by at most {share} percent.",
                "parameters": {f"{name}_id": {"ref": name},
                               "price": {"type": "integer", "min": 1}},
                "rules": [rule(f"abs(price - {name}.price) * 100 <= {name}.price * {share}",
                               "too_much", f"{{price}} is too far from {{{name}.price}}")],
                "effects": [{"update": name, "set": {"price": "price"}}],
                "result": {"price": f"{name}.price"}, "idempotent": share == 0}  # fmt: skip

    def _move(self, noun: Noun) -> Iterator[Named]:
        for place in self._outline.targets(noun, "place"):
            name = noun.name
            held = f"count({name} as other where other.{place.name}_id == {place.name}.id)"
            room = (
                f"{place.name}.capacity"
                if "capacity" in place.has
                else str(self._rng.randint(4, 9))
            )
            yield f"move_{name}", {
                "description": f"Move a {noun.words} to another {place.words}.",
                "parameters": {f"{name}_id": {"ref": name}, f"{place.name}_id": {"ref": place.name}},
                "rules": [rule(f"{name}.{place.name}_id != {place.name}_id", "there_already",
                               f"it is in {{{place.name}.name}} already"),
                          rule(f"{held} < {room}", f"{place.name}_full",
                               f"{{{place.name}.name}} holds {{{held}}} {plural(noun)}")],
                "effects": [{"update": name, "set": {f"{place.name}_id": f"{place.name}_id"}}],
                "result": {f"{place.name}_id": f"{name}.{place.name}_id"}}  # fmt: skip

    def _duty(self, noun: Noun) -> Named:
        name = noun.name
        return f"set_duty_of_{name}", {
            "description": f"Send a {noun.words} on duty or off it.",
            "parameters": {f"{name}_id": {"ref": name}, "on_duty": {"type": "boolean"}},
            "effects": [{"update": name, "set": {"on_duty": "on_duty"}}],
            "result": {"on_duty": f"{name}.on_duty"}, "idempotent": True}  # fmt: skip

    def _opening(self, noun: Noun) -> Named:
        name = noun.name
        return f"open_{name}", {
            "description": f"Open a {noun.words} or close it.",
            "parameters": {f"{name}_id": {"ref": name}, "open": {"type": "boolean"}},
            "rules": [rule(f"{name}.open != open", "no_change", f"open is {{{name}.open}} already")],
            "effects": [{"update": name, "set": {"open": "open"}}],
            "result": {"open": f"{name}.open"}}  # fmt: skip
