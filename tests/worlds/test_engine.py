"""Calls on a state: arguments, references, rules, effects, results."""

from typing import Any

import pytest

from nexau.synth.worlds import engine
from nexau.synth.worlds.engine import call
from nexau.synth.worlds.refusals import Refusal
from nexau.synth.worlds.state import State, Template, state_of
from tests.worlds.worlds_for_tests import LENDING, state_of_text, world_of


def ok(state: State, name: str, **arguments: Any) -> dict[str, Any]:
    answer = call(state, name, arguments)
    assert not answer.is_error, answer.body
    return answer.body


def refused(state: State, name: str, **arguments: Any) -> tuple[str, str]:
    answer = call(state, name, arguments)
    assert answer.is_error, answer.body
    return answer.code, answer.body["message"]


def member(state: State, **wanted: Any) -> dict[str, Any]:
    return next(
        row
        for row in state.rows("member")
        if all(row[key] == value for key, value in wanted.items())
    )


def test_a_write_does_all_its_effects_and_shows_the_new_row(state: State) -> None:
    who = member(state, blocked=False, fines=250)
    copies = state.rows("book")[0]["copies"]
    state.db.execute("DELETE FROM loan WHERE member_id = ?", (who["id"],))
    made = ok(state, "lend", book_id=1, member_id=who["id"])
    assert made == {"loan_id": 11, "due": "2026-03-30", "copies": copies - 1}
    assert member(state, id=who["id"])["fines"] == 260
    again = ok(state, "lend", book_id=2, member_id=who["id"], until="2026-04-01")
    assert (again["loan_id"], again["due"]) == (12, "2026-04-01")


def test_an_effect_with_a_condition_may_not_happen(state: State) -> None:
    who = member(state, blocked=False, fines=0)
    ok(state, "lend", book_id=1, member_id=who["id"])
    assert member(state, id=who["id"])["fines"] == 0


def test_a_call_that_fails_changes_nothing(state: State) -> None:
    who = member(state, blocked=False)["id"]
    ok(state, "lend", book_id=3, member_id=who)
    before = state.digest()
    code, message = refused(state, "lend", book_id=3, member_id=who)
    assert (code, message) == (
        "duplicate",
        "there is already a loan with this book_id and member_id",
    )
    assert refused(state, "lend", book_id=1, member_id=who, until="2026-01-01") == (
        "due_before_lent",
        "it is due before it is lent",
    )
    blocked = member(state, blocked=True)
    assert refused(state, "lend", book_id=1, member_id=blocked["id"]) == (
        "blocked",
        f"{blocked['name']} is blocked: yes",
    )
    assert state.digest() == before


def test_the_last_effect_that_fails_undoes_the_first() -> None:
    state = state_of_text(LENDING.replace("require: book.copies > 0", "require: 1 == 1"))
    who = member(state, blocked=False)["id"]
    book = state.rows("book")[0]
    for _ in range(book["copies"]):
        ok(state, "lend", book_id=1, member_id=who)
        ok(state, "forget", member_id=who)
        state.db.execute("DELETE FROM loan WHERE book_id = 1 AND member_id = ?", (who,))
    before = state.digest()
    code, message = refused(state, "lend", book_id=1, member_id=who)
    assert (code, message) == ("invalid_copies", "copies: the value is not allowed")
    assert state.digest() == before
    state.close()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ({}, "invalid_arguments", "'book_id' is missing"),
        ({"book_id": 1, "member_id": "M-99"}, "no_such_member", "there is no member M-99"),
        ({"book_id": 99, "member_id": "M-100"}, "no_such_book", "there is no book 99"),
        ({"book_id": "1", "member_id": "M-100"}, "invalid_arguments", "expected integer"),
        ({"book_id": 1, "membr_id": "M-100"}, "invalid_arguments", "did you mean 'member_id'"),
        ({"book_id": 1, "member_id": "M-100", "until": "2026-02-31"}, "invalid_arguments",
         "until: '2026-02-31' is not a date"),
        ({"book_id": 2**70, "member_id": "M-100"}, "invalid_arguments", "64 bits"),
        ({"book_id": 1, "member_id": "M\x00"}, "invalid_arguments", "null character"),
        ([], "invalid_arguments", "expected object"),
    ],
)  # fmt: skip
def test_arguments_are_checked(state: State, arguments: Any, code: str, message: str) -> None:
    answer = call(state, "lend", arguments)
    assert answer.is_error
    assert answer.code == code
    assert message in answer.body["message"]


def test_unknown_tools(state: State) -> None:
    assert refused(state, "lendd") == ("unknown_tool", "no tool 'lendd'; did you mean 'lend'?")


