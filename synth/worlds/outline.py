"""What a composed world is about, drawn from a domain: its nouns and how they hang together."""

import random
from typing import Any

from msgspec import Struct

from nexau.synth.worlds.ontology import Domain

_PEOPLE = """
    applicant candidate citizen diner donor employee family fan guardian guest
    household member parent passenger patient player rider student traveller viewer
    visitor witness
"""
_FIRMS = """
    agency association broker business carrier clinic club company cooperative
    corporate department distributor employer exhibitor farm freight_client hospital
    importer installer institution insurer label merchant operator organisation
    partner_zoo school shelter shipping_line sponsor subcontractor supplier vendor
"""
NAMED = {**dict.fromkeys(_PEOPLE.split(), "full_name"), **dict.fromkeys(_FIRMS.split(), "company")}
"""What parties are called that are always people, or never; any other may be either."""
TIERS = (("standard", "plus", "vip"), ("bronze", "silver", "gold"), ("basic", "trusted"))
OPENINGS = ("open", "requested", "pending", "draft", "registered")
MIDDLES = ("approved", "active", "scheduled", "confirmed", "reviewed", "assigned")
ENDINGS = ("done", "closed", "completed", "settled")
BREAKS = ("cancelled", "rejected", "withdrawn")
REASONS = ("routine", "urgent", "complaint", "correction", "renewal", "transfer")
Form = dict[str, Any]


class Noun(Struct):
    """An entity in the making."""

    name: str
    role: str
    """party, staff, asset, place, deal, line or record."""
    fields: dict[str, Form] = {}
    rows: Any = 0
    refs: dict[str, str] = {}
    """Entities that it refers to, by the stem of the field."""
    states: tuple[str, ...] = ()
    """Of a deal: opening, middles, ending, break."""
    verb: str = "create"
    has: set[str] = set()
    """Features, as the names of the fields that carry them."""

    @property
    def words(self) -> str:
        return self.name.replace("_", " ")

    def form(self) -> Form:
        made: Form = {"rows": self.rows, "fields": self.fields}
        return made

    def ref(self, role_or_name: str) -> str | None:
        """The stem by which it refers to an entity."""
        return next((stem for stem, name in self.refs.items() if name == role_or_name), None)


class Outline(Struct):
    nouns: dict[str, Noun]

    def of(self, role: str) -> list[Noun]:
        return [noun for noun in self.nouns.values() if noun.role == role]

    def targets(self, noun: Noun, role: str) -> list[Noun]:
        """The nouns of a role that one refers to."""
        found = (self.nouns[name] for name in noun.refs.values())
        return [each for each in found if each.role == role]

    def referring(self, name: str, role: str | None = None) -> list[tuple[Noun, str]]:
        """Nouns that refer to an entity, with the stem of the field."""
        return [
            (noun, stem)
            for noun in self.nouns.values()
            for stem, target in noun.refs.items()
            if target == name and (role is None or noun.role == role)
        ]


def outline(domain: Domain, rng: random.Random, extra: list[str]) -> Outline:
    """`extra` are words of the specification that no domain knows: they become kinds of assets."""
    sketch = _Sketch(domain, rng, extra)
    sketch.parties()
    sketch.places()
    sketch.staff()
    sketch.assets()
    sketch.deals()
    sketch.lines()
    sketch.records()
    return Outline(sketch.nouns)


