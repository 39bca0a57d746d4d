"""From trajectories to records: per agent or flattened, quarantined where they do not fit."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from nexau.definitions.values import DefinitionError
from nexau.models.base import ToolCall
from nexau.synth.ancestry import trace
from nexau.synth.data.convert import Options
from nexau.synth.data.export import Exporter, Quarantined
from nexau.synth.data.formats.registry import FORMATS, ROLLOUT_FORMATS, format_of
from nexau.synth.data.parquet import schema_of, write_parquet
from nexau.synth.data.stream import trajectories
from nexau.trajectory import CallResult, Trajectory
from nexau.transports.protocol import Image, Text
from tests.synth.data.rollouts import lines, rollout


def export(
    folder: Path, name: str, *made: Trajectory, options: Options | None = None, **more: Any
) -> tuple[list[dict[str, Any]], list[Quarantined]]:
    file = folder / "t.jsonl"
    file.write_bytes(lines(*made))
    refused: list[Quarantined] = []
    exporter = Exporter(format_of(name), options or Options(), **more)
    records = list(exporter.run(trajectories([file]), refused.append))
    assert exporter.totals.records == len(records)
    assert exporter.totals.quarantined == len(refused)
    return [json.loads(record) for record in records], refused


@pytest.mark.parametrize("name", FORMATS)
def test_an_agent_is_a_record(tmp_path: Path, name: str) -> None:
    records, refused = export(tmp_path, name, rollout(1), rollout(2))
    assert refused == []
    assert [each["id"] for each in records] == [
        "r1/0", "r1/0@root/payer#1", "r2/0", "r2/0@root/payer#1",
    ]  # fmt: skip
    assert all(each["lineage"].startswith("rollout:") for each in records)
    assert all(each["reward"] == 1.0 for each in records)


def test_flattened_one_agent_has_everybodys_tools(tmp_path: Path) -> None:
    (record,), refused = export(tmp_path, "openai", rollout(), options=Options(flattened=True))
    assert refused == []
    assert [tool["function"]["name"] for tool in record["tools"]] == ["look_up", "pay"]
    messages = record["messages"]
    assert messages[0]["content"] == "You run a shop.\n\n## payer\nYou pay."
    called = [c["function"]["name"] for m in messages for c in m.get("tool_calls", ())]
    assert called == ["look_up", "pay", "pay"]
    assert messages[-1]["content"].startswith("Paid, receipt 7.\n\nPaid 50 cents")
    roles = [message["role"] for message in messages]
    assert roles == ["system", "user"] + ["assistant", "tool"] * 3 + ["assistant"]


@pytest.mark.parametrize(
    ("options", "counted"),
    [
        (Options(), [True, True, True]),
        (Options(loss="final"), [False, False, True]),
        (Options(mask_errors=True), [False, True, True]),
    ],
)
def test_what_the_loss_counts(tmp_path: Path, options: Options, counted: list[bool]) -> None:
    records, _ = export(tmp_path, "openai", rollout(), options=options)
    messages = records[1]["messages"]
    assert [m.get("weight", 1) == 1 for m in messages if m["role"] == "assistant"] == counted


def test_malformed_arguments_are_quarantined_where_they_have_no_place(tmp_path: Path) -> None:
    made = rollout()
    broken = replace(made.steps[0], calls=(ToolCall("a", "look_up", None, '{"name": '),))
    made = replace(made, steps=(broken, *made.steps[1:]))
    records, refused = export(tmp_path, "hermes", made)
    assert len(records) == 1
    (one,) = refused
    assert "not a JSON object" in one.reason
    assert (one.id, one.line) == ("r0/0", 1)
    assert export(tmp_path, "openai", made)[1] == []


def test_a_record_that_does_not_come_back_equal_is_quarantined(tmp_path: Path) -> None:
    made = rollout()
    calls = (ToolCall("a", "look_up", {"name": "x </tool_call> y"}),)
    made = replace(made, steps=(replace(made.steps[0], calls=calls), *made.steps[1:]))
    records, refused = export(tmp_path, "hermes", made)
    assert len(records) == 1
    assert len(refused) == 1
    assert export(tmp_path, "mistral-v11", made)[1] == []


def test_images_are_refused_or_noted(tmp_path: Path) -> None:
    made = rollout()
    seen = CallResult("a", (Text("look"), Image("aGk=", "image/png")))
    made = replace(made, steps=(replace(made.steps[0], results=(seen,)), *made.steps[1:]))
    records, refused = export(tmp_path, "openai", made)
    assert not records
    assert "image data" in refused[0].reason
    records, refused = export(tmp_path, "openai", made, options=Options(media="note"))
    assert refused == []
    assert records[0]["messages"][3]["content"] == "look\n[image, image/png, 2 bytes]"


def test_attempts_that_were_tried_again_and_other_statuses_are_passed_over(tmp_path: Path) -> None:
    made = [rollout(1, final=False), rollout(2, status="failed"), rollout(3)]
    records, _ = export(tmp_path, "atif", *made, statuses=("completed",))
    assert [each["session_id"] for each in records] == ["r3/0"]


@pytest.mark.parametrize("name", ROLLOUT_FORMATS)
def test_whole_rollouts_come_back(tmp_path: Path, name: str) -> None:
    made = [rollout(n, tokens=True) for n in range(3)]
    records, refused = export(tmp_path, name, *made)
    assert refused == []
    assert len(records) >= 3


@pytest.mark.parametrize("name", ["verl", "skyrl", "atropos", "prime-rl"])
def test_without_token_ids_there_is_nothing_to_train_on(tmp_path: Path, name: str) -> None:
    records, refused = export(tmp_path, name, rollout())
    assert records == []
    assert "has no token ids" in refused[0].reason


def test_a_reward_is_needed_where_the_trainer_needs_one(tmp_path: Path) -> None:
    made = rollout(tokens=True, reward=None)
    assert export(tmp_path, "verl", made)[1][0].reason == "no reward"
    assert export(tmp_path, "prime-rl", made)[1] == []


def test_a_history_that_is_no_prefix_begins_a_new_sequence(tmp_path: Path) -> None:
    # Turn n of the sample begins with 0, 1, 2, ... so each continues the one before.
    rows, _ = export(tmp_path, "verl", rollout(tokens=True))
    assert [row["num_turns"] for row in rows] == [3, 3]
    row = rows[0]
    assert len(row["response_ids"]) == len(row["response_mask"]) == len(row["response_logprobs"])
    assert row["response_ids"][:2] == [4, 5]
    assert row["response_mask"][:3] == [1, 1, 0]
    made = rollout(tokens=True)
    last = made.steps[-1]
    assert last.tokens is not None
    other = replace(last, tokens=replace(last.tokens, prompt_ids=(99, 98)))
    rows, _ = export(tmp_path, "verl", replace(made, steps=(*made.steps[:-1], other)))
    assert [row["num_turns"] for row in rows if row["agent"] == "root"] == [2, 1]


def test_sub_agents_are_embedded_in_atif(tmp_path: Path) -> None:
    (record,), _ = export(tmp_path, "atif", rollout())
    assert record["schema_version"] == "ATIF-v1.7"
    (below,) = record["subagent_trajectories"]
    refs = [
        ref["trajectory_id"]
        for step in record["steps"]
        for each in step.get("observation", {}).get("results", ())
        for ref in each.get("subagent_trajectory_ref", ())
    ]
    assert refs == [below["trajectory_id"]] == ["root/payer#1"]
    assert [step["step_id"] for step in below["steps"]] == [1, 2, 3, 4, 5]
    failed = below["steps"][2]["observation"]["results"][0]["extra"]
    assert failed["error_class"] == "invalid_arguments"


def test_the_lineage_of_a_record_is_found(tmp_path: Path) -> None:
    for name in ("openai", "atif"):
        records, _ = export(tmp_path, name, rollout())
        file = tmp_path / "out.jsonl"
        file.write_bytes(msgspec.json.encode(records[0]) + b"\n")
        found = trace("r0/0", [tmp_path / "t.jsonl"])
        lineage = records[0].get("lineage") or records[0]["extra"]["lineage"]
        assert found.found.lineage.id == lineage


def test_lines_that_are_no_trajectory_stop_it(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_bytes(b'{"type":"step"}\n\n' + lines(rollout()) + b"nonsense\n")
    with pytest.raises(DefinitionError, match=r"t\.jsonl:4:1: not a trajectory"):
        list(trajectories([file]))
    assert len(list(trajectories([file], strict=False))) == 1
    file.write_bytes(b'{"type":"trajectory","id":3}\n')
    with pytest.raises(DefinitionError, match=r"t\.jsonl:1:1"):
        list(trajectories([file], strict=False))


@pytest.mark.parametrize("name", [*FORMATS, *ROLLOUT_FORMATS])
def test_parquet_holds_the_same(tmp_path: Path, name: str) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    records, _ = export(tmp_path, name, *[rollout(n, tokens=True) for n in range(4)])
    file = tmp_path / "out.parquet"
    assert write_parquet(file, name, [msgspec.json.encode(r) for r in records]) == len(records)
    table = pq.read_table(file)
    assert table.schema == schema_of(name)
    assert table.num_rows == len(records)
