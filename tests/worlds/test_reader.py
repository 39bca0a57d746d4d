"""World files: every problem at once, each with its place and what would have been right."""

import random
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from nexau.definitions.schemas import schema_of
from nexau.synth.worlds.reader import WorldFileError, load_world, parse_world
from nexau.synth.worlds.structs import WorldForm
from tests.worlds.worlds_for_tests import EXAMPLES, LENDING, ROOT, problems_of, world_of

PROBLEMS = """\
world.yaml:25:17: entities.loan.fields.book_id.ref: no entity 'bok'; did you mean 'book'?
world.yaml:32:10: entities.loan.constraints[0].check: cannot compare a date with a whole number (character 5)
world.yaml:39:7: tools.find_books.find.where: book has no field 'titel'; did you mean 'title'? (character 33)
world.yaml:41:7: tools.find_books.find.pages: unknown key 'pages'; did you mean 'page'?
world.yaml:45:5: tools.get_member.row: no row 'membr' is in scope; did you mean 'member'?
world.yaml:60:17: tools.lend.parameters.book_id.ref: no entity 'bok'; did you mean 'book'?
world.yaml:65:9: tools.lend.rules[0].require: member has no field 'blockd'; did you mean 'blocked'? (character 12)
world.yaml:73:30: tools.lend.effects[1].set.copies: expected a whole number, got a date
world.yaml:74:56: tools.lend.effects[2].set.fine: member has no field 'fine'; did you mean 'fines'?
world.yaml:103:52: prompts.remind.text: member has no field 'nam'; did you mean 'name'? (character 8)
""".splitlines()  # noqa: E501


def test_a_file_tells_all_its_problems_in_order() -> None:
    text = LENDING
    for good, bad in [
        ("ref: book}\n      member_id", "ref: bok}\n      member_id"),
        ("contains(book.title, query)", "contains(book.titel, query)"),
        ("row: member", "row: membr"),
        ("not member.blocked", "not member.blockd"),
        ("set: {copies: book.copies - 1}", "set: {copies: today()}"),
        ("set: {fines: member.fines + 10}", "set: {fine: 1}"),
        ("check: due >= lent", "check: due >= 5"),
        ("page: 5", "pages: 5"),
        ('"Remind {member.name}', '"Remind {member.nam}'),
    ]:
        assert good in text
        text = text.replace(good, bad)
    assert problems_of(text) == PROBLEMS


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("today: 2026-03-02", "today: 2026-02-31", "today: expected a date, as 2026-03-02"),
        ("today: 2026-03-02", "", "missing key 'today'"),
        ("rows: 8", "rows: {per: ship, between: [1, 2]}", "per: no entity 'ship'"),
        ("rows: 8", "rows: {per: book, between: [1, 2]}", "member has no reference to book"),
        ("rows: 8", "rows: 999999", "expected a number not greater than 100000"),
        ("book_id: {ref: book}\n", "buch: {ref: book}\n", "a field with `ref` ends in _id"),
        ("{type: date, make: {days: [-30, -1]}}", "{type: date, make: {days: [5, -1]}}",
         "the first number is greater than the second"),
        ("{choice: [0, 0, 0, 250]}", "{choice: [0, x]}", "expected a whole number, got 'x'"),
        ("{choice: {child: 1, adult: 3}}", "{choice: {kid: 1}}", "one of: child, adult, got 'kid'"),
        ("make: full_name", "make: ful_name", "no vocabulary 'ful_name'; did you mean 'full_name'"),
        ("{chance: 0.2}", "{chance: 0.2, between: [1, 2]}", "a field is made in one way"),
        ("after: lent, missing", "after: nothing, missing", "no field 'nothing' stands before"),
        ("type: integer, min: 0, max: 9,", "type: integer, min: 9, max: 0,", "min is greater"),
        ("error: blocked", "error: No Good", "a small letter, then up to 62"),
        ("effects: [{delete: member}]", "effects: [{delete: book}]",
         "no row 'book' is in scope (for rows of an entity, give `where`)"),
        ("effects: [{delete: member}]", "effects: [{}]", "one of `insert`, `update` and `delete`"),
        ("effects: [{delete: member}]", "{}", "expected"),
        ("set: {copies: book.copies - 1}", "set: {id: 1}", "a key never changes"),
        ("lent: today(), due: due}", "lent: today()}", "loan.due is never null and has no default"),
        ("lent: today(), due: due}", "lent: today(), due: null}", "the field is never null"),
        ("lent: today(), due: due}", "lent: today(), due: due, id: 5}", "made by its sequence"),
        ("level: loan.member.level}", "level: loan.member}", "member is a row"),
        ("select: {loans: count()", "select: {level: count()", "level stands in `group` already"),
        ("order: [loans desc]", "order: [titles desc]", "no column 'titles'"),
        ("uri: lending://books/{book_id}", "uri: lending://books/{book}", "are the parameters"),
        ('uri: "lending://hours"', 'uri: "world://hours"', "the server's own"),
        ("{9 + 9}", "{9 +}", "expected a value"),
        ("{9 + 9}", "{9", "`{` without `}`"),
        ("query: {optional: true}", "query: {optional: true, pattern: '['}", "not a JSON Schema"),
        ("query: {optional: true}", "query: {type: integer, default: x}", "expected a whole"),
        ("query: {optional: true}", "limit: {optional: true}", "`page` brings this parameter"),
        ("  forget:", "  world_reset:", "taken by the server"),
        ("tools:\n", "profile: {latency: {lognormal: [5]}}\ntools:\n", "expected two numbers"),
        ("tools:\n", "profile: {tools: {lnd: {}}}\ntools:\n", "did you mean 'lend'?"),
        ("tools:\n", "profile: {recorded: ../x.yaml}\ntools:\n", "beside the world, or below it"),
    ],
)  # fmt: skip
def test_what_is_refused(good: str, bad: str, message: str) -> None:
    assert good in LENDING
    assert any(message in each for each in problems_of(LENDING.replace(good, bad))), problems_of(
        LENDING.replace(good, bad)
    )


