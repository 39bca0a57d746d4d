"""Runs: written as they come, resumed, the same for any number of workers, tried on servers."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

import nexau
from nexau.definitions.agentfile import check_agent
from nexau.definitions.values import DefinitionError, StdioServer
from nexau.synth.agents.candidates import Options
from nexau.synth.agents.catalog import Catalog, encode_catalog, read_catalog
from nexau.synth.agents.drafts import Record
from nexau.synth.agents.generate import BuiltIn, Generation, Settings
from nexau.synth.agents.matching import Matcher
from nexau.synth.agents.novelty import Novelty, told
from nexau.synth.agents.smoke import is_local, smoke
from nexau.synth.agents.store import SCHEMA, RunFile, Store, read_index
from nexau.synth.agents.toolgraph import ToolGraph
from nexau.synth.agents.worker import Assignment, drafts_of, finisher_of

pytestmark = pytest.mark.anyio

SPEC = "Customer support that looks up orders and keeps notes"

on_one_backend = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""For what takes long and hardly waits: what does run on both backends in the other tests."""


def run_file(**changes: Any) -> RunFile:
    run = RunFile(SCHEMA, SPEC, 7, None, 0.2, 34, "plan", "grammar", "lexical", "none", "c")
    return msgspec.structs.replace(run, **changes)


def assignment(folder: Path, catalog: Catalog, **options: Any) -> Assignment:
    ranked = tuple(match.tool for match in Matcher(ToolGraph(catalog.tools).facts).rank(SPEC))
    return Assignment(str(folder), Options(SPEC, 7, **options), ranked, "plan")


async def generate(
    folder: Path, catalog: Catalog, n: int, *, workers: int = 1, smoke: int | None = 0, **more: Any
) -> list[Record]:
    store = Store(folder)
    store.open(run_file(), encode_catalog(catalog, json=True))
    generation = Generation(store, Settings(n, smoke), "plan")
    source = BuiltIn(assignment(folder, catalog, **more), workers)
    return [record async for record in generation.run(source)]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@on_one_backend
async def test_the_bytes_do_not_depend_on_workers_or_interruptions(
    tmp_path: Path, catalog: Catalog
) -> None:
    records = await generate(tmp_path / "one", catalog, 30)
    assert len(records) == 30
    assert len(await generate(tmp_path / "two", catalog, 30, workers=2)) == 30
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    for n in (3, 17, 30):
        grown = await generate(tmp_path / "three", catalog, n)
    assert grown == records
    assert contents(tmp_path / "one") == contents(tmp_path / "three")
    # As a killed run leaves it: files without their line, a torn line.
    index = tmp_path / "three" / "index.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(b"".join(lines[:20]) + lines[20][:50])
    reasons = tmp_path / "three" / "rejected" / "reasons.jsonl"
    last = records[19].index
    kept = [line for line in reasons.read_bytes().splitlines(keepends=True)
            if json.loads(line)["index"] < last]  # fmt: skip
    reasons.write_bytes(b"".join(kept))
    assert await generate(tmp_path / "three", catalog, 30, workers=2) == records
    assert contents(tmp_path / "one") == contents(tmp_path / "three")


@on_one_backend
async def test_what_is_written_loads_and_is_what_the_index_says(
    tmp_path: Path, catalog: Catalog
) -> None:
    for record in await generate(tmp_path / "run", catalog, 25):
        path = tmp_path / "run" / record.file
        assert check_agent(path) == []
        agent = nexau.load_agent(path)
        assert (size(agent), agent.model) == (record.agents, nexau.PlanModel())
        assert set(agent.mcp_servers) == set(record.servers)
        task = json.loads((tmp_path / "run" / record.smoke_file).read_bytes())
        assert task["plan"]["answer"]
    assert read_index(tmp_path / "run")[0].index == 0


def size(agent: nexau.Agent) -> int:
    return 1 + sum(size(child) for child in agent.agents)


@on_one_backend
async def test_duplicates_are_refused_and_kept_with_their_reason(
    tmp_path: Path, catalog: Catalog
) -> None:
    records = await generate(tmp_path / "run", catalog, 60, complexity=0.15)
    assert len({record.signature for record in records}) == 60
    lines = (tmp_path / "run" / "rejected" / "reasons.jsonl").read_text().splitlines()
    reasons = [reason for line in lines for reason in json.loads(line)["reasons"]]
    assert any(reason.startswith("duplicate: ") for reason in reasons)
    for line in lines:
        assert (tmp_path / "run" / json.loads(line)["file"]).is_file()


@on_one_backend
async def test_a_run_that_cannot_find_more_ends(tmp_path: Path, catalog: Catalog) -> None:
    two = msgspec.structs.replace(catalog, tools=catalog.tools[:2])
    with pytest.raises(DefinitionError, match="candidates in a row were refused"):
        await generate(tmp_path / "run", two, 500, complexity=0.0, most=2)
    assert 1 <= len(read_index(tmp_path / "run")) < 100


