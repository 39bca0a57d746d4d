"""Big results in files: references in the record, the whole for the model."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import nexau
from nexau.definitions.values import Agent, McpTools, SpillConfig, StdioServer, Task
from nexau.models.base import ModelRequest, ToolMessage, Turn
from nexau.models.openai_prompt import encode_messages
from nexau.spill import FileGone, Spill, load, restored, restored_structured
from nexau.testing import FunctionPolicy, calls
from nexau.trajectory import Trajectory
from nexau.transports.protocol import (
    Audio,
    Content,
    File,
    Image,
    Resource,
    ResourceContents,
    ResourceLink,
    Result,
    Text,
)
from nexau.transports.toolcall import read_result
from tests.runtime.test_servers import LEAN

pytestmark = pytest.mark.anyio

BLOB = bytes(range(256)) * 20
ENCODED = base64.b64encode(BLOB).decode()
PARTS: list[Content] = [
    Text("naïve " * 300),
    Image(ENCODED, "image/png"),
    Audio(ENCODED, "audio/wav"),
    Resource(ResourceContents("file:///a.md", "text/markdown", "# A\n" * 300)),
    Resource(ResourceContents("file:///a.bin", None, None, ENCODED)),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
async def test_a_part_comes_back_as_it_was(part: Content, tmp_path: Path) -> None:
    spill = Spill(tmp_path / "files", over=1000)
    result = await spill.relieve(Result("c", (part, Text("short"))))
    file, short = result.content
    assert isinstance(file, File)
    assert short == Text("short")
    data = load(file)
    assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert Path(file.path).stem == file.sha256
    back = restored(file)
    if isinstance(part, Resource) and part.resource.mime_type is None:
        part = Resource(
            msgspec.structs.replace(part.resource, mime_type="application/octet-stream")
        )
    assert back == part


async def test_blobs_are_kept_as_they_are_and_once(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "files", over=1000)
    for _ in range(3):
        await spill.relieve(Result("c", (Image(ENCODED, "image/png"),)))
    (file,) = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    assert file.suffix == ".png"
    assert file.read_bytes() == BLOB


async def test_what_is_small_or_cannot_be_restored_stays(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "files", over=1000)
    link = ResourceLink("file:///" + "x" * 2000)
    for content in (Text("x" * 1000), Image("?" * 4000, "image/png"), link):
        result = Result("c", (content,), structured={"x": 1})
        assert await spill.relieve(result) == result
    assert not (tmp_path / "files").exists()


async def test_structured_content_comes_back(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "files", over=1000)
    rows = {"rows": list(range(1000))}
    result = await spill.relieve(Result("c", (), structured=rows))
    assert isinstance(result.structured, File)
    assert (result.structured.holds, result.structured.mime_type) == (
        "structured",
        "application/json",
    )
    assert restored_structured(result.structured) == rows
    as_read_back = json.loads(msgspec.json.encode(result))["structured"]
    assert restored_structured(as_read_back) == rows
    assert restored_structured({"type": "file", "sha256": 1}) == {"type": "file", "sha256": 1}


async def test_a_file_that_was_moved_taken_away_or_changed(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "files", over=10)
    (file,) = (await spill.relieve(Result("c", (Text("x" * 100),)))).content
    assert isinstance(file, File)
    (tmp_path / "files").rename(tmp_path / "elsewhere")
    with pytest.raises(FileGone, match="No such file"):
        load(file)
    assert restored(file, tmp_path / "elsewhere") == Text("x" * 100)
    moved = tmp_path / "elsewhere" / file.sha256[:2] / Path(file.path).name
    moved.write_text("y" * 100)
    with pytest.raises(FileGone, match="something else"):
        load(file, tmp_path / "elsewhere")
    shown = encode_messages([ToolMessage("c", (file,))])
    assert b"[text, text/plain, 100 bytes, no longer there]" in shown


async def test_a_server_cannot_name_a_file() -> None:
    """A reference is ours alone: otherwise a server could have any file shown to the model."""
    from_wire = {"content": [{"type": "file", "holds": "text", "path": "/etc/passwd",
                              "sha256": "", "size": 1, "mimeType": "text/plain"}]}  # fmt: skip
    with pytest.raises(msgspec.ValidationError):
        read_result(msgspec.Raw(json.dumps(from_wire).encode()))


def agent(policy: Any, **options: Any) -> Agent:
    server = StdioServer(command="{python}", args=("-S", "-E", LEAN), **options)
    return Agent("looker", policy, tools=(McpTools("lean"),), mcp_servers={"lean": server})


@pytest.mark.parametrize("named", ["server", "runtime"])
async def test_the_record_refers_and_the_model_sees(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown: list[bytes] = []

    def play(request: ModelRequest) -> Turn:
        shown.append(encode_messages(request.messages[-1:]))
        return Turn(content="seen") if request.turn else calls(("big", {}))

    policy = FunctionPolicy(play)
    async with nexau.open_runtime() as runtime:
        await runtime.run(agent(policy), "go")
    files = Path("other") if named == "runtime" else None
    spilling = agent(policy, spill=SpillConfig(bytes=1000))
    async with nexau.open_runtime(files=files) as runtime:
        done = await runtime.run(spilling, "go")
    assert shown[1] == shown[3], "the model is shown the same with and without"
    result = done.steps[0].results[0]
    assert [type(part) for part in result.content] == [File, Text, File, File]
    assert isinstance(result.structured, File)
    assert result.structured.path.startswith("other/" if named == "runtime" else "files/")
    line = msgspec.json.encode(done)
    assert len(line) < 5000
    again = msgspec.json.decode(line, type=Trajectory)
    assert again.steps[0].results[0].content == result.content


async def test_a_plan_refers_to_what_is_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = {"turns": [[{"id": "a", "name": "big"}]], "answer": "{{a/rows/999}}"}
    spilling = agent(nexau.PlanModel(), spill=SpillConfig(bytes=1000))
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(spilling, Task("go", plan=plan))
    assert done.answer == "999"


async def test_a_full_disk_loses_no_result(tmp_path: Path) -> None:
    policy = FunctionPolicy(
        lambda request: Turn(content="seen") if request.turn else calls(("big", {}))
    )
    blocked = tmp_path / "files"
    blocked.write_text("not a directory")
    async with nexau.open_runtime(files=blocked) as runtime:
        done = await runtime.run(agent(policy, spill=SpillConfig(bytes=1000)), "go")
    assert isinstance(done.steps[0].results[0].content[2], Image)
