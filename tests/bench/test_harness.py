"""The harness, at sizes that say nothing about speed."""

import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import psutil
import pytest

from bench import delegation, memory, rollouts
from bench.cases import CASES, Case
from bench.harness import Cell, Plan, Sample, cells, cores, figures, measure, measurements
from bench.registry import CONTENDERS, Contender
from bench.report import PlotError, console, plot, table
from bench.servers import http_server, model_server

HAND = CONTENDERS["by-hand"]
NEXAU = CONTENDERS["nexau"]
QUICK = ["--rounds", "1", "--seconds", "0.01", "--concurrency", "2"]


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def cell_of(path: Path, contender: str) -> Cell:
    (found,) = [x for x in lines(path) if x["type"] == "cell" and x["contender"] == contender]
    return msgspec.convert(found, Cell)


def test_a_question_is_answered_for_all_contenders_in_turn(tmp_path: Path) -> None:
    out = tmp_path / "figures.jsonl"
    code = rollouts.main(
        [
            *QUICK,
            "--cases",
            "in-process",
            "--contenders",
            "nexau,nexau-trio,by-hand",
            "--out",
            str(out),
        ]
    )
    assert code == 0
    written = lines(out)
    assert [line["type"] for line in written] == ["environment", *["sample"] * 3, *["cell"] * 3]
    for name in ("nexau", "nexau-trio", "by-hand"):
        cell = cell_of(out, name)
        assert cell.error is None
        assert cell.figures["rate"].median > 0
        assert cell.figures["peak_rss"].median > 1 << 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("nexau", "stdio-lean-20ms"),
        ("nexau", "http-lean"),
        ("nexau", "stdio"),
        ("nexau", "http"),
        ("nexau-trio", "delegation"),
        ("by-hand", "stdio-lean"),
        ("by-hand", "http"),
        ("by-hand-sdk", "stdio-lean"),
        ("by-hand-sdk", "http-lean"),
        ("nexau", "model-http"),
        ("nexau-journal", "in-process"),
        ("nexau-direct", "in-process"),
        ("nexau", "http-isolated"),
        ("by-hand", "model-http"),
        ("by-hand", "stdio-isolated"),
        ("by-hand-aiohttp", "model-http"),
    ],
)
def test_contenders_do_all_the_work_of_a_case(name: str, case: str, tmp_path: Path) -> None:
    sample = sample_of(CONTENDERS[name], CASES[case], tmp_path)
    assert sample.error is None
    assert sample.rollouts >= 2
    assert "python" in sample.versions


def test_the_official_client_takes_part_where_there_is_mcp_only() -> None:
    able = {name for name, case in CASES.items() if CONTENDERS["by-hand-sdk"].can(case)}
    shared = {name for name, case in CASES.items() if not case.isolated}
    assert able == {name for name in shared if name.startswith(("stdio", "http"))}


def sample_of(contender: Contender, case: Case, folder: Path) -> Sample:
    place = {"round_": 0, "seconds": 0.01, "output": folder / "lines.jsonl"}
    with ExitStack() as stack:
        if case.tool == "http":
            place["server"] = stack.enter_context(http_server(case, "-"))
        if case.model == "http":
            place["model"] = stack.enter_context(model_server(case, "-"))
        return measure(contender, case, 2, **place)  # type: ignore[arg-type]


def test_memory_is_measured_while_all_wait(tmp_path: Path) -> None:
    out = tmp_path / "figures.jsonl"
    arguments = ["--cases", "delegation", "--contenders", "nexau", "--out", str(out)]
    assert memory.main([*QUICK, *arguments]) == 0
    cell = cell_of(out, "nexau")
    assert set(cell.figures) == {"peak_rss", "idle_rss", "held", "above_messages", "line"}


def test_delegation_runs(tmp_path: Path) -> None:
    out = tmp_path / "figures.jsonl"
    arguments = ["--cases", "delegation", "--contenders", "by-hand", "--out", str(out)]
    assert delegation.main([*QUICK, *arguments]) == 0
    assert cell_of(out, "by-hand").figures["rate"].median > 0


def test_a_profile_is_kept_and_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--cases", "in-process", "--contenders", "nexau", "--profile", str(tmp_path)]
    assert rollouts.main([*QUICK, *arguments]) == 0
    out, err = capfd.readouterr()
    assert [json.loads(line)["type"] for line in out.splitlines()] == [
        "environment",
        "sample",
        "cell",
    ]
    assert "nexau.actors" in err
    assert (tmp_path / "nexau-in-process-2.pstats").stat().st_size > 0