def test_rows_lists_and_values_in_one_result(state: State) -> None:
    loan = state.rows("loan")[0]
    found = ok(state, "get_member", member_id=loan["member_id"])
    assert list(found) == ["id", "name", "level", "fines", "blocked", "loans", "late"]
    assert isinstance(found["blocked"], bool)
    assert isinstance(found["late"], bool)
    title = next(row["title"] for row in state.rows("book") if row["id"] == loan["book_id"])
    assert {"id": loan["id"], "book_title": title, "due": loan["due"]} in found["loans"]


def test_pages(state: State) -> None:
    seen: list[int] = []
    offset: int | None = 0
    while offset is not None:
        page = ok(state, "find_books", limit=7, offset=offset)
        assert page["total"] == 20
        seen += [row["id"] for row in page["rows"]]
        offset = page["next_offset"]
    assert seen == list(range(1, 21))
    assert ok(state, "find_books", offset=50)["rows"] == []


def test_filters_by_text_and_by_list(state: State) -> None:
    assert [r["id"] for r in ok(state, "find_books", ids=[3, 5, 99])["rows"]] == [3, 5]
    title = state.rows("book")[4]["title"]
    assert ok(state, "find_books", query=title.upper())["rows"][0]["title"] == title
    assert ok(state, "find_books", query="%")["rows"] == []


def test_groups(state: State) -> None:
    found = ok(state, "loans_by_level")
    levels = {row["id"]: row["level"] for row in state.rows("member")}
    counts: dict[str, int] = {}
    for row in state.rows("loan"):
        level = levels[row["member_id"]]
        counts[level] = counts.get(level, 0) + 1
    assert {row["level"]: row["loans"] for row in found["rows"]} == counts
    assert [row["loans"] for row in found["rows"]] == sorted(counts.values(), reverse=True)
    assert found["total"] == len(counts)


def test_deletes_and_rows_that_others_refer_to(state: State) -> None:
    borrower = state.rows("loan")[0]["member_id"]
    assert refused(state, "remove_member", member_id=borrower)[0] == "in_use"
    ok(state, "forget", member_id=borrower)
    left = [row for row in state.rows("loan") if row["member_id"] == borrower]
    assert all(row["back"] is None for row in left)
    idle = {row["id"] for row in state.rows("member")} - {
        row["member_id"] for row in state.rows("loan")
    }
    assert ok(state, "remove_member", member_id=min(idle)) == {"done": True}
    assert min(idle) not in {row["id"] for row in state.rows("member")}


def test_an_insert_for_each_row(state: State) -> None:
    lent = {row["member_id"] for row in state.rows("loan")}
    idle = min({row["id"] for row in state.rows("member")} - lent)
    ok(state, "lend_all", member_id=idle)
    wanted = [row["id"] for row in state.rows("book") if row["copies"] > 2]
    made = [row for row in state.rows("loan") if row["member_id"] == idle]
    assert [row["book_id"] for row in made] == wanted
    assert [row["id"] for row in made] == list(range(11, 11 + len(wanted)))
    assert len(wanted) > 1


def test_resources_and_prompts(state: State) -> None:
    world = state.world
    assert engine.read(state, world.resources["hours"], {}) == "Open until 18."
    assert '"copies"' in engine.read(state, world.resources["book"], {"book_id": "1"})
    row = member(state, id="M-100")
    text = engine.prompt(state, world.prompts["remind"], {"member_id": "M-100"})
    assert text == f"Remind {row['name']} (M-100)."
    for arguments in ({}, {"member_id": "M-1"}, {"member_id": "M-100", "x": "y"}):
        with pytest.raises(Refusal):
            engine.prompt(state, world.prompts["remind"], arguments)
    with pytest.raises(Refusal, match="expected integer"):
        engine.read(state, world.resources["book"], {"book_id": "one"})


def test_copies_are_private_and_as_new(template: Template) -> None:
    one, two = template.state(), template.state()
    digest = two.digest()
    who = member(one, blocked=False)["id"]
    ok(one, "lend", book_id=3, member_id=who)
    assert one.digest() != digest == two.digest()
    changes = one.changes_since(two)
    assert set(changes) >= {"loan", "book"}
    assert list(changes["loan"].added) == [11]
    assert list(changes["book"].changed[3]) == ["copies"]
    again = state_of(one.world, one.dump())
    assert again.digest() == one.digest()
    assert not again.changes_since(one)
    for each in (one, two, again):
        each.close()


def test_a_dump_of_something_else_is_refused() -> None:
    world = world_of()
    for dump in ({}, {"member": [{"id": "M-1"}], "book": [], "loan": []}):
        with pytest.raises(ValueError, match=r"rows of"):
            state_of(world, dump)
