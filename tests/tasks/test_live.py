"""Tasks of an outside server: called for real, only where it may be, and twice."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from typer.testing import CliRunner

import nexau
from nexau.cli.main import app
from nexau.models.check_plan import check_plan
from nexau.synth.agents.catalog import (
    SCHEMA,
    Catalog,
    CatalogServer,
    CatalogTool,
    write_catalog,
)
from nexau.synth.agents.collect import Source, list_source
from nexau.synth.streams import stream
from nexau.synth.tasks import live
from nexau.synth.tasks.generate import Generator, Settings
from nexau.synth.tasks.madearguments import drawn
from nexau.synth.tasks.stands import stands_of
from nexau.synth.tasks.workshop import Work, open_workshop
from nexau.transports.protocol import Result, Text
from tests.runtime.test_latency import in_virtual_time

SERVER = Path(__file__).parent / "servers" / "archive.py"
WORLD = Path(__file__).parents[2] / "examples" / "worlds" / "library.yaml"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    # As long as a busy machine takes.
    start = nexau.StdioServer(
        command=sys.executable, args=(str(SERVER), str(folder / "calls")),
        start_timeout=600.0, timeout=600.0,
    )  # fmt: skip
    listed = anyio.run(list_source, Source("archive", start, folder), folder)
    assert not listed.error
    assert isinstance(listed.entry, CatalogServer)
    file = folder / "tools.yaml"
    write_catalog(file, Catalog(SCHEMA, {"archive": listed.entry}, listed.tools))
    return file


class Run(NamedTuple):
    tasks: list[nexau.Task]
    source: live.LiveSource
    called: set[str]


def make(files: list[Path], count: int, **options: Any) -> Run:
    settings = Settings(seed=3, fusion=options.pop("fusion", 1))
    work = Work(tuple(stands_of(files, None)), settings, str(files[0].parent), **options)
    log = files[0].parent / "calls"
    log.write_text("")

    async def run() -> Run:
        async with open_workshop(work) as workshop:
            made = await workshop.make(0, count)
            source = workshop.generator.sources.by_name["archive"]
            assert isinstance(source, live.LiveSource)
            tasks = [each.task for each in made if each.task is not None]
            return Run(tasks, source, set(log.read_text().split()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "SLOW_SECONDS", 600.0)  # a busy machine makes no tool slow
        return anyio.run(run)


@pytest.fixture(scope="module")
def alone(catalog: Path) -> Run:
    return make([catalog], 16)


def calls_of(task: nexau.Task) -> list[str]:
    parts = [task.plan, *task.plan.get("then", ())]
    return [call["name"] for part in parts for turn in part["turns"] for call in turn]


@pytest.mark.slow
def test_only_tools_that_read_are_called(alone: Run) -> None:
    assert alone.called == {"list_books", "get_book", "tick"}
    used = {call for task in alone.tasks for call in calls_of(task)}
    assert used == {"list_books", "get_book"}
    assert len(alone.tasks) >= 10
    for task in alone.tasks:
        assert check_plan(task.plan) == []
        assert task.check.keys() == {"answer"}


def test_a_tool_whose_answer_changes_carries_no_fact(alone: Run) -> None:
    assert alone.source.unstable == {"tick"}


def test_arguments_come_from_earlier_results(alone: Run) -> None:
    told = [task.metadata["arguments"] for task in alone.tasks]
    found = [where for each in told for name, where in each.items() if name.endswith(".book_id")]
    assert found
    assert all(where.partition("/")[0].startswith("c") for where in found)


@pytest.mark.slow
def test_a_server_and_a_world_meet_in_one_task(catalog: Path) -> None:
    made = make([catalog, WORLD], 10, fusion=2, allowed=("archive/stamp",), skipped=("tick",))
    assert made.called == {"list_books", "get_book", "stamp"}
    assert made.tasks
    for task in made.tasks:
        servers = {name.partition("/")[0] for name in task.metadata["calls"].values()}
        assert servers == {"archive", "library"} == set(task.metadata["servers"])
        assert task.check["worlds"].keys() == {"library"}


def test_tools_that_there_are_not_are_said(catalog: Path) -> None:
    for option in ("--allow", "--skip"):
        command = ["synth", "tasks", str(catalog), option, "archive/get_bok"]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 2
        said = f"{option}: no tool 'archive/get_bok'; did you mean 'archive/get_book'?"
        assert said in done.stderr


def test_nothing_to_ask_is_said() -> None:
    source = live.LiveSource("archive", [], [])
    with pytest.raises(ValueError, match="nothing can be asked"):
        Generator(source, Settings())


def test_a_server_that_does_not_answer_is_left_alone() -> None:
    calls = []

    async def never(tool: str, arguments: Mapping[str, Any]) -> Result:
        calls.append(tool)
        await anyio.sleep(3600)
        return Result("1", ())

    tool = CatalogTool("s", "wait", {"type": "object"}, annotations={"readOnlyHint": True})
    source = live.LiveSource("s", [tool], [never, never])
    in_virtual_time(source.survey)
    assert source.unstable == {"wait"}
    assert calls == ["wait"]
    assert source.types() == []


def test_arguments_that_a_schema_admits() -> None:
    schema = {
        "type": "object",
        "properties": {
            "unit": {"enum": ["C", "F"]},
            "when": {"type": "string", "format": "date"},
            "count": {"type": "integer", "minimum": 3, "maximum": 4},
            "code": {"type": "string", "pattern": "^[A-Z]{3}$"},
            "tags": {"type": "array", "items": {"type": "string", "examples": ["x"]}},
            "size": {"default": 12},
        },
        "required": ["unit", "when", "count", "code", "tags", "size"],
    }
    for number in range(20):
        made = drawn(schema, stream(1, "drawn", number))
        assert made is not None
        assert made["unit"] in ("C", "F")
        assert made["count"] in (3, 4)
        assert len(made["code"]) == 3
        assert set(made["tags"]) == {"x"}


def test_what_a_server_answers() -> None:
    text = live.reply_of(Result("1", (Text('{"rows": [{"a/b": 1}], "n": null}'),)))
    assert [(leaf.pointer, leaf.value) for leaf in text.leaves] == [("/rows/0/a~1b", 1)]
    plain = live.reply_of(Result("1", (Text("It is 5."),)))
    assert [(leaf.pointer, leaf.value) for leaf in plain.leaves] == [("", "It is 5.")]
    failed = live.reply_of(Result("1", (Text("no luck"),), is_error=True))
    assert (failed.error, failed.message) == ("tool_error", "no luck")
    assert live.reply_of(Result("1", (Text("a"), Text("b")))).leaves == ()
    assert live.reply_of(Result("1", (), structured={"x": "y" * 300_000})).leaves == ()


@pytest.mark.slow
def test_the_command_makes_tasks_that_its_agent_does(catalog: Path, tmp_path: Path) -> None:
    tasks, agent = tmp_path / "t.jsonl", tmp_path / "t.agent.yaml"
    nexau_ = [sys.executable, "-m", "nexau.cli.main"]
    skip = ["--skip", "archive/tick"]
    command = [*nexau_, "synth", "tasks", str(catalog), "--n", "6", "--out", str(tasks), *skip]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    played = subprocess.run(
        [*nexau_, "rollout", str(agent), str(tasks), "--check"], capture_output=True, check=False
    )
    assert played.returncode == 0, played.stderr
    rewards = [json.loads(line)["reward"] for line in played.stdout.splitlines()]
    assert rewards == [1.0] * 6
