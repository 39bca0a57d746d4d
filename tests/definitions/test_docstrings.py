"""The three forms of docstring, and text that is none of them."""

import pytest
from hypothesis import given, strategies as st

from nexau.definitions.docstrings import parse_docstring

GOOGLE = """Finds notes.

    Looks in all of them: really.

    Args:
        query (str, optional): What to find,
            over two lines.
        limit: How many.

            After a blank line.
        **options: More.
        no entry

    Returns:
        list: Notes.

    Example:
        >>> find("x")
    """

NUMPY = """Finds notes.

    Looks in all of them: really.

    Parameters
    ----------
    query : str, optional
        What to find,
        over two lines.
    limit, other : int
        How many.

        After a blank line.
    options
        More.

    Returns
    -------
    list
        Notes.
    """

REST = """Finds notes.

    Looks in all of them: really.

    :param str query: What to find,
        over two lines.
    :param limit: How many.
        After a blank line.
    :type limit: int
    :param options: More.
    :returns: Notes.
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, REST])
def test_forms(text: str) -> None:
    found = parse_docstring(text)
    assert found.description == "Finds notes.\n\nLooks in all of them: really."
    assert found.parameters["query"] == "What to find, over two lines."
    assert found.parameters["limit"] == "How many. After a blank line."
    assert found.parameters["options"] == "More."
    assert set(found.parameters) <= {"query", "limit", "options", "other"}


def test_no_docstring() -> None:
    assert parse_docstring(None).description == ""
    assert parse_docstring("Only this.").description == "Only this."
    assert parse_docstring("X.\nArgs:\n    x: A: B.\n    ").parameters == {"x": "A: B."}


def test_prose_that_looks_like_a_section() -> None:
    assert parse_docstring("Returns the sum.\n\nNote: not a section.").description == (
        "Returns the sum.\n\nNote: not a section."
    )


@given(st.text(st.sampled_from("ab:-* \n\t()args parmtes_"), max_size=80))
def test_any_text(text: str) -> None:
    parse_docstring(text)
    parse_docstring(f"Args:\n{text}\nParameters\n---\n{text}\n:param x{text}: y")
