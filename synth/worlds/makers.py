"""Values of seeded rows: one maker a field, each with a random stream of its own."""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from msgspec import Struct

from nexau.synth.worlds.kinds import NUMERIC, Kind
from nexau.synth.worlds.structs import FieldForm, Make
from nexau.synth.worlds.vocabulary import VOCABULARIES

Row = Mapping[str, Any]
Maker = Callable[[int, Row], Any]
"""The number of the row, from 0, and the fields made before."""


class Surroundings(Struct, frozen=True, dict=True):
    """What a maker may look at."""

    stream: Callable[[], random.Random]
    today: date
    keys: Sequence[Any]
    """Of the entity that a reference names."""
    to_itself: bool
    first: int
    """The first number of the entity's sequence."""

    @cached_property
    def rng(self) -> random.Random:
        """The field's stream, begun when something is drawn from it: many fields draw nothing."""
        return self.stream()


GENERATORS = ("words", "sequence", "choice", "between", "normal", "lognormal", "exponential",
              "chance", "days", "pick", "template", "compute")  # fmt: skip
_FOR: dict[str, tuple[str, ...]] = {
    "words": ("text",), "template": ("text",), "between": NUMERIC, "normal": NUMERIC,
    "lognormal": NUMERIC, "exponential": NUMERIC, "chance": ("boolean",),
    "days": ("date", "datetime"), "sequence": ("text", "integer"),
}  # fmt: skip


def generator_of(make: Make) -> str | None:
    """The key that says how; None where there is none."""
    return next((key for key in GENERATORS if getattr(make, key) is not None), None)


def fault_of(make: Make, kind: Kind, *, key: bool) -> tuple[str, str] | None:
    """What is wrong with a `make` by itself: the key inside it, and why."""
    given = [each for each in GENERATORS if getattr(make, each) is not None]
    if len(given) > 1:
        return given[1], f"beside {given[0]}: a field is made in one way"
    name = given[0] if given else ""
    if name in _FOR and kind.name not in _FOR[name]:
        return name, f"{name} does not make {kind.name}"
    if name == "sequence" and not key:
        return name, "only a key is a sequence; for a number use `template: '{n}'`"
    if name == "pick" and not kind.entity:
        return name, "pick is for references"
    if fault := _numbers(make):
        return fault
    if make.choice is not None and not make.choice:
        return "choice", "expected at least one value"
    if isinstance(make.choice, dict) and not all(map(_weight, make.choice.values())):
        return "choice", "weights are numbers above 0"
    if (make.missing or make.when) and not kind.null:
        return "missing" if make.missing else "when", "the field is not `optional`"
    return None


def _numbers(make: Make) -> tuple[str, str] | None:
    for pair in ("between", "normal", "lognormal", "days", "hours"):
        numbers = getattr(make, pair)
        if numbers is not None and len(numbers) != 2:
            return pair, f"expected two numbers, got {len(numbers)}"
        if numbers is not None and pair not in {"normal", "lognormal"} and numbers[0] > numbers[1]:
            return pair, "the first number is greater than the second"
    if make.hours is not None and not 0 <= make.hours[0] <= make.hours[1] <= 23:
        return "hours", "hours are 0 to 23"
    return None


