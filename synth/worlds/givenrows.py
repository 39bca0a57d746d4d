"""What is wrong with the rows that an entity asks for: counts, given rows, how fields are made."""

from typing import Any

from nexau.files.forms import INVALID
from nexau.files.nearest import hint
from nexau.files.problems import Trail
from nexau.synth.worlds.context import Context
from nexau.synth.worlds.kinds import Kind, fits, words
from nexau.synth.worlds.makers import fault_of, make_of, template_names
from nexau.synth.worlds.scope import Shape
from nexau.synth.worlds.structs import EntityForm, FieldForm, Make, RowsPer
from nexau.synth.worlds.vocabulary import VOCABULARIES


def check_rows(context: Context, form: EntityForm, shape: Shape, trail: Trail) -> None:
    """Counts, given rows, and how each field is made."""
    if isinstance(form.rows, RowsPer):
        place = (*trail, "rows")
        if form.rows.per not in context.entities:
            mend = hint(form.rows.per, context.entities, "there are")
            context.wrong((*place, "per"), f"no entity {form.rows.per!r}{mend}")
        elif form.rows.per not in {target for _, target in shape.references.values()}:
            context.wrong((*place, "per"), f"{shape.name} has no reference to {form.rows.per}")
        pair = form.rows.between
        if len(pair) != 2 or not 0 <= pair[0] <= pair[1] <= 1000:
            context.wrong((*place, "between"), "expected two numbers, ascending, 0 to 1000")
    for index, row in enumerate(form.data):
        _check_given(context, form, shape, row, (*trail, "data", index))
    before: list[str] = []
    for name, field in form.fields.items():
        if isinstance(field, FieldForm):
            place = (*trail, "fields", name, "make")
            _check_make(context, shape, name, field, before, place)
        before.append(name)


def _check_given(context: Context, form: EntityForm, shape: Shape, row: Any, place: Trail) -> None:
    if not isinstance(row, dict):
        return
    for name, value in row.items():
        kind = shape.fields.get(name)
        if kind is None:
            mend = hint(str(name), shape.fields, "it has")
            context.wrong((*place, name), f"{shape.name} has no field {name!r}{mend}")
        elif not fits(value, kind):
            context.wrong((*place, name), f"expected {words(kind)}, got {value!r}")
    for name, kind in shape.fields.items():
        field: Any = form.fields[name]
        made = name == shape.key and isinstance(field, FieldForm) and isinstance(field.make, Make)
        if name not in row and not kind.null and not made and (
            field is not INVALID and field.default is None
        ):  # fmt: skip
            context.wrong(place, f"{name} is missing, which is never null")


def _check_make(
    context: Context, shape: Shape, name: str, form: FieldForm, before: list[str], place: Trail
) -> None:
    kind = shape.fields[name]
    key = name == shape.key
    if form.make is None:
        if key and kind.name == "text" and not form.values:
            context.wrong(place[:-1], "a key of text needs `make`, as {sequence: 'C-{n}'}")
        return
    make = make_of(form, kind, name)
    inner = () if isinstance(form.make, str) else ("words",)
    if make.words is not None and make.words not in (*VOCABULARIES, "email"):
        mend = hint(make.words, [*VOCABULARIES, "email"], "there are")
        context.wrong((*place, *inner), f"no vocabulary {make.words!r}{mend}")
    if fault := fault_of(make, kind, key=key):
        context.wrong((*place, fault[0]), fault[1])
    for other in (*make.when, *([make.after] if make.after else [])):
        if other not in before:
            mend = hint(other, before, "before it are")
            context.wrong((*place, "when"), f"no field {other!r} stands before this one{mend}")
    for other in template_names(make.template or ""):
        if other not in (*before, *VOCABULARIES, "n"):
            mend = hint(other, [*before, *VOCABULARIES, "n"], "before it are")
            context.wrong((*place, "template"), f"nothing is called {other!r} here{mend}")
    _check_choices(context, make, kind, (*place, "choice"))


def _check_choices(context: Context, make: Make, kind: Kind, place: Trail) -> None:
    choices = make.choice if isinstance(make.choice, list) else list(make.choice or {})
    for value in choices:
        if not fits(value, kind.maybe()):
            wanted = f"one of: {', '.join(kind.values)}" if kind.values else words(kind)
            context.wrong(place, f"expected {wanted}, got {value!r}")
