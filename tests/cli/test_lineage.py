"""`nexau lineage`: the chain as one line, and what cannot be found."""

from pathlib import Path

from nexau.synth.lineage import append, made_by, record
from tests.cli.conftest import Call


def test_the_chain_is_a_line_of_json(call: Call, place: Path) -> None:
    specification = record("specification", "a shop")
    world = record("world", "w", [specification.id], made_by("nexau synth worlds"), name="shop-1")
    append(place / "lineage.jsonl", [specification, world])
    outcome = call("lineage", world.id, "--below")
    assert outcome.code == 0
    (printed,) = outcome.lines
    assert printed["found"]["lineage"]["id"] == world.id
    assert printed["parents"][0]["found"]["lineage"]["id"] == specification.id
    assert printed["below"] == {}
    assert call("lineage", "shop-1", "lineage.jsonl").lines[0]["found"]["line"] == 2


def test_what_is_not_there(call: Call, place: Path) -> None:
    for arguments in (["nothing"], ["x", "gone.jsonl"]):
        outcome = call("lineage", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith("error: ")
        assert "Traceback" not in outcome.err