def _weight(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0


def make_of(form: FieldForm, kind: Kind, name: str) -> Make:
    """`make` of a field, or what stands for it."""
    if isinstance(form.make, str):
        return Make(words=form.make)
    if isinstance(form.make, Make):
        if generator_of(form.make) is not None:
            return form.make
        base = form.make
    else:
        base = Make(missing=1.0 if kind.null and not kind.entity else 0.0)
    return _default(base, kind, name)


def _default(base: Make, kind: Kind, name: str) -> Make:
    conditions: dict[str, Any] = {"missing": base.missing, "when": base.when, "after": base.after,
                                  "hours": base.hours, "minutes": base.minutes}  # fmt: skip
    if kind.entity:
        return Make(pick="even", **conditions)
    if kind.values:
        return Make(choice=list(kind.values), **conditions)
    made: dict[str, dict[str, Any]] = {
        "boolean": {"chance": 0.5},
        "integer": {"between": [1, 100]},
        "number": {"between": [0, 1000], "step": 0.01},
        "date": {"days": [-365, 0]},
        "datetime": {"days": [-60, 0]},
        "text": {"words": name if name in (*VOCABULARIES, "email") else "title"},
    }
    return Make(**made[kind.name], **conditions)


def maker(make: Make, kind: Kind, around: Surroundings) -> Maker:
    """Draws from `around.rng` in the order of the rows, the same number of times whatever
    conditions say.
    """
    plain = _plain(make, kind, around)
    if not make.missing and not make.when:
        return plain
    share, rng = make.missing, around.rng if make.missing else None
    wanted = {field: value if isinstance(value, list) else [value]
              for field, value in make.when.items()}  # fmt: skip

    def conditional(number: int, row: Row) -> Any:
        value = plain(number, row)
        if rng is not None and rng.random() < share:
            return None
        return value if all(row.get(f) in values for f, values in wanted.items()) else None

    return conditional


def _plain(make: Make, kind: Kind, around: Surroundings) -> Maker:
    name = generator_of(make)
    if name == "sequence":
        return _sequence(make, around)
    if name == "pick":
        return _pick(make, around)
    if name == "compute":
        return lambda _, __: None
    rng = around.rng
    if name == "words":
        return _words(make.words or "", rng)
    if name == "choice":
        return _choice(make, rng)
    if name == "chance":
        chance = make.chance or 0.0
        return lambda _, __: rng.random() < chance
    if name == "days":
        return _days(make, kind, around)
    if name == "template":
        return _template(make.template or "", rng)
    return _number(make, kind, rng)


def _words(name: str, rng: random.Random) -> Maker:
    if name == "email":
        return lambda number, row: _email(number, row, rng)
    pick = VOCABULARIES[name]
    return lambda _, __: pick(rng)


def _email(number: int, row: Row, rng: random.Random) -> str:
    name = next((row[f] for f in ("name", "full_name", "last_name") if row.get(f)), None)
    plain = str(name or VOCABULARIES["full_name"](rng)).lower()
    safe = ".".join("".join(c if c.isascii() and c.isalnum() else " " for c in plain).split())
    return f"{safe}.{number + 1}@example.com"


def _sequence(make: Make, around: Surroundings) -> Maker:
    form, first = make.sequence, around.first
    if isinstance(form, int):
        return lambda number, _: first + number
    return lambda number, _: str(form).replace("{n}", str(first + number))


def _choice(make: Make, rng: random.Random) -> Maker:
    if isinstance(make.choice, dict):
        values, weights = list(make.choice), list(make.choice.values())
        return lambda _, __: rng.choices(values, weights)[0]
    plain = make.choice or []
    return lambda _, __: rng.choice(plain)


def _number(make: Make, kind: Kind, rng: random.Random) -> Maker:
    draw: Callable[[], float]
    if make.between is not None:
        low, high = make.between
        if kind.name == "integer" and make.step is None:
            return lambda _, __: rng.randint(round(low), round(high))
        draw = lambda: rng.uniform(low, high)  # noqa: E731
    elif make.normal is not None:
        mean, deviation = make.normal
        draw = lambda: rng.normalvariate(mean, deviation)  # noqa: E731
    elif make.lognormal is not None:
        median, sigma = make.lognormal
        draw = lambda: median * rng.lognormvariate(0, sigma)  # noqa: E731
    else:
        rate = 1 / max(make.exponential or 1.0, 1e-9)
        draw = lambda: rng.expovariate(rate)  # noqa: E731

    def number(_: int, __: Row) -> float:
        value = draw()
        if make.step:
            value = round(value / make.step) * make.step
        if make.min is not None:
            value = max(value, make.min)
        if make.max is not None:
            value = min(value, make.max)
        return round(value) if kind.name == "integer" else round(value, 6)

    return number


def _days(make: Make, kind: Kind, around: Surroundings) -> Maker:
    rng, today = around.rng, around.today
    low, high = make.days or [0, 0]
    first, last = make.hours or [8, 17]
    slots = max(1, (last - first + 1) * 60 // make.minutes)

    def moment(_: int, row: Row) -> str | None:
        distance, slot = rng.randint(low, high), rng.randrange(slots) * make.minutes
        base = today
        if make.after is not None:
            before = row.get(make.after)
            if before is None:
                return None
            base = date.fromisoformat(before[:10])
        day = base + timedelta(days=distance)
        if kind.name == "date":
            return day.isoformat()
        at = datetime(day.year, day.month, day.day, first) + timedelta(minutes=slot)
        return at.isoformat(timespec="minutes")

    return moment


def _pick(make: Make, around: Surroundings) -> Maker:
    keys = around.keys
    if make.pick == "each" and keys and not around.to_itself:
        return lambda number, _: keys[number % len(keys)]
    rng = around.rng
    if around.to_itself:
        # Only rows before it, so that nothing goes round in a circle.
        return lambda number, _: keys[rng.randrange(number)] if number else None
    if not keys:
        return lambda _, __: None
    if make.pick == "skewed":
        return lambda _, __: keys[int((len(keys) + 1) ** rng.random()) - 1]
    return lambda _, __: keys[rng.randrange(len(keys))]


def template_names(template: str) -> list[str]:
    """The names between braces."""
    return [part.partition("}")[0] for part in template.split("{")[1:]]


def _template(template: str, rng: random.Random) -> Maker:
    pieces = [part.partition("}") for part in template.split("{")[1:]]
    head = template.split("{")[0]

    def text(number: int, row: Row) -> str:
        made = [head]
        for name, _, rest in pieces:
            if name == "n":
                value: Any = number + 1
            elif name in row:
                value = row[name]
            else:
                value = VOCABULARIES[name](rng)
            made += [str(value), rest]
        return "".join(made)

    return text