def test_texts_that_are_nearly_the_same_are_refused(tmp_path: Path, catalog: Catalog) -> None:
    folder = tmp_path / "run"
    Store(folder).open(run_file(), encode_catalog(catalog, json=True))
    _, finisher = finisher_of(assignment(folder, catalog, complexity=0.8))
    one, other = drafts_of(finisher, 0, 2)
    novelty = Novelty()
    assert novelty.fault(one.record, told(one.yaml)) is None
    again = msgspec.structs.replace(other.record, tree="(other)")
    assert novelty.fault(again, told(one.yaml)) == "duplicate: nearly the texts of candidate 0"
    assert novelty.fault(one.record, "x") == "duplicate: the agents and tools of candidate 0"


@pytest.mark.parametrize(
    ("change", "message"),
    [({"seed": 8}, "its seed is 7, not 8"), ({"catalog": "d"}, "its catalog is 'c', not 'd'")],
)
def test_a_folder_of_another_run_is_left_alone(
    tmp_path: Path, catalog: Catalog, change: dict[str, Any], message: str
) -> None:
    data = encode_catalog(catalog, json=True)
    Store(tmp_path / "run").open(run_file(), data)
    before = contents(tmp_path)
    with pytest.raises(DefinitionError, match=message):
        Store(tmp_path / "run").open(run_file(**change), data)
    assert contents(tmp_path) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(DefinitionError, match="is not empty and holds no run"):
        Store(tmp_path / "mine").open(run_file(), data)


async def test_every_leaf_is_reached_on_the_real_server(tmp_path: Path, desk: Path) -> None:
    catalog = read_catalog(desk)
    records = await generate(tmp_path / "run", catalog, 6, smoke=None)
    assert len(records) == 6
    for record in records:
        assert record.smoke is not None
        assert record.smoke.agents == record.agents
        assert record.smoke.leaves >= 1
    assert sum(record.smoke.calls for record in records if record.smoke) > 0
    # And by itself, as a user would run it.
    path = tmp_path / "run" / records[1].file
    task = json.loads((tmp_path / "run" / records[1].smoke_file).read_bytes())
    async with nexau.open_runtime() as runtime:
        done = await runtime.run(nexau.load_agent(path), msgspec.convert(task, nexau.Task))
    assert done.status == "completed"
    assert len({step.agent for step in done.steps}) == records[1].agents


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"steps: ", b"steps: 1 # ", "was not reached"),
        (b"include: [", b"include: [nothing_there, ", "has no tool"),
        (b"system_prompt: |\n", b"system_prompt: '{% oh'\n", "it does not load"),
    ],
)
async def test_what_does_not_live_is_told(
    tmp_path: Path, desk: Path, old: bytes, new: bytes, message: str
) -> None:
    catalog, folder = read_catalog(desk), tmp_path / "run"
    store = Store(folder)
    store.open(run_file(), encode_catalog(catalog, json=True))
    _, finisher = finisher_of(assignment(folder, catalog, complexity=0.3))
    draft = next(it for it in drafts_of(finisher, 0, 20) if it.record.agents > 3)
    if old not in draft.yaml:
        pytest.fail(f"{old!r} is not in the file")
    yaml = draft.yaml.replace(old, new)
    if b"# " in new:
        yaml = draft.yaml.replace(b"limits: {steps", b"limits: {steps: 1}  # {steps")
    store.place(msgspec.structs.replace(draft, yaml=yaml))
    servers = {name: each.start for name, each in catalog.servers.items()}
    if "no tool" in message:
        with pytest.raises(nexau.ToolsUnavailable, match=message):
            await smoke(folder, [draft], servers)
        return
    (outcome,) = await smoke(folder, [draft], servers)
    assert outcome.smoke is None
    assert any(message in fault for fault in outcome.faults)


def test_servers_that_run_here_are_local() -> None:
    assert is_local(StdioServer(command="x"))
    assert is_local(nexau.HttpServer(url="http://127.0.0.1:80/mcp"))
    assert is_local(nexau.HttpServer(url="http://127.0.0.1:{port}/mcp", command="x"))
    assert not is_local(nexau.HttpServer(url="https://example.com/mcp"))


@pytest.mark.slow
def test_a_killed_command_goes_on(tmp_path: Path, desk: Path) -> None:
    def command(out: str) -> list[str]:
        options = ["--n", "300", "--smoke", "none", "--workers", "2", "--out", str(tmp_path / out)]
        main = [sys.executable, "-m", "nexau.cli.main", "synth", "agents"]
        return [*main, SPEC, "--tools", str(desk), *options]

    process = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL)
    index = tmp_path / "killed" / "index.jsonl"
    while not index.exists() or index.stat().st_size < 20_000:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(read_index(tmp_path / "killed")) < 300
    done = subprocess.run(command("killed"), check=True, capture_output=True)
    whole = subprocess.run(command("whole"), check=True, capture_output=True)
    assert done.stdout == whole.stdout
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
