"""The embedding examples, run as a reader would run them."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_embed_asyncio() -> None:
    said = run("embed_asyncio.py")
    assert "completed The square is 144." in said
    assert "enough: True events: True" in said
    assert "LagMonitor" in said


def test_embed_trio() -> None:
    said = run("embed_trio.py")
    assert "one two three -> 3 words" in said
    assert "3 rollouts, 3 calls" in said


@pytest.mark.parametrize("name", ["embed_asyncio.py", "embed_trio.py"])
def test_the_examples_are_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) < 80