class _Sketch:
    def __init__(self, domain: Domain, rng: random.Random, extra: list[str]) -> None:
        self.domain = domain
        self.rng = rng
        self.extra = extra
        self.nouns: dict[str, Noun] = {}
        self._letters: set[str] = set()

    def _some(self, names: list[str], chances: tuple[float, ...]) -> list[str]:
        """The first for sure if its chance says so, and so on, in a drawn order."""
        order = self.rng.sample(names, len(names))
        return [
            name
            for name, chance in zip(order, chances, strict=False)
            if self.rng.random() < chance and name not in self.nouns
        ]

    def _chance(self, chance: float) -> bool:
        return self.rng.random() < chance

    def _add(self, noun: Noun, *, prefixed: bool) -> Noun:
        if prefixed:
            letter = noun.name[0].upper()
            while letter in self._letters:
                letter += noun.name[min(len(letter), len(noun.name) - 1)].upper()
            self._letters.add(letter)
            start = self.rng.choice((1, 101, 1001))
            key: Form = {"make": {"sequence": f"{letter}-{{n}}", "start": start}}
        else:
            key = {"make": {"sequence": 1}}
        noun.fields = {"id": key, **noun.fields}
        noun.has = set(noun.fields)
        self.nouns[noun.name] = noun
        return noun

    def _optional(self, pool: dict[str, Form], low: int, high: int) -> dict[str, Form]:
        chosen = self.rng.sample(sorted(pool), min(len(pool), self.rng.randint(low, high)))
        return {name: pool[name] for name in pool if name in chosen}

    def _link(self, noun: Noun, target: Noun, *, optional: bool = False, pick: str = "") -> None:
        stem = target.name
        noun.refs = {**noun.refs, stem: target.name}
        field: Form = {"ref": target.name}
        if optional:
            field["optional"] = True
        make: Form = {"pick": pick or self.rng.choice(("even", "skewed"))}
        if optional:
            make["missing"] = 0.3
        noun.fields[f"{stem}_id"] = {**field, "make": make}
        noun.has.add(f"{stem}_id")

    def parties(self) -> None:
        for name in self._some(self.domain.party, (1.0, 0.35)):
            tiers = self.rng.choice(TIERS)
            pool: dict[str, Form] = {
                "email": {"unique": True, "make": "email"},
                "phone": {"make": "phone"},
                "city": {"make": "city"},
                "tier": {"values": list(tiers), "make": {"choice": list(tiers)}},
                "balance": {"type": "integer", "make": {"between": [0, 900], "step": 10}},
                "since": {"type": "date", "make": {"days": [-1500, -30]}},
                "blocked": {"type": "boolean", "default": False, "make": {"chance": 0.15}},
                "quota": {"type": "integer", "min": 0, "make": {"between": [2, 6]}},
            }
            drawn = self.rng.choice(("full_name", "full_name", "company"))
            words = NAMED.get(name, drawn)
            fields = {"name": {"make": words}, **self._optional(pool, 3, 6)}
            self._add(Noun(name, "party", fields, self.rng.randint(8, 14)), prefixed=True)

    def places(self) -> None:
        for name in self._some(self.domain.place, (0.6, 0.2)):
            pool: dict[str, Form] = {
                "city": {"make": "city"},
                "open": {"type": "boolean", "default": True, "make": {"chance": 0.85}},
                "capacity": {"type": "integer", "min": 1, "make": {"between": [3, 12]}},
                "phone": {"make": "phone"},
            }
            label = name.replace("_", " ")
            fields = {
                "name": {"unique": True, "make": {"template": f"{label} {{noun}}"}},
                **self._optional(pool, 1, 3),
            }
            self._add(Noun(name, "place", fields, self.rng.randint(3, 5)), prefixed=True)

    def staff(self) -> None:
        for name in self._some(self.domain.staff, (0.75, 0.2)):
            skills = self.rng.sample(self.domain.skills, self.rng.randint(2, 4))
            pool: dict[str, Form] = {
                "on_duty": {"type": "boolean", "default": True, "make": {"chance": 0.8}},
                "capacity": {"type": "integer", "min": 1, "make": {"between": [3, 8]}},
                "hired_on": {"type": "date", "make": {"days": [-3000, -60]}},
                "rate": {"type": "integer", "min": 1, "make": {"between": [20, 90], "step": 5}},
            }
            fields: dict[str, Form] = {
                "name": {"make": "full_name"},
                "skill": {"values": skills, "make": {"choice": skills}},
                **self._optional(pool, 1, 3),
            }
            noun = self._add(Noun(name, "staff", fields, self.rng.randint(4, 8)), prefixed=True)
            for place in self._of("place")[:1]:
                if self._chance(0.5):
                    self._link(noun, place)

    def assets(self) -> None:
        for name in self._some(self.domain.asset, (1.0, 0.45)):
            kinds = self.rng.sample(self.domain.kinds, self.rng.randint(2, 4))
            kinds += [word for word in self.extra if word not in kinds and self._chance(0.5)]
            pool: dict[str, Form] = {
                "price": {"type": "integer", "min": 1, "make": {"between": [10, 400], "step": 5}},
                "restricted": {"type": "boolean", "default": False, "make": {"chance": 0.2}},
                "made_on": {"type": "date", "make": {"days": [-2000, -10]}},
                "condition": {"values": ["new", "good", "worn"],
                              "make": {"choice": ["new", "good", "worn"]}},
                "rating": {"type": "number", "min": 0, "max": 5,
                           "make": {"between": [1, 5], "step": 0.5}},
            }  # fmt: skip
            label = name.replace("_", " ")
            fields: dict[str, Form] = {
                "name": {"unique": True, "make": {"template": f"{{adjective}} {label}"}},
                "kind": {"values": kinds, "make": {"choice": kinds}},
                **self._optional(pool, 1, 4),
            }
            if self._chance(0.55):
                fields["stock"] = {"type": "integer", "min": 0, "make": {"between": [0, 20]}}
            else:
                states = ["available", "in_use", "retired"]
                weights = {"available": 6, "in_use": 3, "retired": 1}
                fields["status"] = {"values": states, "default": "available",
                                    "make": {"choice": weights}}  # fmt: skip
            noun = self._add(Noun(name, "asset", fields, self.rng.randint(10, 16)), prefixed=True)
            for place in self._of("place")[:1]:
                if self._chance(0.6):
                    self._link(noun, place)
            for party in self._of("party")[:1]:
                if self._chance(0.15):
                    self._link(noun, party, optional=True)

    def _of(self, role: str) -> list[Noun]:
        return [noun for noun in self.nouns.values() if noun.role == role]

    def deals(self) -> None:
        names = list(self.domain.deal)
        for name in self._some(names, (1.0, 0.55, 0.25)):
            states = self._states()
            choice = dict.fromkeys(states, 3) | {states[0]: 5}
            fields: dict[str, Form] = {
                "status": {"values": list(states), "default": states[0],
                           "make": {"choice": choice}},
                "opened_on": {"type": "date", "make": {"days": [-60, 0]}},
            }  # fmt: skip
            noun = Noun(name, "deal", fields, self.rng.randint(24, 36), states=states,
                        verb=self.domain.deal[name])  # fmt: skip
            self._add(noun, prefixed=True)
            self._link(noun, self.rng.choice(self._of("party")))
            for role, chance in (("asset", 0.75), ("staff", 0.6), ("place", 0.35)):
                targets = self._of(role)
                if targets and self._chance(chance):
                    target = self.rng.choice(targets)
                    self._link(noun, target, optional=role == "staff" and self._chance(0.5))
            for earlier in self._of("deal")[:-1]:
                if self._chance(0.4):
                    self._link(noun, earlier, optional=self._chance(0.5))
                    break
            noun.fields |= self._deal_fields(noun)
            noun.has |= set(noun.fields)

    def _states(self) -> tuple[str, ...]:
        middles = self.rng.sample(MIDDLES, self.rng.choice((0, 1, 1, 2, 2, 3)))
        return (
            self.rng.choice(OPENINGS),
            *middles,
            self.rng.choice(ENDINGS),
            self.rng.choice(BREAKS),
        )

    def _deal_fields(self, noun: Noun) -> dict[str, Form]:
        reasons = self.rng.sample(REASONS, self.rng.randint(2, 4))
        ended = [noun.states[-2]]
        paid = f"if(day({noun.name}.opened_on) % 3 == 0, 0, {noun.name}.amount)"
        pool: dict[str, Form] = {
            "due_on": {"type": "date", "make": {"days": [3, 90], "after": "opened_on"}},
            "amount": {"type": "integer", "min": 0, "make": {"between": [20, 600], "step": 10}},
            "quantity": {"type": "integer", "min": 1, "make": {"between": [1, 3]}},
            "priority": {"values": ["low", "normal", "high"], "default": "normal",
                         "make": {"choice": ["low", "normal", "high"]}},
            "reason": {"values": reasons, "make": {"choice": reasons}},
            "closed_on": {"type": "date", "optional": True,
                          "make": {"days": [1, 20], "after": "opened_on",
                                   "when": {"status": ended}}},
            "paid": {"type": "integer", "min": 0, "default": 0, "make": {"compute": paid}},
        }  # fmt: skip
        chosen = self._optional(pool, 2, 6)
        if "paid" in chosen:
            chosen.setdefault("amount", pool["amount"])
        return chosen

    def lines(self) -> None:
        deals = self._of("deal")
        for name in self._some(self.domain.line, (0.6,)):
            fields: dict[str, Form] = {
                "quantity": {"type": "integer", "min": 1, "make": {"between": [1, 4]}}
            }
            if self._chance(0.6):
                fields["price"] = {"type": "integer", "min": 0, "make": {"between": [5, 90]}}
            if self._chance(0.35):
                fields["label"] = {"make": "title"}
            noun = self._add(Noun(name, "line", fields), prefixed=False)
            deal = self.rng.choice(deals)
            noun.rows = {"per": deal.name, "between": [0, 2]}
            self._link(noun, deal)
            if self._chance(0.5):
                self._link(noun, self.rng.choice(self._of("asset")))

    def records(self) -> None:
        for name in self._some(self.domain.record, (0.8, 0.4)):
            pool: dict[str, Form] = {
                "amount": {"type": "integer", "min": 1, "make": {"between": [5, 60]}},
                "made_on": {"type": "date", "make": {"days": [-40, 0]}},
                "verdict": {"values": ["good", "mixed", "bad"],
                            "make": {"choice": ["good", "mixed", "bad"]}},
            }  # fmt: skip
            fields = {"body": {"make": "sentence"}, **self._optional(pool, 1, 3)}
            noun = self._add(Noun(name, "record", fields, self.rng.randint(6, 14)), prefixed=False)
            self._link(noun, self.rng.choice(self._of("deal")))
            staff = self._of("staff")
            if staff and self._chance(0.4):
                self._link(noun, self.rng.choice(staff))
