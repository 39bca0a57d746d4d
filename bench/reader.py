"""How much memory does a run take whose reader is slow?

python -m bench.reader --tasks 10000,100000 --seconds 60

`nexau rollout` over so many tasks, in one process, kept in a directory, and kept by two workers,
all at the same time; each is read at a steady pace, 100 lines of some 4 KB a second. Told are the
resident MiB of all processes of each run: at most, after a sixth of the time, and at the end.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.procstat import descendants

QUESTION = "How much memory does a run take whose reader is slow?"
AGENT = """\
name: tester
model: {kind: plan}
system_prompt: Do as you are told.
"""
KINDS = {
    "stdout alone": (),
    "kept": ("--out", "run"),
    "kept, two workers": ("--out", "run", "--workers", "2"),
}
EVERY = 0.25
"""Seconds between two looks at memory."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Reading:
    """One run, and what was seen of it."""

    def __init__(self, kind: str, tasks: int, folder: Path) -> None:
        self.kind = kind
        self.tasks = tasks
        self.lines = 0
        self.seen: list[tuple[float, int]] = []
        """Seconds, and bytes of all its processes."""
        folder.mkdir()
        (folder / "agent.yaml").write_text(AGENT)
        task = {"input": "x" * 2000, "plan": {"turns": [], "answer": "done"}}
        (folder / "tasks.jsonl").write_bytes((msgspec.json.encode(task) + b"\n") * tasks)
        command = (sys.executable, "-m", "nexau.cli.main", "rollout", "agent.yaml", "tasks.jsonl")
        self.process = subprocess.Popen(
            (*command, *KINDS[kind]), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def read(self, pace: int, seconds: float) -> None:
        """The first line begins the time."""
        assert self.process.stdout is not None
        self.process.stdout.readline()
        began = time.monotonic()
        looked = 0.0
        while (now := time.monotonic() - began) < seconds:
            while self.lines < now * pace and self.process.stdout.readline():
                self.lines += 1
            if now - looked >= EVERY:
                looked = now
                self.seen.append((now, self._bytes()))
            time.sleep(0.01)
        self.process.stdout.close()
        self.process.wait()

    def _bytes(self) -> int:
        pids = (self.process.pid, *descendants(self.process.pid))
        return sum(_resident(pid) for pid in pids)

    def told(self, seconds: float) -> dict[str, object]:
        early = next((size for at, size in self.seen if at >= seconds / 6), 0)
        return {
            "run": self.kind,
            "tasks": self.tasks,
            "lines_read": self.lines,
            "mib_most": _mib(max(size for _, size in self.seen)),
            "mib_after_a_sixth": _mib(early),
            "mib_at_the_end": _mib(self.seen[-1][1]),
        }


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _mib(size: int) -> float:
    return round(size / (1 << 20), 1)


def main(argv: Sequence[str] | None = None) -> int:
    made = argparse.ArgumentParser(
        prog="python -m bench.reader",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--tasks", default="10000,100000", help="numbers of tasks, by commas")
    made.add_argument("--seconds", type=float, default=60.0)
    made.add_argument("--pace", type=int, default=100, help="lines a second")
    given = made.parse_args(argv)
    sizes = [int(each) for each in given.tasks.split(",")]
    with tempfile.TemporaryDirectory(prefix="reader-") as name:
        readings = [
            Reading(kind, tasks, Path(name) / f"{index}-{tasks}")
            for tasks in sizes
            for index, kind in enumerate(KINDS)
        ]
        threads = [
            threading.Thread(target=each.read, args=(given.pace, given.seconds))
            for each in readings
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for reading in readings:
        print(msgspec.json.encode(reading.told(given.seconds)).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
