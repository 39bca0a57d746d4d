"""Catalogs: listed from real servers, written, read, and refused when wrong."""

import json
import sys
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

from nexau.cli.catalog import find_sources
from nexau.definitions.schemas import schema_of
from nexau.definitions.values import HttpServer, StdioServer
from nexau.files.problems import AgentFileError
from nexau.latency.profiles import SCHEMA as PROFILE_SCHEMA, Level, Profile, Taken, ToolProfile
from nexau.synth.agents.catalog import (
    Catalog,
    CatalogServer,
    CatalogTool,
    brief,
    encode_catalog,
    moved,
    read_catalog,
    write_catalog,
)
from nexau.synth.agents.collect import (
    Listed,
    Source,
    catalog_of,
    list_source,
    match_profiles,
    named,
)

ROOT = Path(__file__).parents[3]
COUNTER = ROOT / "tests" / "runtime" / "servers" / "counter.py"

GOOD = """
schema: nexau-catalog/1
servers:
  desk: {start: {command: "{python}", args: [server.py]}}
tools:
  - {server: desk, name: find, input: {type: object}}
"""


def counter(**options: object) -> Source:
    config = StdioServer(command="{python}", args=("counter.py",), **options)  # type: ignore[arg-type]
    return Source("counter", config, COUNTER.parent)


@pytest.mark.anyio
async def test_a_real_server_is_listed(tmp_path: Path) -> None:
    listed = await list_source(counter(sessions="rollout", reset="reset"), tmp_path)
    catalog = catalog_of([listed], {})
    names = {tool.name for tool in catalog.tools}
    assert {"increment", "refuse", "pid"} <= names
    assert "reset" not in names
    increment = next(tool for tool in catalog.tools if tool.name == "increment")
    assert increment.description.startswith("Adds to the count")
    assert increment.input["properties"]["by"]["type"] == "integer"
    assert increment.output is not None
    for name in ("catalog.yaml", "catalog.json"):
        write_catalog(tmp_path / name, catalog)
        assert read_catalog(tmp_path / name) == catalog
    # The server can be started from where the catalog lies.
    start = catalog.servers["counter"].start
    assert (tmp_path / str(start.cwd) / "counter.py").resolve() == COUNTER
    again = await list_source(Source("counter", start, tmp_path), tmp_path)
    assert again.tools == listed.tools


@pytest.mark.anyio
async def test_a_server_that_does_not_start_is_told(tmp_path: Path) -> None:
    source = Source("gone", StdioServer(command=sys.executable, args=("-c", "1/0")), tmp_path)
    listed = await list_source(source, tmp_path)
    assert listed.entry is None
    assert "ZeroDivisionError" in listed.error


def good(tmp_path: Path) -> Catalog:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return read_catalog(path)


def test_recorded_latencies_come_along(tmp_path: Path) -> None:
    ms = tuple(float(number) for number in range(1, 202))
    level = Level(1, 200, 10.0, ms)
    when, revision = "2026-01-01", "2025-11-25"
    taken = Taken(when, "x", "counter", "1", revision, "stdio", 1.0, "Linux", 2, (), "0", "calls")
    profile = Profile(PROFILE_SCHEMA, taken, (ToolProfile("find", 200, (level,)),))
    path = tmp_path / "any.profile.yaml"
    path.write_bytes(msgspec.yaml.encode(profile))
    catalog = good(tmp_path)
    listed = _listed(catalog, called="counter")
    matched = match_profiles([listed], [path])
    recorded = catalog_of([listed], matched).tools[0].recorded
    assert recorded is not None
    assert (recorded.ms[0], recorded.ms[10], recorded.ms[-1]) == (1, 101, 201)
    assert (recorded.errors, recorded.calls) == (0, 200)
    with pytest.raises(ValueError, match="none of the servers"):
        match_profiles([_listed(catalog, called="another")], [path])


def _listed(catalog: Catalog, called: str) -> Listed:
    entry = CatalogServer(catalog.servers["desk"].start, called)
    return Listed(Source("desk", entry.start, Path()), entry, catalog.tools)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("catalog/1", "catalog/2", "3: schema: expected nexau-catalog/1"),
        ("server: desk, name", "server: desc, name", "did you mean 'desk'?"),
        ("input: {type: object}", "input: {type: string}", "tools[0].input.type: expected object"),
        ("input:", "imput:", "unknown key 'imput'; did you mean 'input'?"),
        ("  desk:", "  3desk:", "expected a letter or _"),
        ('command: "{python}"', "comand: x", "did you mean 'command'?"),
        ("name: find", "name: ''", "expected text that is not empty"),
        ("args: [server.py]", "pool: {min: 4, max: 2}", "min is greater than max"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(GOOD)
    assert len(read_catalog(path).tools) == 1
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(AgentFileError) as caught:
        read_catalog(path)
    lines = str(caught.value)
    # `3: schema` stands for a line number as well.
    assert message.removeprefix("3: ") in lines
    assert str(path.name) in lines


def test_a_tool_may_stand_once(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(GOOD + "  - {server: desk, name: find, input: {}}\n")
    with pytest.raises(AgentFileError, match=r"tools\[1\].name: the tool stands twice"):
        read_catalog(path)


def test_large_catalogs_are_read_as_json(tmp_path: Path) -> None:
    server = CatalogServer(StdioServer(command="x"))
    tools = tuple(
        CatalogTool("x", f"tool_{number}", {"type": "object"}, description="d" * 400)
        for number in range(3000)
    )
    path = tmp_path / "catalog.json"
    write_catalog(path, Catalog("nexau-catalog/1", {"x": server}, tools))
    assert path.stat().st_size > 1_000_000
    assert read_catalog(path).tools == tools
    path.write_bytes(path.read_bytes().replace(b'"server": "x"', b'"server": "y"', 1))
    with pytest.raises(AgentFileError, match="no server 'y'"):
        read_catalog(path)


def test_the_json_schema_takes_what_is_written(tmp_path: Path) -> None:
    catalog = good(tmp_path)
    validator = jsonschema_rs.validator_for(schema_of(Catalog, "catalog", "x", closed=True))
    written = json.loads(encode_catalog(catalog, json=True))
    assert validator.is_valid(written)
    assert not validator.is_valid({**written, "servers": {"desk": {}}})


def test_servers_move_with_their_files(tmp_path: Path) -> None:
    origin, target = tmp_path / "a", tmp_path / "b" / "c"
    origin.mkdir()
    target.mkdir(parents=True)
    (origin / "server.py").touch()
    assert moved(StdioServer(command="npx", args=("-y", "x")), origin, target).cwd is None
    assert moved(StdioServer(command="p", args=("server.py",)), origin, target).cwd == "../../a"
    assert moved(HttpServer(url="http://x/", latency="p.yaml"), origin, target).latency.profile == (  # type: ignore[union-attr]
        "../../a/p.yaml"
    )
    assert brief(StdioServer(command="x", args=("y",))) == {"command": "x", "args": ["y"]}


def test_names_of_sources_are_all_different() -> None:
    server = StdioServer(command="x")
    made = named([Source(name, server, Path()) for name in ("a", "a", "a_2", "a")])
    assert len({each.name for each in made}) == 4


def test_a_whole_agent_file_names_its_servers() -> None:
    sources = list(find_sources([str(ROOT / "examples/servers/several.yaml")], None, 5.0))
    assert len(sources) == 4
    assert {source.server.timeout for source in sources} == {5.0}
