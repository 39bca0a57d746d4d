import msgspec
import pytest

from nexau.fold import Fold, fold
from nexau.models.base import ToolCall, UserMessage
from nexau.trajectory import (
    Called,
    CallResult,
    Event,
    Finished,
    ModelTurn,
    Returned,
    Started,
    Step,
    UserSaid,
)
from nexau.transports.protocol import Text, Timing

PROMPT = (UserMessage("go"),)
A, B = ToolCall("a", "look", {"x": 1}), ToolCall("b", "look", {"x": 2})


def result(call: ToolCall) -> CallResult:
    return CallResult(call.id, (Text("seen"),))


def test_a_step_is_complete_with_its_last_result_and_keeps_the_order_of_calls() -> None:
    steps = fold(
        [
            Started("r", 0, 10.0, "root", "desk", PROMPT),
            ModelTurn("r", 1, 12.0, "root", 0, "", (A, B), seconds=1.5, queue=0.5),
            Called("r", 2, 12.25, "root", A),
            Called("r", 3, 12.25, "root", B),
            Returned("r", 4, 13.0, "root", result(B)),
            Returned("r", 5, 14.25, "root", result(A)),
            ModelTurn("r", 6, 15.0, "root", 1, "done", seconds=0.5),
            Finished("r", 7, 15.0, "root", "completed", "done"),
        ]
    )
    assert [r.call_id for r in steps[0].results] == ["a", "b"]
    assert steps[0].prompt == PROMPT
    assert steps[0].timing == Timing(queue=0.5, model=1.0, tool=2.0, own=0.75)
    assert steps[1].prompt == ()
    assert steps[1].timing == Timing(model=0.5, own=0.25)
    assert [s.index for s in steps] == [0, 1]


def test_a_childs_steps_come_before_the_step_that_called_it() -> None:
    call = ToolCall("c", "child", {"task": "t"})
    steps = fold(
        [
            Started("r", 0, 0.0, "root", "desk", PROMPT),
            ModelTurn("r", 1, 1.0, "root", 0, "", (call,)),
            Called("r", 2, 1.0, "root", call),
            Started("r", 3, 1.0, "root/child#1", "child", PROMPT, "c"),
            ModelTurn("r", 4, 2.0, "root/child#1", 0, "x"),
            Finished("r", 5, 2.0, "root/child#1", "completed", "x"),
            Returned("r", 6, 2.0, "root", result(call)),
        ]
    )
    assert [s.agent for s in steps] == ["root/child#1", "root"]


@pytest.mark.parametrize(
    ("status", "error_class"), [("limit", "limit"), ("cancelled", "cancelled")]
)
def test_an_agent_cut_off_within_a_step_still_has_every_call_answered(
    status: str, error_class: str
) -> None:
    steps = fold(
        [
            Started("r", 0, 0.0, "root", "desk", PROMPT),
            ModelTurn("r", 1, 1.0, "root", 0, "", (A, B)),
            Called("r", 2, 1.0, "root", A),
            Called("r", 3, 1.0, "root", B),
            Returned("r", 4, 2.0, "root", result(A)),
            Finished("r", 5, 3.0, "root", status),  # type: ignore[arg-type]
        ]
    )
    assert [(r.call_id, r.error_class) for r in steps[0].results] == [
        ("a", None),
        ("b", error_class),
    ]
    assert steps[0].timing == Timing(tool=2.0, own=1.0), "waiting is no time of the runtime's own"


def test_event_lines_read_back_fold_to_the_same_steps() -> None:
    events: list[Event] = [
        Started("r", 0, 0.0, "root", "desk", PROMPT),
        ModelTurn("r", 1, 1.0, "root", 0, "hm", (A,), reasoning="why"),
        Called("r", 2, 1.0, "root", A),
        Returned("r", 3, 2.0, "root", result(A)),
        ModelTurn("r", 4, 2.5, "root", 1, "end"),
    ]
    lines = [msgspec.json.encode(event) for event in events]
    assert fold(msgspec.json.decode(line, type=Event) for line in lines) == fold(events)


def test_timing_of_an_agent_is_the_sum_over_its_steps() -> None:
    folder = Fold("r")
    steps: list[Step] = []
    for event in (
        Started("r", 0, 0.0, "root", "desk", PROMPT),
        ModelTurn("r", 1, 1.0, "root", 0, "", (A,), seconds=1.0),
        Called("r", 2, 1.0, "root", A),
        Returned("r", 3, 2.0, "root", result(A)),
        ModelTurn("r", 4, 3.0, "root", 1, "end", seconds=1.0),
    ):
        step = folder.add(event)
        if step is not None:
            steps.append(step)
    assert folder.timing("root") == steps[0].timing + steps[1].timing
    assert folder.timing("root/nobody#1") == Timing()


def test_what_comes_of_an_agent_after_its_end_is_no_part_of_any_step() -> None:
    before: list[Event] = [
        Started("r", 0, 0.0, "root", "desk", PROMPT),
        ModelTurn("r", 1, 1.0, "root", 0, "", (A, B)),
        Called("r", 2, 1.0, "root", A),
        Finished("r", 3, 2.0, "root", "cancelled"),
    ]
    after: list[Event] = [
        Returned("r", 4, 3.0, "root", result(A)),
        Called("r", 5, 3.0, "root", B),
        ModelTurn("r", 6, 4.0, "root", 1, "late"),
        UserSaid("r", 7, 5.0, "root", "more"),
        Finished("r", 8, 5.0, "root", "cancelled"),
    ]
    assert fold(before + after) == fold(before)
    assert len(fold(before)) == 1
