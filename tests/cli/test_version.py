"""`nexau version`."""

import platform
from importlib.metadata import version

from tests.cli.conftest import Call
from tests.cli.terminal import on_terminal


def test_versions(call: Call) -> None:
    outcome = call("version")
    found = {line["name"]: line["version"] for line in outcome.lines}
    assert outcome.code == 0
    assert found["nexau"] == version("nexau")
    assert found["mcp"] == version("mcp")
    assert platform.python_version() in found["python"]


def test_a_table_on_a_terminal() -> None:
    code, shown = on_terminal("version")
    assert code == 0
    assert ["nexau", version("nexau")] in [line.split() for line in shown.splitlines()]


def test_wrong_input(call: Call) -> None:
    for given in ("now", "--short", "--help=1"):
        outcome = call("version", given)
        assert (outcome.code, outcome.out) == (2, "")
