"""Seeded rows: decided by the seed, right in number and kind, and true to the constraints."""

from datetime import date

import pytest

from nexau.synth.worlds.reader import load_world
from nexau.synth.worlds.seeding import rows_of
from nexau.synth.worlds.state import Template
from tests.worlds.serving import RETAIL
from tests.worlds.worlds_for_tests import LENDING, world_of

MAKES = """
world: makes
description: every way to make a value
today: 2026-03-02
entities:
  parent:
    rows: 300
    fields:
      id: {make: {sequence: "P-{n}", start: 5}}
      even: {type: integer, make: {between: [10, 20]}}
      step: {type: number, make: {between: [0, 1], step: 0.25}}
      normal: {type: number, make: {normal: [100, 10], min: 80, max: 120}}
      median: {type: integer, make: {lognormal: [1000, 0.5]}}
      wait: {type: number, make: {exponential: 4}}
      kind: {values: [a, b], make: {choice: {a: 9, b: 1}}}
      flag: {type: boolean, make: {chance: 0.3}}
      seen: {type: date, make: {days: [-10, 0]}}
      later: {type: date, optional: true, make: {days: [1, 3], after: seen, when: {kind: [b]}}}
      slot: {type: datetime, make: {days: [1, 1], hours: [9, 10], minutes: 15}}
      gone: {optional: true, make: {words: city, missing: 0.5}}
      code: {unique: true, make: {template: "{kind}-{even}-{color}"}}
      sum:
        type: integer
        make: {compute: sum(child.size for child where child.parent_id == parent.id)}
  child:
    rows: {per: parent, between: [0, 4]}
    fields:
      id: {make: {sequence: 1}}
      parent_id: {ref: parent}
      above_id: {ref: child, optional: true}
      favourite_id: {ref: fixed, make: {pick: skewed}}
      turn_id: {ref: fixed, make: {pick: each}}
      size: {type: integer, make: {between: [1, 9]}}
  fixed:
    data: [{id: x, label: one}, {id: y, label: two}, {id: z, label: three}]
    fields:
      id: {values: [x, y, z]}
      label: {}
tools:
  count: {description: counts, result: {n: count(parent)}}
"""


def test_every_way_to_make_a_value() -> None:
    template = Template(world_of(MAKES))
    assert template.dropped == []
    state = template.state()
    slots = {f"2026-03-03T{h:02}:{m:02}" for h in (9, 10) for m in (0, 15, 30, 45)}
    parents, children = state.rows("parent"), state.rows("child")
    assert len(parents) == 300
    assert {row["id"] for row in parents} == {f"P-{n}" for n in range(5, 305)}
    assert {row["even"] for row in parents} == set(range(10, 21))
    assert {row["step"] for row in parents} == {0, 0.25, 0.5, 0.75, 1}
    assert all(80 <= row["normal"] <= 120 for row in parents)
    assert 97 < sum(row["normal"] for row in parents) / 300 < 103
    assert 850 < sorted(row["median"] for row in parents)[150] < 1150
    assert 3 < sum(row["wait"] for row in parents) / 300 < 5
    assert 0.8 < sum(row["kind"] == "a" for row in parents) / 300 < 0.98
    assert 0.2 < sum(row["flag"] for row in parents) / 300 < 0.4
    for row in parents:
        assert (row["later"] is None) == (row["kind"] == "a")
        if row["later"] is not None:
            between = date.fromisoformat(row["later"]) - date.fromisoformat(row["seen"])
            assert 1 <= between.days <= 3
        assert row["slot"] in slots
        sizes = [child["size"] for child in children if child["parent_id"] == row["id"]]
        assert row["sum"] == sum(sizes)
        assert len(sizes) <= 4
    assert 0.4 < sum(row["gone"] is None for row in parents) / 300 < 0.6
    assert len({row["code"] for row in parents}) == 300
    assert children[0]["above_id"] is None
    assert all(child["above_id"] < child["id"] for child in children[1:])
    often = [sum(c["favourite_id"] == key for c in children) for key in "xyz"]
    assert often[0] > often[1] > often[2] > 0
    assert [child["turn_id"] for child in children[:4]] == ["x", "y", "z", "x"]
    state.close()
    template.close()


@pytest.mark.parametrize("rows", [10, 1000, 10_000])
def test_rows_scale(rows: int) -> None:
    template = Template(load_world(RETAIL), rows=rows)
    state = template.state()
    assert 0.75 * rows <= rows_of(state.db, state.world) <= max(1.25 * rows, rows + 12)
    state.close()
    template.close()


def test_the_same_seed_gives_the_same_rows_and_another_others() -> None:
    digests = []
    for seed in (1, 1, 2):
        template = Template(world_of(), seed=seed)
        state = template.state()
        digests.append(state.digest())
        state.close()
        template.close()
    assert digests[0] == digests[1] != digests[2]


def test_a_field_that_is_added_changes_no_other() -> None:
    with_shelf = LENDING.replace("      copies:", "      shelf: {make: code}\n      copies:")
    before, after = Template(world_of()), Template(world_of(with_shelf))
    one, two = before.state(), after.state()
    assert one.rows("loan") == two.rows("loan")
    shelved = [{k: v for k, v in row.items() if k != "shelf"} for row in two.rows("book")]
    assert one.rows("book") == shelved
    for each in (one, two, before, after):
        each.close()


def test_rows_that_break_a_constraint_are_left_out_with_those_that_refer_to_them() -> None:
    text = LENDING.replace(
        "      copies: {type: integer, min: 0, max: 9, make: {between: [1, 3]}}",
        "      copies: {type: integer, min: 0, max: 2, make: {between: [1, 3]}}",
    )
    template = Template(world_of(text))
    dropped = {each.entity: each.dropped for each in template.dropped}
    assert dropped["book"] > 0
    assert dropped["loan"] > 0
    state = template.state()
    books = {row["id"] for row in state.rows("book")}
    assert {row["book_id"] for row in state.rows("loan")} <= books
    state.close()
    template.close()
