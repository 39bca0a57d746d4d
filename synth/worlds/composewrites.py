"""Writing tools of composed worlds, with rules that bite."""

import random
from collections.abc import Iterator
from itertools import pairwise

from nexau.synth.worlds.composereads import plural
from nexau.synth.worlds.outline import Form, Noun, Outline

Named = tuple[str, Form]
_VERBS = {"approved": "approve", "active": "activate", "scheduled": "schedule",
          "confirmed": "confirm", "reviewed": "review", "assigned": "dispatch", "done": "finish",
          "closed": "close", "completed": "complete", "settled": "settle", "cancelled": "cancel",
          "rejected": "reject", "withdrawn": "withdraw"}  # fmt: skip


def rule(require: str, error: str, message: str) -> Form:
    return {"require": require, "error": error, "message": message}


class Writes:
    """`hints` are words of the specification: what they speak of happens more often."""

    def __init__(self, outline: Outline, rng: random.Random, hints: frozenset[str]) -> None:
        self._outline = outline
        self._rng = rng
        self._hints = hints

    def needed(self) -> Iterator[Named]:
        for noun in self._outline.of("deal"):
            yield self._create(noun)
            yield from self._steps(noun)
        for noun in self._outline.nouns.values():
            if noun.role in {"line", "record"}:
                yield self._add(noun)

    def _likes(self, chance: float, *words: str) -> bool:
        return self._rng.random() < (0.9 if self._hints & set(words) else chance)

    def _create(self, noun: Noun) -> Named:
        parameters: Form = {}
        sets: Form = {"opened_on": "today()"}
        for stem, target in noun.refs.items():
            optional = bool(noun.fields[f"{stem}_id"].get("optional"))
            parameters[f"{stem}_id"] = {"ref": target, **({"optional": True} if optional else {})}
            sets[f"{stem}_id"] = f"{stem}_id"
        if "quantity" in noun.has:
            parameters["quantity"] = {"type": "integer", "min": 1, "max": 20, "default": 1}
            sets["quantity"] = "quantity"
        if "reason" in noun.has:
            parameters["reason"] = {"values": noun.fields["reason"]["values"]}
            sets["reason"] = "reason"
        if "priority" in noun.has and self._likes(0.5, "priority", "urgent"):
            parameters["priority"] = {"values": ["low", "normal", "high"], "default": "normal"}
            sets["priority"] = "priority"
        if "due_on" in noun.has:
            sets["due_on"] = f"today() + {self._rng.choice((7, 14, 30, 60))}"
        rules = [*self._party_rules(noun), *self._asset_rules(noun), *self._other_rules(noun)]
        effects: list[Form] = []
        if "amount" in noun.has:
            sets["amount"] = self._price(noun, parameters)
        effects.append({"insert": noun.name, "set": sets})
        effects += self._taken(noun)
        result: Form = {f"{noun.name}_id": f"{noun.name}.id", "status": f"{noun.name}.status"}
        if "amount" in noun.has:
            result["amount"] = f"{noun.name}.amount"
        return f"{noun.verb}_{noun.name}", {
            "description": f"{noun.verb.capitalize()} a new {noun.words}.",
            "parameters": parameters, "rules": rules, "effects": effects, "result": result}  # fmt: skip

    def _price(self, noun: Noun, parameters: Form) -> str:
        for asset in self._outline.targets(noun, "asset"):
            if "price" in asset.has:
                return f"{asset.name}.price{' * quantity' if 'quantity' in noun.has else ''}"
        parameters["amount"] = {"type": "integer", "min": 1, "max": 5000}
        return "amount"

    def _party_rules(self, noun: Noun) -> Iterator[Form]:
        for party in self._outline.targets(noun, "party"):
            if "blocked" in party.has:
                yield rule(f"not {party.name}.blocked", f"{party.name}_blocked",
                           f"{{{party.name}.name}} is blocked")  # fmt: skip
            running = (f"count({noun.name} where {noun.name}.{party.name}_id == {party.name}.id"
                       f" and {noun.name}.status == '{noun.states[0]}')")  # fmt: skip
            if "quota" in party.has:
                yield rule(f"{running} < {party.name}.quota", "quota_used_up",
                           f"{{{party.name}.name}} has {{{running}}} {plural(noun)} already")  # fmt: skip
            elif self._likes(0.4, "limit", "quota", "maximum"):
                tiers = party.fields.get("tier", {}).get("values")
                most = str(self._rng.randint(3, 6))
                if tiers and self._likes(0.5, "tier", "vip", "premium"):
                    most = (
                        f"if({party.name}.tier == '{tiers[-1]}', {self._rng.randint(6, 9)}, {most})"
                    )
                yield rule(f"{running} < {most}", "too_many",
                           f"{{{party.name}.name}} has {{{running}}} {plural(noun)} already")  # fmt: skip
            if "balance" in party.has and self._likes(0.4, "balance", "debt", "credit"):
                yield rule(f"{party.name}.balance >= {self._rng.choice((10, 50, 100))}",
                           "balance_too_low",
                           f"the balance of {{{party.name}.name}} is {{{party.name}.balance}}")  # fmt: skip

    def _asset_rules(self, noun: Noun) -> Iterator[Form]:
        for asset in self._outline.targets(noun, "asset"):
            wanted = "quantity" if "quantity" in noun.has else "1"
            if "stock" in asset.has:
                yield rule(f"{asset.name}.stock >= {wanted}", "out_of_stock",
                           f"only {{{asset.name}.stock}} of {{{asset.name}.name}} are left")  # fmt: skip
            else:
                yield rule(f"{asset.name}.status == 'available'", "not_available",
                           f"{{{asset.name}.name}} is {{{asset.name}.status}}")  # fmt: skip
            if "restricted" in asset.has:
                party = self._outline.targets(noun, "party")[0]
                allowed = f"not {asset.name}.restricted"
                tiers = party.fields.get("tier", {}).get("values")
                if tiers:
                    allowed += f" or {party.name}.tier == '{tiers[-1]}'"
                elif "since" in party.has:
                    allowed += f" or today() - {party.name}.since > 365"
                yield rule(allowed, "restricted", f"{{{asset.name}.name}} is restricted")

    def _other_rules(self, noun: Noun) -> Iterator[Form]:
        for staff in self._outline.targets(noun, "staff"):
            absent = bool(noun.fields[f"{staff.name}_id"].get("optional"))
            unless = f"{staff.name}_id is null or " if absent else ""
            if "on_duty" in staff.has:
                yield rule(f"{unless}{staff.name}.on_duty", "off_duty",
                           f"{{{staff.name}.name}} is off duty")  # fmt: skip
            if "capacity" in staff.has and self._likes(0.5, "capacity", "workload"):
                load = self._load(noun, staff)
                yield rule(f"{unless}{load} < {staff.name}.capacity", "overloaded",
                           f"{{{staff.name}.name}} has {{{load}}} {plural(noun)} already")  # fmt: skip
        for place in self._outline.targets(noun, "place"):
            if "open" in place.has:
                yield rule(f"{place.name}.open", f"{place.name}_closed",
                           f"{{{place.name}.name}} is closed")  # fmt: skip
            if "capacity" in place.has and self._likes(0.5, "capacity", "full"):
                load = self._load(noun, place)
                yield rule(f"{load} < {place.name}.capacity", f"{place.name}_full",
                           f"{{{place.name}.name}} has {{{load}}} {plural(noun)} already")  # fmt: skip

    @staticmethod
    def _load(noun: Noun, target: Noun) -> str:
        return (f"count({noun.name} where {noun.name}.{target.name}_id == {target.name}.id"
                f" and {noun.name}.status == '{noun.states[0]}')")  # fmt: skip

    def _taken(self, noun: Noun) -> list[Form]:
        """What becomes of the assets that a new deal uses, and of the balance."""
        made: list[Form] = []
        for asset in self._outline.targets(noun, "asset"):
            wanted = "quantity" if "quantity" in noun.has else "1"
            if "stock" in asset.has:
                made.append(
                    {"update": asset.name, "set": {"stock": f"{asset.name}.stock - {wanted}"}}
                )
            else:
                made.append({"update": asset.name, "set": {"status": "'in_use'"}})
        for party in self._outline.targets(noun, "party"):
            if "balance" in party.has and "amount" in noun.has and self._likes(0.3, "balance"):
                change = f"{party.name}.balance - {noun.name}.amount"
                made.append({"update": party.name, "set": {"balance": change}})
        return made

    def _steps(self, noun: Noun) -> Iterator[Named]:
        *path, broken = noun.states
        for before, after in pairwise(path):
            yield self._step(noun, [before], after, ends=after == path[-1])
        many = [path[0]] if len(path) < 3 or self._rng.random() < 0.5 else path[:-1]
        yield self._step(noun, many, broken, ends=True)

    def _step(self, noun: Noun, before: list[str], after: str, *, ends: bool) -> Named:
        name = noun.name
        states = ", ".join(f"'{state}'" for state in before)
        test = f"{name}.status == {states}" if len(before) == 1 else f"{name}.status in [{states}]"
        rules = [rule(test, f"not_{before[0]}" if len(before) == 1 else "ended_already",
                      f"{noun.words} {{{name}.id}} is {{{name}.status}}")]  # fmt: skip
        parameters: Form = {f"{name}_id": {"ref": name}}
        party = self._outline.targets(noun, "party")[0]
        sets: Form = {"status": f"'{after}'"}
        if after == noun.states[-1] and self._rng.random() < 0.7:
            parameters[f"{party.name}_id"] = {"ref": party.name}
            rules.insert(0, rule(f"{name}.{party.name}_id == {party.name}_id", f"not_their_{name}",
                                 f"{noun.words} {{{name}.id}} is not {{{party.name}.name}}'s"))  # fmt: skip
        if ends and "closed_on" in noun.has:
            sets["closed_on"] = "today()"
        rules += self._step_rules(noun, after, ends=ends)
        effects: list[Form] = [{"update": name, "set": sets}]
        if ends:
            effects += self._released(noun)
        form: Form = {
            "description": f"{_VERBS[after].capitalize()} a {noun.words}.",
            "parameters": parameters, "rules": rules, "effects": effects,
            "result": {f"{name}_id": f"{name}.id", "status": f"{name}.status"},
        }  # fmt: skip
        return f"{_VERBS[after]}_{name}", form

    def _step_rules(self, noun: Noun, after: str, *, ends: bool) -> Iterator[Form]:
        name = noun.name
        if "paid" in noun.has and after == noun.states[-2] and self._likes(0.5, "payment", "paid"):
            yield rule(f"{name}.paid >= {name}.amount or {name}.amount < 250", "not_paid",
                       f"{{{name}.paid}} of {{{name}.amount}} are paid")  # fmt: skip
        if "due_on" in noun.has and not ends and self._likes(0.4, "deadline", "late", "overdue"):
            yield rule(f"{name}.due_on >= today()", "too_late",
                       f"it was due on {{{name}.due_on}}")  # fmt: skip
        if "amount" in noun.has and not ends and self._likes(0.35, "approval", "limit"):
            limit = self._rng.choice((300, 400, 500))
            yield rule(f"{name}.amount <= {limit} or {name}.status != '{noun.states[0]}'",
                       "above_limit", f"{{{name}.amount}} is above the limit of {limit}")  # fmt: skip
        if after == noun.states[-1] and self._likes(0.4, "cancellation", "window", "late"):
            days = self._rng.choice((14, 30, 45))
            yield rule(f"today() - {name}.opened_on <= {days}", "window_passed",
                       f"it was opened {{today() - {name}.opened_on}} days ago; the limit is {days}")  # fmt: skip

    def _released(self, noun: Noun) -> Iterator[Form]:
        for asset in self._outline.targets(noun, "asset"):
            stem = noun.ref(asset.name)
            where = f"{asset.name}.id == {noun.name}.{stem}_id"
            if "stock" in asset.has:
                back = f"{noun.name}.quantity" if "quantity" in noun.has else "1"
                sets: Form = {"stock": f"{asset.name}.stock + {back}"}
            else:
                sets = {"status": "'available'"}
                where += f" and {asset.name}.status == 'in_use'"
            yield {"update": asset.name, "where": where, "set": sets}

    def _add(self, noun: Noun) -> Named:
        (deal,) = self._outline.targets(noun, "deal")
        parameters: Form = {}
        sets: Form = {}
        for stem, target in noun.refs.items():
            parameters[f"{stem}_id"] = {"ref": target}
            sets[f"{stem}_id"] = f"{stem}_id"
        for field, form in noun.fields.items():
            if field == "made_on":
                sets[field] = "today()"
            elif field not in {"id", *sets}:
                plain = {k: v for k, v in form.items() if k in {"type", "values", "min"}}
                if plain.get("type") == "integer":
                    plain["max"] = 1000
                parameters[field] = plain or {"max": 500}
                sets[field] = field
        ended = ", ".join(f"'{state}'" for state in deal.states[-2:])
        rules = [rule(f"{deal.name}.status not in [{ended}]", f"{deal.name}_ended",
                      f"{deal.words} {{{deal.name}.id}} is {{{deal.name}.status}}")]  # fmt: skip
        if noun.role == "line":
            most = self._rng.randint(4, 8)
            lines = f"count({noun.name} where {noun.name}.{deal.name}_id == {deal.name}.id)"
            rules.append(rule(f"{lines} < {most}", "too_many",
                              f"it has {{{lines}}} {plural(noun)} already"))  # fmt: skip
        effects: list[Form] = [{"insert": noun.name, "set": sets}]
        if noun.role == "line" and "price" in noun.has and "amount" in deal.has:
            more = f"{deal.name}.amount + {noun.name}.price * {noun.name}.quantity"
            effects.append({"update": deal.name, "set": {"amount": more}})
        return f"add_{noun.name}", {
            "description": f"Add a {noun.words} to a {deal.words}.", "parameters": parameters,
            "rules": rules, "effects": effects, "result": {f"{noun.name}_id": f"{noun.name}.id"}}  # fmt: skip
