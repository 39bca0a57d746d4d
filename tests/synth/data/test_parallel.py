"""Several processes over one file: the bytes of one process, and nobody left behind."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from nexau.definitions.values import DefinitionError
from nexau.synth.data.checks.facts import Limits
from nexau.synth.data.convert import Options
from nexau.synth.data.jobs import CheckJob, Done, ExportJob, MeasureJob, whole
from nexau.synth.data.measure import Meter
from nexau.synth.data.parallel import Chunk, ProcessDied, _cut, chunks, in_order
from nexau.synth.data.stream import trajectories
from tests.synth.data.rollouts import lines, rollout


@given(
    texts=st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"\r"))),
    size=st.integers(1, 64),
    ended=st.booleans(),
)
@settings(deadline=None)
def test_pieces_are_whole_lines_and_leave_nothing_out(
    texts: list[bytes], size: int, ended: bool
) -> None:
    data = b"\n".join(texts) + (b"\n" if ended else b"")
    made = list(_cut(io.BytesIO(data), "f", "-", size))
    assert b"".join(chunk.data or b"" for chunk in made) == data
    assert all((chunk.data or b"").endswith(b"\n") for chunk in made[:-1])
    offset, number = 0, 1
    for chunk in made:
        assert (chunk.offset, chunk.number, chunk.size) == (offset, number, len(chunk.data or b""))
        offset += chunk.size
        number += (chunk.data or b"").count(b"\n")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = [
        replace(rollout(n), status="limit", limit="steps") if n % 7 == 0 else rollout(n)
        for n in range(400)
    ]
    made[5] = replace(made[5], final=False)
    place = tmp_path / "t.jsonl"
    place.write_bytes(lines(*made))
    return place


def test_a_piece_is_read_again_where_it_lies(file: Path) -> None:
    made = list(chunks([file], 10_000))
    assert len(made) > 10
    assert b"".join(b"".join(chunk.lines()) for chunk in made) == file.read_bytes()


def test_jobs_over_pieces_give_what_they_give_over_lines(file: Path) -> None:
    names = frozenset({"truncated", "pairing"})
    job, whole_job = (CheckJob(Limits(), names, keep=True) for _ in range(2))
    parts = [job(chunk) for chunk in chunks([file], 20_000)]
    (one,) = [whole_job(chunk) for chunk in chunks([file], 1 << 30)]
    assert sum(part.found for part in parts) == one.found == 400
    assert [x for part in parts for x in part.made.lines] == one.made.lines
    assert [x for part in parts for x in part.made.kept] == one.made.kept
    exported = ExportJob("hermes", Options(), ("completed",))
    records = [r for chunk in chunks([file], 20_000) for r in exported(chunk).made.records]
    (everything,) = [
        ExportJob("hermes", Options(), ("completed",))(c) for c in chunks([file], 1 << 30)
    ]
    assert records == everything.made.records


def test_a_meter_takes_outlines_as_it_takes_trajectories(file: Path) -> None:
    one, other = Meter(seed=3), Meter(seed=3)
    for line in trajectories([file]):
        one.add(line.trajectory)
    job = MeasureJob(strict=True)
    for outlines in whole(map(job, chunks([file], 30_000)), [file]):
        for outline in outlines:
            other.take(outline)
    assert msgspec.json.encode(one.result()) == msgspec.json.encode(other.result())


def test_what_is_wrong_is_told_after_what_came_before() -> None:
    parts = [Done("a", 1), Done("b", 2, "f:3:1: not a trajectory"), Done("c", 1)]
    made = []
    with pytest.raises(DefinitionError, match="f:3:1"):
        for part in whole(parts, []):
            made.append(part)  # noqa: PERF402
    assert made == ["a", "b"]
    with pytest.raises(DefinitionError, match="holds no trajectory"):
        list(whole([Done("a", 0)], [Path("f")]))


class _Dies:
    def __call__(self, chunk: Chunk) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


@pytest.mark.slow
def test_a_process_that_dies_is_told(file: Path) -> None:
    with pytest.raises(ProcessDied):
        list(in_order(_Dies, [file], 2))


class _Waits:
    """Writes its id down and holds on to its piece."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, chunk: Chunk) -> int:
        (self._folder / f"pid.{os.getpid()}").touch()
        time.sleep(600)
        return 0


@pytest.mark.slow
def test_nobody_outlives_a_parent_that_was_killed(file: Path, tmp_path: Path) -> None:
    script = (
        "from functools import partial\nfrom pathlib import Path\n"
        "from nexau.synth.data.parallel import in_order\n"
        "from tests.synth.data.test_parallel import _Waits\n"
        "if __name__ == '__main__':\n"
        f"    list(in_order(partial(_Waits, Path({str(tmp_path)!r})), [Path({str(file)!r})], 2))\n"
    )
    program = tmp_path / "parent.py"
    program.write_text(script)
    root = Path(__file__).parents[3]
    parent = subprocess.Popen([sys.executable, program], cwd=root,
                              env={**os.environ, "PYTHONPATH": str(root)})  # fmt: skip
    deadline = time.monotonic() + 120
    while not (found := list(tmp_path.glob("pid.*"))):
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    for name in found:
        pid = int(name.name.removeprefix("pid."))
        while _runs(pid):
            assert time.monotonic() < deadline, pid
            time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