SCRIPT = """
import json, os, subprocess, sys, time
what = {what!r}
if what == "crash":
    sys.exit("the reason")
if what == "noise":
    print("hello")
if what == "hang":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                             start_new_session=True)
    print(child.pid, file=sys.stderr, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("what", "said"),
    [("crash", "exit code 1: the reason"), ("noise", "no JSON"), ("hang", "no result within 1 s")],
)
def test_a_contender_that_fails_is_a_result(
    what: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.py").write_text(SCRIPT.format(what=what))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("bench.harness.PATIENCE", 1.0 - 4 * 0.01)
    bad = Contender("bad", "bad", "fails")
    sample = sample_of(bad, CASES["in-process"], tmp_path)
    assert sample.error is not None
    assert said in sample.error
    if what == "hang":
        assert ends(int(sample.error.split()[-1]))
    (cell,) = cells(Plan((CASES["in-process"],), (bad,), (2,)), [sample])
    assert cell.error == sample.error
    assert cell.figures == {}


def ends(pid: int) -> bool:
    """Whether a process that was killed goes, which is the system's to do in its own time. Zombies
    count as gone: where nothing reaps orphans, as in many containers, they stay.
    """
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def test_work_left_undone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy.py").write_text(
        "from contextlib import asynccontextmanager\n"
        "from bench.child import serve\n"
        "@asynccontextmanager\n"
        "async def lazy(job, work):\n"
        "    async def run(tasks, concurrency):\n"
        "        job.output.write_text('{}\\n' * len(list(tasks)))\n"
        "    yield run\n"
        "serve(lazy)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    sample = sample_of(Contender("lazy", "lazy", ""), CASES["in-process"], tmp_path)
    assert "lines" in (sample.error or "")


def test_an_unknown_name_is_told_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        rollouts.main(["--cases", "in-proces"])
    assert "in-process" in capsys.readouterr().err


def test_contenders_take_turns_in_every_round() -> None:
    plan = Plan((CASES["in-process"], CASES["stdio"]), (NEXAU, HAND), (1, 64), rounds=3)
    taken = measurements(plan)
    assert len(taken) == 24
    for first, second in zip(taken[::2], taken[1::2], strict=True):
        assert first[:3] == second[:3]
        assert {first[3].name, second[3].name} == {"nexau", "by-hand"}
    orders = {tuple(c.name for *_, c in taken[i : i + 2]) for i in range(0, 24, 2)}
    assert len(orders) == 2


def test_efficiency_is_achieved_over_ideal() -> None:
    case = CASES["slow-model"]
    assert case.latency == pytest.approx(5.08)
    assert case.ideal(1024) == pytest.approx(201.57, abs=0.01)
    sample = Sample(case.name, 1024, "x", 0, rollouts=2048, wall=10.16, cpu=2.048)
    found = figures(case, sample)
    assert found["efficiency"] == pytest.approx(1.0)
    assert found["cpu_ms"] == pytest.approx(1.0)
    assert CASES["in-process"].ideal(64) is None
    assert "efficiency" not in figures(CASES["in-process"], sample)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen here")
def test_contenders_and_servers_are_kept_apart() -> None:
    own, others = cores()
    if len(os.sched_getaffinity(0)) > 1:
        assert own not in others.split(",")
    else:
        assert own == others


SAMPLES = [
    Sample("slow-model", n, "by-hand", i, rollouts=10, wall=1.0 + i, cpu=0.1)
    for n in (64, 1024)
    for i in range(3)
]
DRAWN = cells(Plan((CASES["slow-model"],), (HAND,), (64, 1024)), SAMPLES)


@pytest.mark.parametrize(("suffix", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_plot_is_drawn(suffix: str, magic: bytes, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs nexau[bench]")
    path = tmp_path / f"plot.{suffix}"
    plot("How fast?", DRAWN, path)
    assert path.read_bytes().startswith(magic)


def test_a_plot_without_matplotlib_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PlotError, match=r"nexau\[bench\]"):
        plot("How fast?", DRAWN, tmp_path / "plot.svg")


def test_a_table_has_medians_and_spread(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(table("How fast?", DRAWN))
    shown = capsys.readouterr().err
    row = next(line for line in shown.splitlines() if "1,024" in line)
    assert "5 ±67%" in row
    assert "202/s" in shown  # on a line of its own, where the table is wide
