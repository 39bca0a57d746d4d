"""Every format, over whole rollouts of nasty values: what is written comes back, the rest is told.

Arguments, texts, results, thoughts and names of agents hold markup of the formats, texts that look
like numbers, huge integers, nested and empty objects, every corner of Unicode.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec import Raw
from msgspec.structs import replace

from nexau.models.base import SystemMessage, TokenData, ToolCall, UserMessage
from nexau.synth.data.conversation import Assistant, Conversation, Results, Unfit, equal
from nexau.synth.data.convert import Options, Piece, ToolTables, parts, pieces
from nexau.synth.data.export import Exporter, Quarantined
from nexau.synth.data.formats.atif import ATIF
from nexau.synth.data.formats.base import Format, Head
from nexau.synth.data.formats.brisk import Brisk
from nexau.synth.data.formats.chat import Chat
from nexau.synth.data.formats.registry import FORMATS, ROLLOUT_FORMATS, format_of
from nexau.synth.data.parquet import schema_of, write_parquet
from nexau.synth.data.spoken import Spoken
from nexau.synth.data.stream import Line
from nexau.trajectory import AgentRecord, CallResult, Step, Trajectory
from nexau.transports.protocol import Content, Text
from tests.synth.data.rollouts import rollout
from tests.synth.data.samples import TOOLS, conversations, text

NASTY = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
OPTIONS = (
    Options(),
    Options(flattened=True),
    Options(loss="final"),
    Options(mask_errors=True),
    Options(flattened=True, loss="final", mask_errors=True),
)
HELPER = "root/helper#1"
QUICK = [
    name
    for name, kind in FORMATS.items()
    if kind.quick is not Format.quick and not (issubclass(kind, Brisk) and not kind.marks)
]


def quick_of(name: str) -> Format:
    form = format_of(name)
    assert isinstance(form, Format)
    return form


def steps_of(agent: str, conversation: Conversation, *, tokens: bool) -> list[Step]:
    """A step for each turn of the assistant; what stood before it came into its prompt."""
    made: list[Step] = []
    given: list[Any] = []
    for place, turn in enumerate(conversation.turns):
        if isinstance(turn, Assistant):
            after = conversation.turns[place + 1 : place + 2]
            seen = after[0].observations if after and isinstance(after[0], Results) else ()
            results = tuple(
                CallResult(each.call_id, content(each.text), each.is_error) for each in seen
            )
            number = len(made)
            ids = TokenData(tuple(range(4 * number + 2)), (7, 8), (-0.5, -1e-9)) if tokens else None
            made.append(
                Step("n/0", 0, agent, number, tuple(given), turn.content, turn.calls, results,
                     turn.reasoning, tokens=ids)
            )  # fmt: skip
            given = []
        elif not isinstance(turn, Results):
            kind = UserMessage if type(turn).__name__ == "User" else SystemMessage
            given.append(kind(turn.content))
    return made


def content(said: str) -> tuple[Content, ...]:
    return (Text(said),)


@st.composite
def rollouts(draw: st.DrawFn) -> Trajectory:
    """A root and, in half of them, a sub-agent that its first call started."""
    tokens = draw(st.booleans())
    steps = steps_of("root", draw(conversations()), tokens=tokens)
    agents = [AgentRecord("shop", "plan", Raw(msgspec.json.encode(TOOLS)))]
    if draw(st.booleans()) and steps[0].calls:
        below = steps_of(HELPER, draw(conversations()), tokens=tokens)
        first = steps[0]
        asked = replace(first.calls[0], name="helper")
        answer = replace(first.results[0], content=content(below[-1].response), agent=HELPER)
        steps[0] = replace(
            first, calls=(asked, *first.calls[1:]), results=(answer, *first.results[1:])
        )
        steps = below + steps
        helper = replace(TOOLS[0], name="helper")
        agents = [
            AgentRecord("shop", "plan", Raw(msgspec.json.encode([*TOOLS, helper]))),
            AgentRecord("helper", "plan", Raw(msgspec.json.encode(TOOLS))),
        ]
    numbered = tuple(replace(step, index=index) for index, step in enumerate(steps))
    return Trajectory("nexau/1", "n/0", "n", draw(text), "shop", "completed", numbered,
                      numbered[-1].response, reward=draw(st.sampled_from([None, 0.0, 1.0])),
                      agents=tuple(agents))  # fmt: skip


def exported(
    name: str, rollout: Trajectory, options: Options, kind: type[Any]
) -> tuple[list[bytes], list[Quarantined]]:
    data = msgspec.json.encode(rollout) + b"\n"
    line = Line(data, 1, msgspec.json.decode(data, type=kind), "f")
    refused: list[Quarantined] = []
    records = list(Exporter(format_of(name), options).run([line], refused.append))
    return records, refused


def held(form: Format, piece: Piece, head: Head) -> bytes | None:
    """The record by the long way; None where the format cannot hold it."""
    try:
        fitting = form.fit(piece.conversation)
        record = form.write(fitting, head)
        return record if equal(fitting, form.read(record)) else None
    except Unfit:
        return None


@pytest.mark.parametrize("name", FORMATS)
@given(rollout=rollouts(), options=st.sampled_from(OPTIONS))
@NASTY
def test_conversations_are_written_or_quarantined(
    name: str, rollout: Trajectory, options: Options
) -> None:
    records, refused = exported(name, rollout, options, Trajectory)
    assert exported(name, rollout, options, Spoken) == (records, refused)
    assert len(records) + len(refused) == len(list(pieces(rollout, ToolTables(), options)))
    ids = [json.loads(record)["id"] for record in records] + [each.id for each in refused]
    assert len(set(ids)) == len(ids)
    form = format_of(name)
    assert isinstance(form, Format)
    by_id = {json.loads(record)["id"]: record for record in records}
    for piece in pieces(rollout, ToolTables(), options):
        identity = f"n/0@{piece.path}" if piece.path == HELPER else "n/0"
        head = Head(identity, _lineage(records), rollout.reward)
        assert by_id.get(identity) == held(form, piece, head)


def _lineage(records: list[bytes]) -> str:
    return str(json.loads(records[0])["lineage"]) if records else ""


@pytest.mark.parametrize("name", QUICK)
@given(rollout=rollouts(), options=st.sampled_from([o for o in OPTIONS if not o.flattened]))
@NASTY
def test_the_quick_way_writes_what_the_long_way_writes(
    name: str, rollout: Trajectory, options: Options
) -> None:
    form, tables = quick_of(name), ToolTables()
    head = Head("n/0", "rollout:1", rollout.reward)
    long = {piece.path: held(form, piece, head) for piece in pieces(rollout, tables, options)}
    for part in parts(rollout, tables):
        record = form.quick(part.steps, part.tools, head, options)
        assert record is None or record == long[part.path]


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize(
    "change",
    [
        {"calls": (ToolCall("a", "f", None, '{"s": '),)},
        {"calls": (ToolCall("a", "f", {}), ToolCall("a", "f", {}))},
        {"results": (CallResult("a", (Text("x"), Text("y"))),)},
        {"results": ()},
        {"prompt": (UserMessage("go"), SystemMessage("late"))},
    ],
)
def test_what_is_out_of_the_common_takes_the_long_way(name: str, change: dict[str, Any]) -> None:
    if "calls" in change and len(change["calls"]) > 1 and issubclass(FORMATS[name], Chat):
        return  # these hold no ids
    step = Step("n/0", 0, "root", 0, (UserMessage("go"),), "", (ToolCall("a", "f", {}),),
                (CallResult("a", (Text("x"),)),))  # fmt: skip
    form, head = quick_of(name), Head("n/0")
    assert form.quick([step], TOOLS, head, Options()) is not None
    assert form.quick([replace(step, **change)], TOOLS, head, Options()) is None


@given(rollout=rollouts())
@settings(NASTY, max_examples=15)
def test_the_quick_way_of_atif_writes_what_the_long_way_writes(rollout: Trajectory) -> None:
    head = Head("n/0", "rollout:1", rollout.reward)
    record = ATIF().quick(rollout, head)
    if record is not None:
        long = ATIF().write(rollout, head)
        assert (record, ATIF().compare(long, rollout)) == (long, None)


def test_atif_of_one_agent_goes_the_quick_way() -> None:
    made = rollout(1)
    alone = replace(made, steps=tuple(step for step in made.steps if step.agent == "root"))
    assert ATIF().quick(alone, Head("x")) is not None
    assert ATIF().quick(made, Head("x")) is None


@pytest.mark.parametrize("name", ROLLOUT_FORMATS)
@given(rollout=rollouts())
@NASTY
def test_whole_rollouts_are_written_or_quarantined(name: str, rollout: Trajectory) -> None:
    records, refused = exported(name, rollout, Options(), Trajectory)
    assert bool(records) != bool(refused)
    assert len(refused) <= 1
    for record in records:
        json.loads(record)
    if name in ("atif", "ng_trajectory", "verifiers"):
        assert records, refused


@pytest.mark.parametrize("name", [name for name, kind in FORMATS.items() if issubclass(kind, Chat)])
@given(rollout=rollouts())
@NASTY
def test_labels_are_on_the_words_of_the_assistant_and_on_nothing_else(
    name: str, rollout: Trajectory
) -> None:
    everything, _ = exported(name, rollout, Options(), Trajectory)
    last, _ = exported(name, rollout, Options(loss="final"), Trajectory)
    for one, other in zip(everything, last, strict=True):
        all_of, final = (json.loads(each)["segments"] for each in (one, other))
        assert "".join(s["text"] for s in all_of) == "".join(s["text"] for s in final)
        assert [s["text"] for s in final if s["label"]] == [
            s["text"] for s in all_of if s["label"]
        ][-1:]


@pytest.mark.parametrize("name", [*FORMATS, *ROLLOUT_FORMATS])
@given(rollout=rollouts(), options=st.sampled_from(OPTIONS))
@settings(NASTY, max_examples=3)
def test_parquet_holds_what_the_lines_hold(
    tmp_path: Path, name: str, rollout: Trajectory, options: Options
) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    records, _ = exported(name, rollout, options, Trajectory)
    file = tmp_path / "out.parquet"
    assert write_parquet(file, name, records) == len(records)
    rows = pq.read_table(file).to_pylist()
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        line = json.loads(record)
        if "record" in row:
            assert json.loads(row["record"]) == line
            continue
        for column in schema_of(name).names:
            value, expected = row[column], line.get(column)
            if isinstance(value, str) and not isinstance(expected, str):
                assert json.loads(value) == expected, column
            else:
                assert _whole(value) == _whole(expected), column


def _whole(value: Any) -> Any:
    """Without what is null: a column of structs has every field in every row."""
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items() if each is not None}
    return [_whole(each) for each in value] if isinstance(value, list) else value
