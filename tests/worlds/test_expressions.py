"""The expression language: what it says, and how it says no."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st

from nexau.synth.worlds.expressions import ExpressionError, parse, split_template
from nexau.synth.worlds.sandbox import connect
from nexau.synth.worlds.scope import Scope
from nexau.synth.worlds.sql import Compiler
from nexau.synth.worlds.state import State

TODAY = "2026-03-02"


def value(text: str) -> Any:
    compiler = Compiler({}, TODAY)
    made = compiler.expr(parse(text), Scope())
    db = connect()
    try:
        return db.execute(f"SELECT {made.text}", compiler.bindings).fetchone()[0]
    finally:
        db.close()


def fault(text: str) -> str:
    with pytest.raises(ExpressionError) as caught:
        Compiler({}, TODAY).expr(parse(text), Scope())
    return f"{caught.value.at}: {caught.value.message}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-2 - -3", 1),
        ("7 / 2", 3.5),
        ("7 // 2", 3),
        ("7 % 4", 3),
        ("1 / 0", None),
        ("1 / 0 == null", 1),
        ("1 / 0 < 5", 0),
        ("not (1 / 0 < 5)", 1),
        ("not not true", 1),
        ("1 == 1 and 2 == 3 or 4 == 4", 1),
        ("1 in [1, 2]", 1),
        ("1 not in [2, 3]", 1),
        ("1 / 0 not in [2, 3]", 1),
        ("'a' + \"b\"", "ab"),
        (r"'it\'s' + '\n'", "it's\n"),
        ("'%' + \"'; DROP TABLE x\"", "%'; DROP TABLE x"),
        ("today()", "2026-03-02"),
        ("now()", "2026-03-02T09:00"),
        ("today() + 30", "2026-04-01"),
        ("today() - 3", "2026-02-27"),
        ("today() - 3 == '2026-02-27'", 1),
        ("now() + 90", "2026-03-02T10:30"),
        ("at(today(), 14, 5) - now()", 305),
        ("(today() + 5) - today()", 5),
        ("weekday(today())", 1),
        ("year(today()) * 100 + month(today())", 202603),
        ("day(date(now())) + hour(now()) + minute(now())", 11),
        ("if(1 > 2, 'a', 'b')", "b"),
        ("coalesce(null, 1 / 0, 4)", 4.0),
        ("min(3, 1, 2) + max(1, 2)", 3),
        ("round(2.345, 2)", 2.35),
        ("floor(-1.5) * 10 + ceil(1.2)", -18),
        ("money(123456)", "1234.56"),
        ("text(5) + lower('ABC') + upper('x') + trim(' y ')", "5abcXy"),
        ("length('abc')", 3),
        ("contains('Hello', 'ELL')", 1),
        ("contains('100%', '%')", 1),
        ("starts_with('Hello', 'he')", 1),
        ("3 is null or null is null", 1),
    ],
)
def test_values(text: str, expected: Any) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "0: an expression is expected"),
        ("1 +", "3: expected a value, got the end"),
        ("1 = 2", "2: '=' is not expected here; did you mean `==`?"),
        ("true && false", "5: '&' is not expected here; write `and`"),
        ("'abc", '0: "\'" is not expected here: a text that does not end'),
        ("1 < 2 < 3", "6: comparisons do not chain; join them with `and`"),
        ("(1", "2: expected `)`, got the end"),
        ("1 2", "2: expected an operator or the end, got `2`"),
        ("99999999999999999999", "0: the number does not fit into 64 bits"),
        ("1 and true", "0: expected a condition, got a whole number; compare it with something"),
        ("1 == 'a'", "2: cannot compare a whole number with text"),
        ("true < false", "5: `<` is not for true and false"),
        ("'a' + 1", "4: `+` cannot join text and a whole number; text(x) makes a text"),
        ("1.5 % 2", "4: `%` is for whole numbers"),
        ("today() == '2026-02-31'", "8: '2026-02-31' is not a date, as 2026-03-02"),
        ("lenght('a')", "0: no function 'lenght'; did you mean 'length'?"),
        ("length(1)", "7: length takes text, got a whole number"),
        ("abs()", "0: abs takes 1 arguments, got 0"),
        ("today(1)", "0: today takes no arguments"),
        ("if(true, 1, 'a')", "0: the values of if differ in type: integer and text"),
        ("nothing", "0: nothing is called 'nothing' here"),
        ("count()", "0: count(...) needs `for ENTITY` outside of a query with `group`"),
        ("sum(1 for thing)", "0: no entity 'thing'"),
        ("1.x", "0: only a row has fields"),
        ("before(1)", "0: no function 'before'"),
        ("1 in x", "2: `in` takes a list, as [1, 2], or a list parameter"),
    ],
)
def test_faults_say_where_and_what(text: str, expected: str) -> None:
    assert fault(text).startswith(expected)


def test_depth_length_and_size_are_bounded() -> None:
    assert "nested deeper" in fault("(" * 60 + "1" + ")" * 60)
    assert "longer than" in fault("1 + " * 2000 + "1")
    assert "too large" in fault("floor(" * 30 + "1" + ")" * 30)
    assert value("not " * 900 + "true") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exists(loan where loan.member.nmae == 'x')", "did you mean 'name'?"),
        ("exists(loan where member.name == 'x')", "no row is called 'member' here"),
        ("exists(loan where loan.member == 'x')", "member is a row; name one of its fields"),
        ("exists(loan where loan.member.level == 'adlut')", "did you mean 'adult'?"),
        ("exists(loan where exists(loan where true))", "loan is a row already"),
        ("exists(loan where title == 'x')", "nothing is called 'title' here"),
        ("exists(lone)", "no entity 'lone'; did you mean 'loan'?"),
        ("sum(loan.due for loan) > 1", "expected a number, got a date"),
    ],
)
def test_names_are_checked_against_the_entities(state: State, text: str, expected: str) -> None:
    with pytest.raises(ExpressionError, match=r".*") as caught:
        Compiler(state.world.shapes(), TODAY).condition(parse(text), Scope())
    assert expected in caught.value.message


def test_templates() -> None:
    assert split_template("a {{b}} {x.y} c{'}'}") == ["a {b} ", ("x.y", 9), " c", ("'}'", 16)]
    for text, message in [("a {b", "without `}`"), ("a } b", "without `{`")]:
        with pytest.raises(ExpressionError) as caught:
            split_template(text)
        assert message in caught.value.message


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    """No other exception, however odd the text."""
    with suppress(ExpressionError):
        Compiler({}, TODAY).expr(parse(text), Scope())


LEAVES = st.sampled_from(["1", "2.5", "null", "'a'", "today()", "true", "1 / 0", "x"])
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "==", "<", "and", "or"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        inner.map(lambda part: f"not {part}"),
        st.tuples(inner, inner).map(lambda parts: f"coalesce({parts[0]}, {parts[1]})"),
        inner.map(lambda part: f"if({part}, {part}, null)"),
        inner.map(lambda part: f"{part} is null"),
    ),
    max_leaves=12,
)


@given(TREES)
def test_what_compiles_can_be_computed_and_has_its_type(text: str) -> None:
    compiler = Compiler({}, TODAY)
    try:
        made = compiler.expr(parse(text), Scope())
    except ExpressionError:
        return
    db = connect()
    try:
        found = db.execute(f"SELECT {made.text}", compiler.bindings).fetchone()[0]
    finally:
        db.close()
    if found is None:
        assert made.kind.null
    elif made.kind.name == "boolean":
        assert found in (0, 1)
    else:
        types = {"integer": int, "number": (int, float), "text": str, "date": str}
        assert isinstance(found, types[made.kind.name])  # type: ignore[arg-type]
