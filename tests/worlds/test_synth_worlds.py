"""`nexau synth worlds` without a model: pure, resumable, diverse, and only what was tried."""

import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import yaml
from hypothesis import given, settings, strategies as st

from nexau.definitions.values import DefinitionError
from nexau.files.yamlnodes import parse
from nexau.synth.worlds.compose import compose
from nexau.synth.worlds.drafts import Draft, Request, draft, examine
from nexau.synth.worlds.emit import world_yaml
from nexau.synth.worlds.fingerprint import structure
from nexau.synth.worlds.generate import SCHEMA, BuiltIn, RunFile, Store, generate
from nexau.synth.worlds.ontology import domains, matching, words_of
from nexau.synth.worlds.reader import parse_world, world_of_value
from nexau.synth.worlds.trial import conforms, try_world
from tests.worlds.worlds_for_tests import LENDING, world_of

pytestmark = pytest.mark.anyio

SPEC = "a clinic's appointment desk with insurance rules"
REQUEST = Request(SPEC, 7)


async def run(folder: Path, n: int, *, workers: int = 1, request: Request = REQUEST) -> list[str]:
    store = Store(folder, RunFile(SCHEMA, request.specification, request.seed, "grammar"))
    return [record.name async for record in generate(store, n, BuiltIn(request, workers))]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_there_are_domains_enough_and_their_words_are_names() -> None:
    assert len(domains()) >= 40
    for name, domain in domains().items():
        nouns = domain.nouns()
        assert len(set(nouns)) == len(nouns), name
        assert all(noun.replace("_", "").isalpha() and noun.islower() for noun in nouns), name
        assert matching(" ".join(domain.words))[0][0] == name


def test_words_choose_the_domain() -> None:
    assert matching(SPEC)[0][0] == "clinic"
    assert matching("A warehouse that ships pallets")[0][0] == "warehouse"
    assert matching("qwerty uiop") == ()
    assert words_of("The libraries' books, and its RULES") == ["library", "book"]


@pytest.mark.parametrize("index", range(12))
def test_what_is_composed_is_a_world_also_as_a_file(index: int) -> None:
    made = compose("", 3, index)
    world, problems = world_of_value(made)
    assert problems == []
    assert world is not None
    assert len(world.tools) >= 12
    again, problems = parse_world(world_yaml(made), "x.yaml")
    assert problems == []
    assert again is not None
    assert msgspec.to_builtins(again.form) == msgspec.to_builtins(world.form)
    assert structure(again) == structure(world)


def test_a_candidate_is_decided_by_specification_seed_and_number() -> None:
    assert compose(SPEC, 7, 3) == compose(SPEC, 7, 3)
    others = [compose(SPEC, 8, 3), compose(f"{SPEC}!", 7, 3), compose(SPEC, 7, 4)]
    assert all(each != compose(SPEC, 7, 3) for each in others)


def test_most_candidates_are_accepted_and_no_two_alike() -> None:
    made = [draft(Request("", 5), index) for index in range(25)]
    good = [each.record.structure for each in made if each.record and not each.reasons]
    assert len(good) >= 18
    assert len(set(good)) == len(good)
    for each in made:
        assert each.reasons or each.record


async def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    one = await run(tmp_path / "one", 5)
    two = await run(tmp_path / "two", 5, workers=2)
    assert one == two
    assert files(tmp_path / "one") == files(tmp_path / "two")


async def test_a_run_that_was_killed_goes_on_and_a_larger_one_adds(tmp_path: Path) -> None:
    await run(tmp_path / "whole", 5)
    folder = tmp_path / "killed"
    await run(folder, 3)
    index = folder / "index.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    (folder / "worlds" / ".x.yaml.new").write_bytes(b"torn")
    (folder / "worlds" / ".x.yaml.new").unlink()
    assert len(await run(folder, 5)) == 5
    whole, resumed = files(tmp_path / "whole"), files(folder)
    # The lineage of the third was written before the kill, or again after it: once in any case.
    assert resumed == whole


async def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    await run(tmp_path / "run", 1)
    with pytest.raises(DefinitionError, match="holds another run: its seed is 7, not 8"):
        await run(tmp_path / "run", 1, request=Request(SPEC, 8))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(DefinitionError, match="is not empty"):
        await run(tmp_path / "full", 1)


class Fixed:
    def __init__(self, drafts: list[Draft]) -> None:
        self._drafts = drafts

    async def drafts(self, first: int) -> AsyncGenerator[Draft, None]:
        for each in self._drafts[first:]:
            yield each


async def test_the_refused_are_kept_with_their_reasons(tmp_path: Path) -> None:
    good = draft(REQUEST, 0)
    assert good.record is not None
    assert not good.reasons
    alike = Draft(1, good.yaml, (), msgspec.structs.replace(good.record, index=1, name="other"))
    made = [good, alike, Draft(2, b"x: 1\n", ("no world",))] + [
        Draft(index, b"", ("no answer",)) for index in range(3, 400)
    ]
    store = Store(tmp_path / "run", RunFile(SCHEMA, SPEC, 7, "grammar"))
    with pytest.raises(DefinitionError, match="300 candidates in a row"):
        async for _ in generate(store, 2, Fixed(made)):
            pass
    lines = (tmp_path / "run" / "rejected" / "reasons.jsonl").read_bytes().splitlines()
    first, second, third = (msgspec.json.decode(line) for line in lines[:3])
    assert first["reasons"] == [f"it is built as {good.record.name} is"]
    assert (tmp_path / "run" / second["file"]).read_bytes() == b"x: 1\n"
    assert third == {"index": 3, "file": None, "reasons": ["no answer"]}


