"""(state, action, next state): what was tried in one state is joined, and comes back."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import nexau
from nexau.models.base import ToolCall
from nexau.models.varied import departs
from nexau.synth.data.convert import Options
from nexau.synth.data.export import Exporter, Quarantined
from nexau.synth.data.formats.base import Head
from nexau.synth.data.formats.early_experience import EarlyExperience
from nexau.synth.data.formats.registry import format_of
from nexau.synth.data.stream import Line
from nexau.trajectory import Trajectory
from tests.synth.data.rollouts import result, rollout

WORLD = Path(__file__).parents[3] / "examples" / "worlds" / "retail-returns.yaml"
AGENT = """
name: clerk
model: {{kind: plan, style: explore}}
system_prompt: You run a shop.
tools: [{{mcp: shop}}]
mcp_servers:
  shop:
    command: "{{python}}"
    args: [-m, nexau.cli.main, world, serve, "{world}", --no-latency]
    reset: world_reset
"""


def triples(*made: Trajectory) -> list[dict[str, Any]]:
    exporter = Exporter(format_of("early-experience"), Options())
    refused: list[Quarantined] = []
    lines = [Line(msgspec.json.encode(each), n, each, "f") for n, each in enumerate(made, 1)]
    records = list(exporter.run(lines, refused.append))
    assert refused == []
    return [json.loads(record) for record in records]


def test_a_triple_for_every_turn_that_called_something() -> None:
    records = triples(rollout(1))
    assert [each["id"] for each in records] == [
        "r1/0#0", "r1/0#1", "r1/0@root/payer#1#0", "r1/0@root/payer#1#1",
    ]  # fmt: skip
    first, second = records[:2]
    assert [message["role"] for message in first["state"]] == ["system", "user"]
    assert first["action"]["tool_calls"][0]["function"]["name"] == "look_up"
    assert [message["role"] for message in first["next_state"]] == ["tool"]
    assert second["state"] == [*first["state"], first["action"], *first["next_state"]]
    assert [each["failed"] for each in records] == [[False], [False], [True], [False]]
    assert {each["alternative"] for each in records} == {False}


def test_alternatives_at_a_state_are_joined_whatever_their_ids() -> None:
    gold = rollout(1)
    other = replace(
        gold.steps[0],
        calls=(ToolCall("extra-0.0", "look_up", {"name": "Nobody"}),),
        results=(result("extra-0.0", {"found": 0}),),
    )
    tried = replace(gold, id="r1/1", repeat=1, steps=(other, *gold.steps[5:]))
    renamed = replace(
        gold.steps[0],
        calls=(replace(gold.steps[0].calls[0], id="z9"),),
        results=(replace(gold.steps[0].results[0], call_id="z9"),),
    )
    again = replace(gold, id="r1/2", repeat=2, steps=(renamed, *gold.steps[1:]))
    ones = triples(gold)
    others, thirds = triples(tried), triples(again)
    assert ones[0]["state_id"] == others[0]["state_id"] == thirds[0]["state_id"]
    assert ones[0]["action"] != others[0]["action"]
    assert others[0]["alternative"]
    assert ones[1]["state_id"] == thirds[1]["state_id"] != ones[0]["state_id"]
    assert triples(replace(gold, task="r2"))[0]["state_id"] != ones[0]["state_id"]


def test_what_is_lost_is_found() -> None:
    form, made = EarlyExperience(), rollout(1)
    line = form.write(made, Head("r1/0"))
    assert form.compare(line, made) is None
    assert form.compare(line.replace(b"Ada 1", b"Eve 1", 1), made)
    assert form.compare(line.replace(b'"failed":[true]', b'"failed":[false]'), made)
    assert form.compare(line.split(b"\n")[0], made) == "4 turns became 1"


def test_departures_are_told_by_their_ids() -> None:
    assert departs("extra-2.0")
    assert departs("payer#1:instead-0.0")
    assert not departs("c1")
    assert not departs("payer#1:c1")


@pytest.mark.anyio
async def test_explored_rollouts_of_a_world_try_several_things_in_one_state(
    tmp_path: Path,
) -> None:
    (tmp_path / "agent.yaml").write_text(AGENT.format(world=WORLD))
    agent = nexau.load_agent(tmp_path / "agent.yaml")
    get = {"id": "a", "name": "get_order", "arguments": {"order_id": "O-20117"}}
    plan = {"turns": [[get]], "answer": "done"}
    made: list[Trajectory] = []
    async with nexau.open_runtime() as runtime:
        task = nexau.Task("x", "How is order O-20117 of customer C-1001?", plan=plan)
        async with runtime.rollouts(agent, [task], repeat=6) as run:
            made += [each async for each in run]
    records = triples(*made)
    assert {each["state_id"] for each in records} == {records[0]["state_id"]}
    assert {each["policy"] for each in records} == {"plan:explore"}
    assert all(each["alternative"] for each in records)
    assert len({json.dumps(each["action"]["tool_calls"][0]["function"]) for each in records}) > 1
