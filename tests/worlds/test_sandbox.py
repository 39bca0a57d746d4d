"""What a world cannot do, even where a statement of its own making got through."""

import sqlite3

import pytest
import yaml

from nexau.synth.worlds import engine, sandbox
from nexau.synth.worlds.engine import call
from nexau.synth.worlds.state import State
from tests.worlds.worlds_for_tests import LENDING, state_of_text


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "PRAGMA table_info(book)",
        "PRAGMA foreign_keys = OFF",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM pragma_table_list",
        "SELECT load_extension('x')",
        "SELECT writefile('x', 'y')",
        "SELECT readfile('/etc/passwd')",
        "SELECT randomblob(10)",
        "SELECT sqlite_version()",
        "SELECT hex(zeroblob(100000000))",
        "SELECT group_concat(title) FROM book",
        "CREATE TABLE x (y)",
        "CREATE TEMP TABLE x (y)",
        "CREATE VIEW x AS SELECT 1",
        "CREATE TRIGGER x AFTER INSERT ON book BEGIN SELECT 1; END",
        "CREATE INDEX x ON book (title)",
        "CREATE VIRTUAL TABLE x USING fts5(y)",
        "DROP TABLE loan",
        "ALTER TABLE loan ADD COLUMN x",
        "DELETE FROM sqlite_master",
        "REINDEX",
        "ANALYZE",
        "VACUUM INTO 'file.db'",
        "SAVEPOINT x",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n",
    ],
)
def test_denied(state: State, statement: str) -> None:
    before = state.digest()
    with pytest.raises(sqlite3.Error):
        state.db.execute(statement).fetchall()
    assert state.digest() == before


def test_the_bound_on_steps_ends_a_call_that_goes_through_everything_many_times() -> None:
    text = LENDING.replace("rows: 20\n", "rows: 3000\n").replace(
        "require: book.copies > 0",
        "require: count(book as a where exists(book as b where a.copies * b.copies == 77)) == 0",
    )
    state = state_of_text(text)
    who = next(row["id"] for row in state.rows("member") if not row["blocked"])
    answer = call(state, "lend", {"book_id": 1, "member_id": who})
    assert answer.code == "too_slow"
    assert not call(state, "find_books", {}).is_error
    state.close()


def test_values_and_results_are_bounded(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(sqlite3.Error):
        state.db.execute("SELECT ?", ("x" * (sandbox.MAX_TEXT + 1),))
    monkeypatch.setattr(engine, "MAX_RESULT", 100)
    assert call(state, "find_books", {}).code == "too_large"
    monkeypatch.setattr(engine, "MAX_EACH", 1)
    assert call(state, "lend_all", {"member_id": "M-100"}).code == "too_large"


@pytest.mark.parametrize("text", ["'; DROP TABLE book; --", "%", "_", '"', "x' OR '1'='1", "\\"])
def test_texts_of_callers_are_only_texts(state: State, text: str) -> None:
    assert call(state, "find_books", {"query": text}).body["rows"] == []


@pytest.mark.parametrize("text", ["it's", 'a"b', "'; DROP TABLE book; --", "\\n"])
def test_texts_of_files_are_only_texts(text: str) -> None:
    document = yaml.safe_load(LENDING)
    document["today"] = str(document["today"])
    shelf = {"default": text, "values": [text, "other"], "make": {"choice": [text]}}
    document["entities"]["book"]["fields"]["shelf"] = shelf
    literal = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    constraint = {"check": f"shelf == {literal}", "error": "shelf", "message": text}
    document["entities"]["book"]["constraints"] = [constraint]
    document["tools"]["lend"]["rules"][1]["require"] = f"book.shelf == {literal}"
    state = state_of_text(yaml.safe_dump(document, sort_keys=False))
    assert {row["shelf"] for row in state.rows("book")} == {text}
    who = next(row["id"] for row in state.rows("member") if not row["blocked"])
    assert not call(state, "lend", {"book_id": 1, "member_id": who}).is_error
    state.close()
