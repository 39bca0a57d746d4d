"""Worlds that a model writes: over HTTP, with good, bad, cut, slow and refusing answers."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

import nexau
from nexau.synth.worlds import written
from nexau.synth.worlds.drafts import Draft, Record, Request
from nexau.synth.worlds.generate import SCHEMA, RunFile, Store, generate
from nexau.synth.worlds.reader import load_world
from nexau.synth.worlds.trial import try_world
from nexau.synth.worlds.written import ByModel, Unreached
from tests.synth.scripted import Scripted, scripted_model
from tests.worlds.worlds_for_tests import LENDING

pytestmark = pytest.mark.anyio

SPEC = "a library that lends books"
REQUEST = Request(SPEC, 7)
WHOLE: dict[str, Any] = yaml.safe_load(LENDING.replace("today: 2026-03-02", "today: '2026-03-02'"))
DOMAIN = {"world": "lending", "description": "It lends.", "today": "2026-03-02", "tags": ["x"],
          "rules": ["No more than there is."]}  # fmt: skip


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "BESIDE", 1)


def stages() -> dict[str, Any]:
    """What a diligent model would write, by the beginning of what it is asked for."""
    entities = {
        name: {**each, "fields": {
            field: {k: v for k, v in form.items() if k != "make" or field == "id"}
            for field, form in each["fields"].items()}}
        for name, each in WHOLE["entities"].items()
    }  # fmt: skip
    data = {
        name: {"rows": each["rows"], "make": {
            field: form["make"] for field, form in each["fields"].items() if "make" in form}}
        for name, each in WHOLE["entities"].items()
    }  # fmt: skip
    return {
        'Write {"world"': DOMAIN,
        'Write {"entities": {...}}': {"entities": entities},
        'Write {"tools"': {"tools": WHOLE["tools"]},
        'Write {"entities": {NAME': {"entities": data},
        'Write {"profile"': {"profile": {"latency": {"lognormal": [9, 0.4]}}},
        "The world was tried": {"tools": {}, "entities": {}},
    }


def answer(_: str, user: str, parts: dict[str, Any] | None = None) -> str:
    asked = user.partition("\n\n")[2]
    found = stages() if parts is None else parts
    return json.dumps(next(made for start, made in found.items() if asked.startswith(start)))


def stage_of(key: str) -> str:
    """Which stage a request is of."""
    return next(start for start in stages() if start in key)


def model(server: Scripted, **options: Any) -> nexau.OpenAIModel:
    return nexau.OpenAIModel("m", base_url=server.url, api_key_env=None, retries=0, **options)


async def run(folder: Path, server: Scripted, n: int = 1, **options: Any) -> list[Record]:
    store = Store(folder, RunFile(SCHEMA, SPEC, 7, "model m"))
    async with nexau.open_runtime(seed=7) as runtime:
        source = ByModel(REQUEST, runtime, model(server, **options), folder / "writing.jsonl")
        return [record async for record in generate(store, n, source)]


async def first(folder: Path, server: Scripted, **options: Any) -> Draft:
    async with nexau.open_runtime(seed=7) as runtime:
        source = ByModel(REQUEST, runtime, model(server, **options), folder / "writing.jsonl")
        drafts = source.drafts(0)
        made = await anext(drafts)
        await drafts.aclose()
        return made


async def test_a_world_is_written_in_stages_and_tried(tmp_path: Path) -> None:
    with scripted_model(answer) as server:
        (record,) = await run(tmp_path, server)
    world = load_world(tmp_path / record.file)
    assert (record.name, record.writer) == ("lending-00000", "model m")
    assert list(world.tools) == list(WHOLE["tools"])
    assert world.profile is not None
    assert try_world(world) == []
    kept = (tmp_path / "writing.jsonl").read_bytes().splitlines()
    tasks = [msgspec.json.decode(line)["task"] for line in kept if b"world-00000/" in line]
    stages = ["domain", "entities", "tools", "data", "profile"]
    assert tasks == [f"world-00000/{stage}/0" for stage in stages]
    system = server.requests[0]["messages"][0]["content"]
    assert '"find_books"' in system
    assert SPEC in server.requests[0]["messages"][1]["content"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["malformed", "truncated", "refuse", "empty", "broken", "slow", "fenced"]
)
async def test_every_stage_outlives_a_bad_answer(tmp_path: Path, kind: str) -> None:
    def script(_: str, attempt: int) -> str:
        return kind if attempt == 0 else "good"

    with scripted_model(answer, script, slow=30.0) as server:
        made = await first(tmp_path, server, timeout=2.0 if kind == "slow" else 30.0)
    assert made.reasons == ()
    assert made.record is not None
    assert server.played[kind] >= 5
    assert server.played["good"] >= (0 if kind == "fenced" else 5)


async def test_what_is_wrong_with_a_stage_is_told_with_its_place(tmp_path: Path) -> None:
    bad = stages()
    bad['Write {"tools"'] = json.loads(
        json.dumps(bad['Write {"tools"']).replace(
            "contains(book.title, query)", "contains(book.titel, query)"
        )
    )
    bad['Write {"entities": {NAME'] = {"entities": {"bok": {"rows": 3}}}

    def twice(system: str, user: str) -> str:
        return answer(system, user, None if "It was refused" in user else bad)

    with scripted_model(twice) as server:
        made = await first(tmp_path, server)
    assert made.reasons == ()
    told = "\n".join(str(each["messages"][-1]["content"]) for each in server.requests)
    assert "tools.find_books.find.where: book has no field 'titel'; did you mean 'title'?" in told
    assert "no entity 'bok'" in told


async def test_what_the_trial_finds_is_mended_or_the_world_refused(tmp_path: Path) -> None:
    parts = stages()
    broken = {**WHOLE["tools"], "find_members": {"description": "Nothing.", "result": {"x": 1}}}
    parts['Write {"tools"'] = {"tools": broken}
    parts["The world was tried"] = {"tools": {"find_members": WHOLE["tools"]["find_members"]}}
    with scripted_model(lambda s, u: answer(s, u, parts)) as server:
        made = await first(tmp_path, server)
    assert made.reasons == ()
    parts["The world was tried"] = {"tools": {}}
    with scripted_model(lambda s, u: answer(s, u, parts)) as server:
        made = await first(tmp_path, server)
    assert made.record is None
    fault = "tools.get_member: no tool gives the key of member"
    assert made.reasons[0] == f"world-00000/trial: {fault}"
    assert b"Nothing." in made.yaml


async def test_after_three_repairs_it_is_refused_with_its_reasons(tmp_path: Path) -> None:
    def script(key: str, _: int) -> str:
        return "refuse" if stage_of(key) == 'Write {"tools"' else "good"

    with scripted_model(answer, script) as server:
        made = await first(tmp_path, server)
    assert made.record is None
    assert made.reasons[0].startswith("world-00000/tools: the answer holds no JSON object")
    assert b"member:" in made.yaml


async def test_a_model_that_cannot_be_had_ends_the_run(tmp_path: Path) -> None:
    with scripted_model(answer, lambda *_: "broken") as server:
        with pytest.raises(Unreached, match="cannot be had"):
            await first(tmp_path, server)


@pytest.mark.parametrize("bad", [
    [], {"world": "Big Name"}, {**DOMAIN, "today": "soon"}, {**DOMAIN, "rules": "none"},
    {**DOMAIN, "x": 1},
])  # fmt: skip
async def test_a_domain_is_checked(tmp_path: Path, bad: Any) -> None:
    parts = {**stages(), 'Write {"world"': bad}
    with scripted_model(lambda s, u: answer(s, u, parts)) as server:
        made = await first(tmp_path, server)
    assert made.record is None
    assert made.reasons[0].startswith("world-00000/domain: ")
    assert server.played["good"] >= 4
