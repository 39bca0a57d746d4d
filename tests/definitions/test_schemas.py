"""The schemas that editors and other programs get, held against the files and values themselves."""

from pathlib import Path
from typing import Any

import anyio
import jsonschema_rs
import msgspec
import pytest
import yaml

from nexau.definitions.agentfile import check_agent
from nexau.definitions.schemas import KINDS, json_schema
from nexau.definitions.values import Task
from nexau.models.base import (
    AssistantMessage,
    SystemMessage,
    TokenData,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from nexau.tasks.stream import read_tasks
from nexau.trajectory import (
    SCHEMA,
    AgentRecord,
    Called,
    CallResult,
    Finished,
    LimitHit,
    ModelTurn,
    Returned,
    RolloutError,
    Started,
    Step,
    Trajectory,
)
from nexau.transports.protocol import (
    Audio,
    Image,
    Resource,
    ResourceContents,
    ResourceLink,
    Text,
    Timing,
    ToolSpec,
    Usage,
)

pytestmark = pytest.mark.anyio
EXAMPLES = Path(__file__).parents[2] / "examples"
AGENT_FILES = sorted(
    path
    for path in EXAMPLES.rglob("*.yaml")
    if ".cache" not in path.parts and "name" in (yaml.safe_load(path.read_text("utf-8")) or ())
)
TASK_FILES = sorted(path for path in EXAMPLES.rglob("*.jsonl") if ".cache" not in path.parts)


def validator(kind: Any) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json_schema(kind), retriever=_refuse)


def _refuse(uri: str) -> Any:
    raise ValueError(uri)


@pytest.mark.parametrize("kind", KINDS)
def test_is_a_schema_with_an_identity(kind: Any) -> None:
    schema = json_schema(kind)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:nexau:schema:{kind}:1"
    jsonschema_rs.meta.validate(schema)
    validator(kind)


@pytest.mark.parametrize("path", AGENT_FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_example_agents(path: Path) -> None:
    validator("agent").validate(yaml.safe_load(path.read_text("utf-8")))
    assert check_agent(path, environ=None) == []


@pytest.mark.parametrize("path", TASK_FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
async def test_example_tasks(path: Path) -> None:
    valid = validator("task")
    lines = await anyio.Path(path).read_bytes()
    for line in lines.splitlines():
        valid.validate(msgspec.json.decode(line))
    async with read_tasks(path) as tasks:
        assert len([task async for task in tasks]) == len(lines.splitlines())


def test_there_are_examples() -> None:
    assert len(AGENT_FILES) >= 3
    assert TASK_FILES


HEAD: dict[str, Any] = {"name": "a", "model": "plan"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"modle": "plan"},
        {"name": "my agent"},
        {"name": None},
        {"model": "gpt"},
        {"model": {"kind": "openai"}},
        {"model": {"kind": "openai", "name": "x", "top_p": 2}},
        {"system_prompt": {"fil": "x"}},
        {"tools": ["search"]},
        {"tools": [{"mcp": "s", "python": "a:b"}]},
        {"tools": [{"python": "a:b", "timeout": 0}]},
        {"agents": [{"name": "b", "tols": []}]},
        {"mcp_servers": {"s": {}}},
        {"mcp_servers": {"my server": {"command": "x"}}},
        {"mcp_servers": {"s": {"command": "x", "sessions": "each"}}},
        {"limits": {"steps": -1}},
        {"limits": {"secnds": 1}},
        {"supervision": {"backoff": {"jitter": 2}}},
    ],
)
def test_wrong_agents(wrong: dict[str, Any], tmp_path: Path) -> None:
    valid = validator("agent")
    assert valid.is_valid(HEAD)
    assert not valid.is_valid({**HEAD, **wrong})
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump({**HEAD, **wrong}))
    assert check_agent(path, environ=None)