@pytest.mark.slow
def test_the_command_says_that_it_is_the_lesser_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nexau.cli.main", "synth", "worlds", SPEC]
    options = ["--n", "2", "--seed", "7", "--out", str(tmp_path / "w")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "lesser" in done.stderr
    assert "taken for: clinic" in done.stderr
    lines = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert [(tmp_path / "w" / line["file"]).is_file() for line in lines] == [True, True]
    empty = subprocess.run([*command[:-1], " "], capture_output=True, text=True, check=False)
    assert empty.returncode == 2


def renamed(value: Any, old: str, new: str) -> Any:
    """With another name for one thing, wherever it stands."""
    return yaml.safe_load(yaml.safe_dump(value, sort_keys=False, width=10**6).replace(old, new))


def test_the_structure_does_not_depend_on_names_texts_or_numbers() -> None:
    plain = yaml.safe_load(LENDING.replace("today: 2026-03-02", "today: '2026-03-02'"))
    expected = structure(world_of())
    for old, new in [("member", "reader"), ("lend", "issue"), ("copies", "stock"), ("28", "14")]:
        world, problems = world_of_value(renamed(plain, old, new))
        assert problems == []
        assert world is not None
        assert structure(world) == expected
    for old, new in [("{type: boolean", "{type: integer"), ("book.copies > 0", "book.copies == 0"),
                     ("book.copies - 1", "book.id - 1"), ("loans: count(), ", "")]:  # fmt: skip
        changed = LENDING.replace(old, new).replace("make: {chance: 0.2}", "optional: true")
        if old == "{type: boolean":
            changed = changed.replace("not member.blocked", "member.blocked == 0")
        world, problems = parse_world(changed.replace("[loans desc]", "[]").encode(), "w")
        assert problems == [], problems
        assert world is not None
        assert structure(world) != expected


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
VALUES = st.recursive(
    TEXTS | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.none() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(st.dictionaries(TEXTS.filter(lambda text: text != "<<"), VALUES, max_size=4))
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    problems: list[str] = []
    node = parse(world_yaml({"x": 1, **value}), lambda _, message, __: problems.append(message))
    assert problems == []
    assert node.plain() == {"x": 1, **value}


def faults(*changes: tuple[str, str]) -> str:
    text = LENDING
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return "\n".join(try_world(world_of(text)))


LEND = "  lend:\n    description: Lend a book."


def test_the_trial_finds_what_does_not_behave() -> None:
    assert faults() == ""
    assert "tools.lend: no call in 3000 succeeds; the last: blocked:" in faults(
        ("require: not member.blocked", "require: member.blocked and not member.blocked")
    )
    insert = (
        "{insert: loan, set: {book_id: book.id, member_id: member.id, lent: today(), due: due}}"
    )
    fines = "{update: member, when: member.fines > 0, set: {fines: member.fines + 10}}"
    assert "tools.lend: no read shows what it writes" in faults(
        (f"      - {insert}\n", ""),
        (f"      - {fines}\n", ""),
        ("result: {loan_id: loan.id, due: loan.due, copies: book.copies}", "result: {x: 1}"),
        ("    row: book\n", "    result: {x: 1}\n"),
    )
    assert "tools.lend: no tool gives the key of member" in faults(
        ("    find: {find: member}", "    result: {x: 1}")
    )
    assert "tools.lend: done twice it is not as done once" in faults(
        (LEND, f"{LEND}\n    idempotent: true"),
        ("    unique: [[book_id, member_id]]\n", ""),
        ("{copies: book.copies - 1}", "{copies: 5}"),
    )
    assert "seeded rows break a constraint" in faults(("min: 0, max: 9,", "min: 0, max: 1,"))


def test_results_are_held_against_the_output_schema() -> None:
    schema = {"type": "object", "required": ["a"], "properties": {
        "a": {"type": ["integer", "null"]},
        "b": {"type": "array", "items": {"type": "string", "enum": ["x"]}}}}  # fmt: skip
    good: list[Any] = [{"a": 1}, {"a": None, "b": ["x", "x"]}]
    bad: list[Any] = [{}, {"a": "1"}, {"a": True}, {"a": 1, "b": ["y"]}, {"a": 1, "c": 2}, [], 1]
    valid = jsonschema_rs.validator_for({**schema, "additionalProperties": False})
    for expected, values in ((True, good), (False, bad)):
        for value in values:
            assert conforms(value, schema) == valid.is_valid(value) == expected


def test_a_draft_that_is_no_world_says_why() -> None:
    made = examine(REQUEST, 0, {"world": "x"}, "grammar")
    assert made.record is None
    assert any("missing" in reason for reason in made.reasons)
