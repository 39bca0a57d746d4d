"""Functions to tools: the schema that a model sees, and the values that the function gets."""

import datetime
import enum
import functools
import math
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import msgspec
import pytest

from nexau.arguments import validate
from nexau.definitions.functions import InvalidArguments, python_tool
from nexau.definitions.values import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path as Unseen

pytestmark = pytest.mark.anyio


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    """A place."""

    x: int
    y: int = 0


class Box(msgspec.Struct):
    corner: Point
    label: str | None = None


class Options(TypedDict, total=False):
    deep: bool


def search(
    query: str,
    limit: Annotated[int, msgspec.Meta(ge=1, description="At most.")] = 3,
    *,
    kind: Literal["note", "mail"] = "note",
    tags: list[Annotated[str, "a tag"]] | None = None,
    where: Annotated[str, "Which folder"] = "",
) -> list[str]:
    """Searches the notes.

    All of them.

    Args:
        query: What to find.
        limit: Not shown: the annotation wins.
    """
    return [query, str(limit), kind, str(tags), where]


def test_schema() -> None:
    tool = python_tool(search)
    assert tool.spec.name == "search"
    assert tool.spec.description == "Searches the notes.\n\nAll of them."
    assert tool.spec.parameters == {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What to find."},
            "limit": {"type": "integer", "minimum": 1, "description": "At most.", "default": 3},
            "kind": {"enum": ["mail", "note"], "default": "note"},
            "tags": {
                "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}],
                "default": None,
            },
            "where": {"type": "string", "description": "Which folder", "default": ""},
        },
        "additionalProperties": False,
        "required": ["query"],
    }
    assert not tool.is_async
    assert tool.binding.endswith(":search")


def test_overrides() -> None:
    tool = python_tool(search, name="look", description="", timeout=2.5)
    assert (tool.spec.name, tool.spec.description, tool.timeout) == ("look", "", 2.5)


def test_defaults_are_the_functions_own() -> None:
    marker = object()

    def f(a: int, b: Any = marker, c: list[int] = []) -> Any:  # noqa: B006 - what is tested
        return a, b, c

    tool = python_tool(f)
    assert tool.function(a=1) == (1, marker, [])
    assert tool.function(a=1)[2] is f.__defaults__[1]  # type: ignore[index]
    assert tool.spec.parameters["properties"]["b"] == {}
    assert tool.spec.parameters["properties"]["c"]["default"] == []


def test_values_are_converted() -> None:
    seen: list[Any] = []

    def f(
        color: Color,
        box: Box,
        options: Options,
        day: datetime.date,
        price: Decimal,
        ratio: float,
        names: set[str],
        by_id: dict[int, Point],
        either: int | Point | None,
    ) -> None:
        seen.extend([color, box, options, day, price, ratio, names, by_id, either])

    tool = python_tool(f)
    arguments = {
        "color": "red",
        "box": {"corner": {"x": 1}},
        "options": {"deep": True},
        "day": "2026-01-02",
        "price": "1.10",
        "ratio": 1,
        "names": ["a"],
        "by_id": {"3": {"x": 1, "y": 2}},
        "either": {"x": 5},
    }
    assert validate(tool.spec, arguments) is None
    tool.function(**arguments)
    assert seen == [
        Color.RED,
        Box(Point(1, 0)),
        {"deep": True},
        datetime.date(2026, 1, 2),
        Decimal("1.10"),
        1.0,
        {"a"},
        {3: Point(1, 2)},
        Point(5),
    ]
    assert isinstance(seen[5], float)
    assert tool.spec.parameters["$defs"]["Point"]["description"] == "A place."


def test_values_that_do_not_convert() -> None:
    def f(day: datetime.date, n: int = 0) -> str:
        return str(day)

    tool = python_tool(f)
    with pytest.raises(InvalidArguments, match=r"Invalid RFC3339.*\$\.day"):
        tool.function(day="soon")
    with pytest.raises(InvalidArguments, match="missing required field `day`"):
        tool.function()
    with pytest.raises(InvalidArguments, match="unknown field `month`"):
        tool.function(day="2026-01-02", month=1)
    assert tool.function(day="2026-01-02", n=3.0) == "2026-01-02"
    with pytest.raises(InvalidArguments, match=r"Expected `int`, got `float`.*\$\.n"):
        tool.function(day="2026-01-02", n=3.5)


