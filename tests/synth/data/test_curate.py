"""The few that are kept: complete, successful, long, unlike each other, not in the evaluation."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")

from msgspec.structs import replace  # noqa: E402

from nexau.definitions.values import DefinitionError  # noqa: E402
from nexau.models.base import ToolCall  # noqa: E402
from nexau.synth.data.curate import Candidate, Curator, Wanted, read_again  # noqa: E402
from nexau.synth.data.decontaminate import Decontaminator, evaluation_texts  # noqa: E402
from nexau.synth.data.features import canonical, features_of, grams  # noqa: E402
from nexau.synth.data.select import select  # noqa: E402
from nexau.synth.data.stream import trajectories  # noqa: E402
from nexau.synth.data.vectors import vectors, vendi  # noqa: E402
from nexau.trajectory import Trajectory  # noqa: E402
from nexau.transports.protocol import Usage  # noqa: E402
from tests.synth.data.rollouts import lines, rollout  # noqa: E402


def curate(
    folder: Path, made: list[Trajectory], evaluation: list[str] | None = None, **wanted: Any
) -> tuple[Curator, list[Candidate]]:
    file = folder / "t.jsonl"
    file.write_bytes(lines(*made))
    curator = Curator(Wanted(**wanted), Decontaminator(evaluation or []))
    offset = 0
    for line in trajectories([file]):
        curator.look(line, offset)
        offset += len(line.data)
    return curator, curator.choose()


def test_what_may_not_be_kept_is_counted_by_reason(tmp_path: Path) -> None:
    *before, last = rollout(5).steps
    made = [
        rollout(1),
        rollout(2, status="limit", limit="steps"),
        rollout(3, reward=0.0),
        rollout(4, final=False),
        rollout(5, answer="", steps=(*before, replace(last, response=""))),
        replace(rollout(6), steps=rollout(6).steps[-1:]),
    ]  # fmt: skip
    curator, chosen = curate(tmp_path, made)
    assert [each.id for each in chosen] == ["r1/0"]
    assert dict(curator.report.refused) == {
        "not complete: limit": 1,
        "not successful": 1,
        "tried again later": 1,
        "hard fault: empty_final": 1,
        "too short": 1,
    }


def test_the_lines_come_back_as_they_were(tmp_path: Path) -> None:
    made = [rollout(n) for n in range(9)]
    curator, chosen = curate(tmp_path, made, keep=4)
    assert len(chosen) == len(curator.report.kept) == 4
    file = tmp_path / "t.jsonl"
    back = list(read_again(chosen, {chosen[0].file: file}))
    whole = file.read_bytes().splitlines()
    assert set(back) <= set(whole)
    assert [json.loads(line)["id"] for line in back] == [kept.id for kept in curator.report.kept]


def test_repeats_of_a_task_are_kept_once_unless_asked_for(tmp_path: Path) -> None:
    made = [rollout(1, id=f"r1/{n}", repeat=n) for n in range(5)] + [rollout(2)]
    assert len(curate(tmp_path, made, keep=5)[1]) == 2
    assert len(curate(tmp_path, made, keep=5, per_task=False)[1]) == 5


def test_memory_holds_a_sample_and_the_seed_decides_it(tmp_path: Path) -> None:
    made = [rollout(n) for n in range(60)]
    first, chosen = curate(tmp_path, made, keep=3, sample=10, seed=1)
    assert first.report.candidates == 60
    assert first.report.sampled == 10
    assert chosen == curate(tmp_path, made, keep=3, sample=10, seed=1)[1]
    others = {each.id for each in curate(tmp_path, made, keep=10, sample=10, seed=2)[1]}
    assert others != {each.id for each in curate(tmp_path, made, keep=10, sample=10, seed=3)[1]}


def test_neither_the_order_of_lines_nor_their_times_decide(tmp_path: Path) -> None:
    made = [rollout(n) for n in range(40)]
    chosen = curate(tmp_path, made, keep=5, sample=20)[1]
    late = [replace(each, seconds=each.seconds + 1234.56789) for each in reversed(made)]
    again = curate(tmp_path, late, keep=5, sample=20)[1]
    assert [each.id for each in again] == [each.id for each in chosen]


def test_the_different_and_the_long_come_first(tmp_path: Path) -> None:
    def other(number: int) -> Trajectory:
        made = rollout(number)
        call = ToolCall("a", "weigh_parcel", {"name": f"Ada {number}"})
        steps = (replace(made.steps[0], calls=(call,)), *made.steps[1:])
        text = "Which parcels to Norway are heavier than a crate of lemons?"
        return replace(made, steps=steps, input=text)

    made = [*[rollout(n) for n in range(30)], other(90)]
    _, chosen = curate(tmp_path, made, keep=2, check=False)
    assert "r90/0" in {each.id for each in chosen}
    long = rollout(7)
    steps = (replace(long.steps[0], usage=Usage(10, 9_000)), *long.steps[1:])
    long = replace(long, steps=steps)
    _, chosen = curate(tmp_path, [*[rollout(n) for n in range(6)], long], keep=1)
    assert [each.id for each in chosen] == ["r7/0"]


def test_facility_location_is_what_greedy_without_shortcuts_picks() -> None:
    random.seed(3)
    matrix = np.array([[random.gauss(0, 1) for _ in range(6)] for _ in range(40)], dtype=np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    worth = [random.random() * 0.01 for _ in range(40)]
    lazy = [pick.index for pick in select(matrix, worth, 8)]
    similar = np.clip(matrix @ matrix.T, 0, None)
    best, plain = np.zeros(40), []
    for _ in range(8):
        gains = {
            i: np.maximum(similar[i] - best, 0).mean() + worth[i]
            for i in range(40)
            if i not in plain
        }
        plain.append(max(gains, key=lambda i: gains[i]))
        best = np.maximum(best, similar[plain[-1]])
    assert lazy == plain
    assert sum(pick.stands_for for pick in select(matrix, worth, 8)) == 40


def test_the_vendi_score_counts_what_is_distinct() -> None:
    assert vendi(np.eye(5, dtype=np.float32)) == pytest.approx(5)
    assert vendi(np.ones((7, 1), dtype=np.float32)) == pytest.approx(1)
    two = np.array([[1, 0]] * 4 + [[0, 1]] * 4, dtype=np.float32)
    assert vendi(two) == pytest.approx(2)
    assert vendi(np.zeros((0, 3), dtype=np.float32)) == 0
    rows = vectors([features_of(rollout(n)) for n in range(5)])
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(5))


@pytest.mark.parametrize(
    ("paths", "drawn"),
    [
        (["root"], "()"),
        (["root", "root/a#1"], "(())"),
        (["root", "root/a#1", "root/a#2", "root/a#2/b#1"], "((())())"),
        (["root", "root/z#1/q#1", "root/z#1", "root/c#1"], "((())())"),
    ],
)
def test_topologies_are_equal_where_trees_are(paths: list[str], drawn: str) -> None:
    assert canonical(paths) == drawn
    assert canonical(reversed(paths)) == drawn


def test_runs_of_tools() -> None:
    assert grams(["a", "b", "a"]) == {"a": 2, "b": 1, "a>b": 1, "b>a": 1, "a>b>a": 1}


LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (LONG, "is an evaluation task"),
        (LONG.upper() + "!", "is an evaluation task"),
        (f"Please: {LONG} and go", "shares 13 words"),
        ("short one", "is an evaluation task"),
        ("a short one", None),
        (LONG.replace("seven", "7"), None),
    ],
)
def test_what_evaluation_will_use_is_found(text: str, found: str | None) -> None:
    reason = Decontaminator([LONG, "Short one."]).reason(text)
    assert (reason is None) == (found is None)
    assert found is None or found in str(reason)


def test_evaluation_texts_of_many_shapes(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    file.write_text(
        '{"input": "a"}\n{"question": "b"}\nplain c\n\n'
        '{"messages": [{"role": "user", "content": "d"}, {"role": "assistant", "content": "x"}]}\n'
    )
    assert list(evaluation_texts([file])) == ["a", "b", "plain c", "d"]
    file.write_text('{"other": "a"}\n')
    with pytest.raises(DefinitionError, match="has none of input"):
        list(evaluation_texts([file]))
    with pytest.raises(DefinitionError, match="no file"):
        list(evaluation_texts([tmp_path / "gone.jsonl"]))
