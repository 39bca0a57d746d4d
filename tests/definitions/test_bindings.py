"""Python code beside agent files: found, isolated, and its failures told with their place."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nexau.definitions.bindings import load_binding
from nexau.definitions.values import DefinitionError

Write = Callable[..., Path]


def test_two_folders_with_the_same_module_names(write: Write) -> None:
    for folder in ("one", "two"):
        write(f"{folder}/tools.py", "from helpers import WHERE\ndef where(): return WHERE\n")
        write(f"{folder}/helpers.py", f"WHERE = {folder!r}\n")
    one, two = (load_binding("tools:where", Path(folder)) for folder in ("one", "two"))
    assert (one(), two()) == ("one", "two")
    assert "tools" not in sys.modules
    assert "helpers" not in sys.modules


def test_every_form_of_import(write: Write) -> None:
    write(
        "pack/__init__.py", "from . import inner\nfrom pack.inner import VALUE\nimport pack.inner\n"
    )
    write("pack/inner.py", "import helpers\nVALUE = helpers.VALUE\n")
    write("helpers.py", "VALUE = 3\n")
    write(
        "tools.py",
        """
        import os.path, helpers as other
        import pack.inner as inner
        import pack
        from pack import inner as again
        from .helpers import VALUE

        def values():
            import late
            return [late.VALUE, other.VALUE, inner.VALUE, pack.inner.VALUE, again.VALUE, VALUE]
        """,
    )
    write("late.py", "VALUE = 4\n")
    assert load_binding("tools:values", Path())() == [4, 3, 3, 3, 3, 3]
    upper = load_binding("pack.inner:helpers.__name__.upper", Path())
    assert upper().endswith(".HELPERS")


def test_a_file_that_is_called_like_an_installed_module_is_seen_by_its_folder_only(
    write: Write,
) -> None:
    write("json.py", "def dumps(value): return 'mine'\n")
    write("tools.py", "import json\ndef dump(): return json.dumps(1)\n")
    assert load_binding("tools:dump", Path())() == "mine"
    assert load_binding("json:dumps", Path())(1) == "mine"
    import json  # noqa: PLC0415 - as the rest of the program would

    assert json.dumps(1) == "1"


def test_installed_modules(tmp_path: Path) -> None:
    assert load_binding("os.path:basename", tmp_path)("a/b") == "b"
    assert load_binding("pathlib:Path.cwd", tmp_path)() == Path.cwd()


def test_a_module_runs_once(write: Write) -> None:
    write("tools.py", "calls = []\ndef f():\n    calls.append(1)\n    return len(calls)\n")
    assert load_binding("tools:f", Path())() == 1
    assert load_binding("tools:f", Path.cwd())() == 2


def test_classes_can_be_found_by_their_module(write: Write) -> None:
    write(
        "tools.py",
        """
        from __future__ import annotations
        from dataclasses import dataclass

        @dataclass
        class Row:
            name: str

        def row() -> Row: return Row("x")
        """,
    )
    row = load_binding("tools:row", Path())()
    assert pickle.loads(pickle.dumps(row)) == row


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n\nraise RuntimeError('boom')", r"importing t: t\.py:3: RuntimeError: boom"),
        ("def f(:\n  pass", r"importing t: t\.py:1: SyntaxError: invalid syntax"),
        (
            "import nothing_of_the_kind",
            r"importing t: t\.py:1: ModuleNotFoundError: No module named",
        ),
        ("from helpers import x", r"importing t: t\.py:1: ImportError: cannot import name 'x'"),
        ("import helpers\nhelpers.f()", r"importing t: helpers\.py:2: KeyError: 1"),
        ("import sys\nsys.exit(3)", r"importing t: t\.py:2: SystemExit: 3"),
        ("def g(): ...", r"the module t\.py has no 'f'; did you mean 'g'\?|it has: g"),
        ("f = 3", r"t:f is not a function but int"),
        ("x = '\udcff'.encode()", r"importing t: .*t\.py:1: .*"),
    ],
)
def test_failures_have_their_place(write: Write, text: str, message: str) -> None:
    write("helpers.py", "def f():\n    {}[1]\n")
    write("t.py", text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DefinitionError, match=message):
        load_binding("t:f", Path())


def test_a_failed_module_is_tried_again(write: Write) -> None:
    path = write("t.py", "raise ValueError\n")
    with pytest.raises(DefinitionError):
        load_binding("t:f", Path())
    path.write_text("def f(): return 'mended now'\n")
    assert load_binding("t:f", Path())() == "mended now"


def test_keyboard_interrupt_passes(write: Write) -> None:
    write("t.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_binding("t:f", Path())


def test_no_such_module(write: Write) -> None:
    write("tools.py", "")
    with pytest.raises(
        DefinitionError, match=r"no module 'tool', in \. or installed; did you mean"
    ):
        load_binding("tool:f", Path())
    with pytest.raises(DefinitionError, match=r"no module 'tools\.x'"):
        load_binding("tools.x:f", Path())
