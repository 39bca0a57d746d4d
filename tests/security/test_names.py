"""Names of tools that a model, or a person, could take for others."""

from typing import Any, cast

import pytest

from nexau.definitions.functions import python_tool
from nexau.definitions.values import Agent, McpTools, PlanModel, PythonTool
from nexau.prepare import Prepared, bind
from nexau.transports.protocol import ToolSpec
from nexau.transports.vetting import name_fault, shown, skeleton


@pytest.mark.parametrize(
    "name", ["read_file", "fs.read", "a/b", "ns:tool", "A-1", "x" * 128, "_", "0"]
)
def test_good_names(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize(
    ("name", "reason", "anyhow"),
    [
        ("", "is empty", True),
        ("x" * 129, "more than 128", True),
        ("read file", "a space", True),
        ("read\u00a0file", "cannot be seen", True),
        ("read\u200bfile", "cannot be seen", True),
        ("read\u200dfile", "cannot be seen", True),
        ("read\u202efile", "cannot be seen", True),
        ("read\x1b[2J", "cannot be seen", True),
        ("read\nfile", "cannot be seen", True),
        ("\ud800", "cannot be seen", True),
        ("\uff52ead", "other than A-Z", True),
        ("r\u0435ad", "other than A-Z", False),
        ("\u8bfb", "other than A-Z", False),
        ("read;rm", "other than A-Z", False),
    ],
)
def test_bad_names(name: str, reason: str, anyhow: bool) -> None:
    assert reason in (name_fault(name) or "")
    assert (name_fault(name, any_names=True) is not None) == anyhow
    assert shown(name).isprintable()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("read_file", "Read-File"),
        ("read_file", "readfile"),
        ("read.file", "read/file"),
        ("delete", "de1ete"),
        ("list", "1ist"),
        ("o", "0"),
        ("modern", "modem"),
        ("wait", "vvait"),
    ],
)
def test_skeletons(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)
    assert skeleton("read_file") != skeleton("write_file")


class FakePool:
    def __init__(self, key: int, *names: str) -> None:
        self.key = key
        self.served = ""
        self.tools = tuple(ToolSpec(name, "", {"type": "object"}) for name in names)


def read_file() -> str:
    """Reads."""
    return ""


def names_of(tools: tuple[PythonTool, ...] = (), **servers: tuple[str, ...]) -> list[str]:
    agent = Agent("a", PlanModel(), tools=(*tools, *map(McpTools, servers)))
    pools = {name: FakePool(i, *each) for i, (name, each) in enumerate(servers.items())}
    prepared = Prepared(agent, cast("Any", None), {})
    functions = {tool.spec.name: cast("Any", None) for tool in tools}
    bind(prepared, agent, cast("Any", pools), functions)
    return [spec.name for spec in prepared.specs]


def test_names_that_do_not_clash_stay() -> None:
    assert names_of(git=("status", "git_log"), fs=("read",)) == ["status", "git_log", "read"]


def test_lookalikes_get_their_servers_name() -> None:
    assert names_of(fs=("read_file", "x"), evil=("Read-File", "y")) == [
        "fs_read_file",
        "x",
        "evil_Read-File",
        "y",
    ]


def test_a_tool_cannot_pose_as_a_function() -> None:
    assert names_of((python_tool(read_file),), evil=("readFile",)) == [
        "read_file",
        "evil_readFile",
    ]


def test_a_tool_cannot_pose_as_another_servers() -> None:
    assert names_of(fs=("read",), evil=("fs_read", "F5-write")) == [
        "read",
        "evil_fs_read",
        "evil_F5-write",
    ]