def test_tasks() -> None:
    valid = validator("task")
    whole = Task("a", "i", {"v": 1}, {"turns": []}, "g", {"m": None})
    assert valid.is_valid(msgspec.to_builtins(whole))
    assert valid.is_valid("bare text")
    for wrong in ({}, {"input": 1}, {"input": "a", "inptu": "b"}, 3, ["a"]):
        assert not valid.is_valid(wrong)


CONTENT = (
    Text("t"),
    Image("aa", "image/png"),
    Audio("aa", "audio/wav"),
    Resource(ResourceContents("file:///x", text="x")),
    ResourceLink("file:///x", size=3),
)
RESULT = CallResult(
    "c", CONTENT, is_error=True, error_class="timeout", structured=[1], agent="root/b#1"
)
CALL = ToolCall("c", "t", None, "{not json")
PROMPT = (
    SystemMessage("s"),
    UserMessage("u"),
    AssistantMessage("a", (ToolCall("d", "t", {}),), "because"),
    ToolMessage("c", CONTENT),
)
STEP = Step("r", 0, "root", 0, PROMPT, "response", (CALL,), (RESULT,), "because", "tool_calls", "m",
            Usage(1, 2, 3, 0.5), Timing(1, 2, 3, 4), TokenData((1,), (2,), (-0.5,)))  # fmt: skip
RECORD = AgentRecord(
    "a", "m", msgspec.Raw(msgspec.json.encode([ToolSpec("t", "d", {"type": "object"})]))
)
TRAJECTORY = Trajectory(
    SCHEMA,
    "r",
    "1",
    "in",
    "a",
    "limit",
    (STEP,),
    answer="out",
    limit="steps",
    error=RolloutError("model", "x"),
    reward=0.5,
    usage=Usage(1),
    repeat=1,
    attempt=2,
    group="g",
    seed=3,
    seconds=5.0,
    agents=(RECORD,),
    metadata={"k": 1},
)
EVENTS = (
    Started("r", 0, 0.0, "root", "a", PROMPT, "c"),
    ModelTurn("r", 1, 0.0, "root", 0, "x", (CALL,)),
    Called("r", 2, 0.0, "root", CALL),
    Returned("r", 3, 0.0, "root", RESULT),
    LimitHit("r", 4, 0.0, "root", "steps", "root", 3.0),
    Finished("r", 5, 0.0, "root", "failed", error=RolloutError("crashed", "x")),
)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("step", STEP), ("trajectory", TRAJECTORY), *(("event", event) for event in EVENTS)],
)
def test_what_is_written_fits(kind: Any, value: msgspec.Struct) -> None:
    valid = validator(kind)
    line = msgspec.json.decode(msgspec.json.encode(value))
    valid.validate(line)
    assert valid.is_valid({**line, "added_later": 1}), "minor versions add keys"
    for key in type(value).__struct_fields__[:4]:
        broken = {name: item for name, item in line.items() if name != key}
        assert not valid.is_valid(broken), key
    assert not valid.is_valid({**line, "type": "other"})


@pytest.mark.parametrize("kind", ["agent", "task"])
def test_every_key_that_people_write_is_described(kind: Any) -> None:
    undescribed = {
        f"{name}.{key}"
        for name, definition in json_schema(kind)["$defs"].items()
        for key, schema in definition["properties"].items()
        if not (schema.keys() & {"description", "const", "$ref"})
    }
    # These say what they are by their names, or by the names of their mappings.
    assert undescribed <= {
        f"{owner}.{key}"
        for owner, keys in {
            "OpenAIModel": "name base_url temperature top_p seed stop parallel_tool_calls"
                           " extra_body retries stream price",
            "Price": "input output",
            "ScriptModel": "file latency",
            "ReplayModel": "file latency",
            "Supervision": "restart period",
            "Backoff": "max",
            "StdioServer": "command args",
            "HttpServer": "url args env cwd",
            "Task": "group",
        }.items()
        for key in keys.split()
    }  # fmt: skip
