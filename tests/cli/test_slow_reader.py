"""A reader of 100 lines a second: the run goes at its pace, and memory stays."""

import json
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import Start

LINES_A_SECOND = 100
MIB = 1 << 20


@pytest.mark.slow
@pytest.mark.parametrize("kept", [False, True], ids=["stdout", "kept"])
def test_a_slow_reader_holds_a_run_of_any_size_to_constant_memory(
    process: Start, place: Path, kept: bool
) -> None:
    line = json.dumps({"input": "x" * 2000, "plan": {"turns": [], "answer": "done"}}) + "\n"
    (place / "many.jsonl").write_text(line * 200_000)
    options = ("--out", "run") if kept else ()
    running = process("rollout", "agent.yaml", "many.jsonl", "-c", "64", *options)
    assert running.stdout is not None
    watched = psutil.Process(running.pid)
    sizes: list[int] = []
    for second in range(25):
        began = time.monotonic()
        for _ in range(LINES_A_SECOND):
            assert running.stdout.readline().startswith(b'{"type":"trajectory"')
        time.sleep(max(0.0, 1 - (time.monotonic() - began)))
        if second >= 5:
            sizes.append(watched.memory_info().rss)
    # What is under way, in mailboxes and in buffers was there after five seconds; 2,000 more
    # lines, of 4 KB each, have gone through since.
    grown = max(sizes) - sizes[0]
    assert grown < 16 * MIB, f"{sizes[0] / MIB:.1f} MiB after 5 s, {grown / MIB:.1f} more later"
