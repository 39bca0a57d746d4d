"""Frameworks in environments of their own."""

import json
import subprocess
from pathlib import Path

import pytest

from bench import environments, peers, rollouts
from bench.cases import CASES
from bench.harness import measure
from bench.registry import PEERS, Contender
from bench.servers import model_server


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEXAU_BENCH_PEERS", str(tmp_path / "peers"))
    return tmp_path


def test_the_list(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert peers.main([]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"agno", "verifiers", "autogen", "langgraph", "openai-agents", "pydantic-ai"} <= {
        line["peer"] for line in lines
    }
    assert all(line["installed"] == {} for line in lines)


def test_what_is_not_installed_is_said_before_anything_runs(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rollouts.main(["--contenders", "agno,by-hand", "--cases", "in-process"]) == 2
    assert "nexau bench peers install agno" in capsys.readouterr().err.replace("\n", " ")


def test_an_unknown_peer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        peers.main(["install", "agnos"])
    assert ended.value.code == 2
    assert "agno" in capsys.readouterr().err


def test_an_installation_that_fails_leaves_nothing_that_looks_whole(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, stdout="no such package")

    monkeypatch.setattr(subprocess, "run", fail)
    assert peers.main(["install", "agno"]) == 1
    assert "no such package" in capsys.readouterr().err
    assert not environments.installed("agno")


DONE = [(peer, c) for peer in PEERS for c in ("in-process", "model-http") if peer.can(CASES[c])]


@pytest.mark.slow
@pytest.mark.outside
@pytest.mark.parametrize(("peer", "case"), DONE, ids=lambda part: getattr(part, "name", part))
def test_installed_peers_do_all_the_work(peer: Contender, case: str, tmp_path: Path) -> None:
    if not peer.ready:
        pytest.skip(f"{peer.name} is not installed: `nexau bench peers install {peer.name}`")
    place = {"round_": 0, "seconds": 0.01, "output": tmp_path / "lines.jsonl"}
    if case == "model-http":
        with model_server(CASES[case], "-") as model:
            sample = measure(peer, CASES[case], 2, model=model, **place)  # type: ignore[arg-type]
    else:
        sample = measure(peer, CASES[case], 2, **place)  # type: ignore[arg-type]
    assert sample.error is None
    assert sample.rollouts >= 2