def test_circles_of_rows_and_of_computed_fields_are_refused() -> None:
    circle = LENDING.replace("rows: 8\n", "rows: {per: loan, between: [1, 2]}\n").replace(
        "mail: {unique", "loan_id: {ref: loan}\n      mail: {unique"
    ).replace("rows: 10\n", "rows: {per: member, between: [1, 2]}\n")  # fmt: skip
    assert any("a circle: member -> loan -> member" in each for each in problems_of(circle))
    computed = LENDING.replace("make: {choice: [0, 0, 0, 250]}", "make: {compute: b + 1}").replace(
        "mail: {unique", "b: {type: integer, make: {compute: fines + 1}}\n      mail: {unique"
    )
    assert any("depend on each other" in each for each in problems_of(computed))


def test_what_is_no_world_at_all(tmp_path: Path) -> None:
    assert problems_of("- 1") == ["world.yaml:1:1: expected a mapping with `world`, got a list"]
    assert "tools: expected at least one tool" in "".join(
        problems_of("{world: x, description: y, today: 2026-01-01, entities: {}, tools: {}}")
    )
    (tmp_path / "shop.yaml").write_text("world: [", "utf-8")
    with pytest.raises(WorldFileError, match="not valid YAML"):
        load_world(tmp_path / "shop.yaml")
    with pytest.raises(WorldFileError, match=r"did you mean 'shop.yaml'"):
        load_world(tmp_path / "shp.yaml")


def test_pieces_of_a_world_in_odd_places_never_raise() -> None:
    """Any tree of values ends in a world or in problems."""
    rng = random.Random(5)
    whole = yaml.safe_load(LENDING)
    pieces = [None, 1, "x", [], {}, [1], {"x": 1}, True, "x.y", "{x}", whole["tools"]["lend"]]

    def mutate(node: object, depth: int) -> object:
        if rng.random() < 0.04 * depth:
            return rng.choice(pieces)
        if isinstance(node, dict):
            return {key: mutate(value, depth + 1) for key, value in node.items()}
        if isinstance(node, list):
            return [mutate(value, depth + 1) for value in node]
        return node

    refused = 0
    for _ in range(60):
        text = yaml.safe_dump(mutate(whole, 0)).encode()
        _, problems = parse_world(text, "world.yaml")
        refused += bool(problems)
    assert refused > 30


def test_tools_have_the_schemas_and_hints_of_their_parts() -> None:
    world = world_of()
    lend = world.tools["lend"]
    assert lend.input_schema == {
        "type": "object",
        "properties": {
            "book_id": {"type": "integer"},
            "member_id": {"type": "string", "minLength": 1, "maxLength": 4000},
            "until": {
                "type": "string",
                "format": "date",
                "pattern": r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$",
            },
        },
        "required": ["book_id", "member_id"],
        "additionalProperties": False,
    }
    assert lend.output_schema["properties"]["due"] == {"type": "string"}
    assert (lend.read_only, lend.idempotent, lend.destructive) == (False, False, False)
    assert world.tools["forget"].destructive
    find = world.tools["find_books"]
    assert (find.read_only, find.idempotent) == (True, True)
    assert find.input_schema["properties"]["limit"]["default"] == 5


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_shipped_worlds_fit_the_json_schema(path: Path) -> None:
    valid = jsonschema_rs.validator_for(schema_of(WorldForm, "world", "x", closed=True))
    document = yaml.safe_load(path.read_text("utf-8"))
    document["today"] = str(document["today"])
    assert [error.message for error in valid.iter_errors(document)] == []
    assert load_world(path).name == path.stem


def test_the_world_of_the_docs_is_one() -> None:
    page = (ROOT / "docs" / "worlds.md").read_text("utf-8")
    world_of(page.partition("```yaml\n")[2].partition("```")[0])