def test_an_error_of_the_function_is_its_own() -> None:
    def f(n: int) -> int:
        raise msgspec.ValidationError("mine")

    with pytest.raises(msgspec.ValidationError, match="mine"):
        python_tool(f).function(n=1)


async def test_async_functions() -> None:
    async def f(n: int, /, m: int = 2) -> int:
        return n * m

    tool = python_tool(f)
    assert tool.is_async
    assert await tool.function(n=2) == 4
    assert await tool.function(n=2, m=5) == 10


def test_positional_only_parameters_with_defaults() -> None:
    def f(a: int = 1, b: int = 2, /, c: int = 3) -> tuple[int, int, int]:
        return a, b, c

    tool = python_tool(f)
    assert tool.function() == (1, 2, 3)
    assert tool.function(a=5, c=7) == (5, 2, 7)
    assert tool.function(a=5, b=6) == (5, 6, 3)


async def test_callables_of_other_kinds() -> None:
    class Adder:
        def __init__(self, by: int) -> None:
            self.by = by

        async def __call__(self, n: int) -> int:
            """Adds."""
            return n + self.by

        def method(self, n: int) -> int:
            """Adds, too."""
            return n + self.by

    def power(base: int, exponent: int) -> int:
        """Raises."""
        return int(base**exponent)

    @functools.wraps(power)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return power(*args, **kwargs)

    called = python_tool(Adder(1), name="add")
    assert called.is_async
    assert called.spec.description == "Adds."
    assert await called.function(n=1) == 2
    assert python_tool(Adder(1).method).function(n=1) == 2
    square = python_tool(functools.partial(power, exponent=2), name="square")
    assert square.function(base=3) == 9
    assert square.spec.parameters["required"] == ["base"]
    assert python_tool(wrapped).function(base=2, exponent=3) == 8


def bad_star(*names: str) -> None: ...
def bad_stars(**names: str) -> None: ...
def bad_hint(path: "Unseen") -> None: ...
def bad_type(code: Callable[[], int]) -> None: ...
def bad_missing(a: int, b) -> None: ...  # type: ignore[no-untyped-def]
def bad_generator(a: int) -> Iterator[int]:
    yield a


async def bad_stream(a: int) -> AsyncIterator[int]:
    yield a


def bad_pattern(a: Annotated[str, msgspec.Meta(pattern="(?P<x>a)(?P=x)")]) -> None: ...  # fmt: skip


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (bad_star, r":bad_star: \*names: a tool's arguments have known names"),
        (bad_stars, r":bad_stars: \*\*names: a tool's"),
        (
            bad_hint,
            r":bad_hint: a type hint names 'Unseen', which the running module does not have",
        ),
        (bad_type, r":bad_type: the parameter 'code': its type hint makes no JSON Schema"),
        (bad_missing, r":bad_missing: the parameter 'b' has no type hint"),
        (bad_generator, r":bad_generator is a generator"),
        (bad_stream, r":bad_stream is a generator"),
        (Point, r":Point is a class; name a function"),
        (math.sqrt, r"math:sqrt: the parameter 'x' has no type hint"),
        (lambda: 1, r"'<lambda>' is no name for a tool"),
        (functools.partial(search, "x"), r"'' is no name for a tool"),
    ],
)
def test_functions_that_make_no_tool(function: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        python_tool(function)


def test_bad_name_and_timeout() -> None:
    with pytest.raises(DefinitionError, match="'a b' is no name"):
        python_tool(search, name="a b")
    with pytest.raises(DefinitionError, match="timeout"):
        python_tool(search, timeout=0)
    with pytest.raises(DefinitionError, match="timeout"):
        python_tool(search, timeout=math.nan)


def test_no_parameters() -> None:
    def f() -> int:
        return 1

    tool = python_tool(f)
    assert tool.spec.parameters == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    assert tool.function() == 1
