"""Runs against real processes that are killed, stopped, cut off and fed garbage.

python -m tests.chaos --schedules 1000
python -m tests.chaos --seed 417 --schedules 1 --verbose
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.certificates import write_certificates
from tests.chaos.report import Report, table
from tests.chaos.schedule import draw
from tests.chaos.trial import Trial


class Forks:
    """The zygote, as trials see it."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._order = asyncio.Lock()
        self._answer: asyncio.Future[int] | None = None
        self._ended: dict[int, asyncio.Future[int]] = {}
        control.setblocking(False)
        asyncio.get_running_loop().add_reader(control, self._hear)

    def _hear(self) -> None:
        while True:
            try:
                data = self._control.recv(1 << 16)
            except BlockingIOError:
                return
            if not data:
                asyncio.get_running_loop().remove_reader(self._control)
                return
            said = json.loads(data)
            if "pid" in said:
                assert self._answer is not None
                # Numbers come again: what is known of the process before is not this one's.
                self._ended.pop(said["pid"], None)
                self._answer.set_result(said["pid"])
            else:
                self._end_of(said["ended"]).set_result(said["code"])

    def _end_of(self, pid: int) -> asyncio.Future[int]:
        return self._ended.setdefault(pid, asyncio.get_running_loop().create_future())

    async def fork(self, order: dict[str, Any], out: int, err: int) -> int:
        # Seen through to its answer, which would be taken for that of the next one.
        return await asyncio.shield(asyncio.create_task(self._fork(order, out, err)))

    async def _fork(self, order: dict[str, Any], out: int, err: int) -> int:
        async with self._order:
            self._answer = asyncio.get_running_loop().create_future()
            socket.send_fds(self._control, [json.dumps(order).encode()], [out, err])
            return await self._answer

    async def ended(self, pid: int) -> int:
        code = await asyncio.shield(self._end_of(pid))
        self._ended.pop(pid, None)
        return code


def _zygote(certificates: Path) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.chaos.zygote", str(theirs.fileno())]
    trusted = {**os.environ, "SSL_CERT_FILE": str(certificates / "ca.pem")}
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=trusted)
    theirs.close()
    return process, ours


async def _all(given: argparse.Namespace, top: Path) -> list[Report]:
    certificates = top / "certificates"
    certificates.mkdir()
    write_certificates(certificates)
    zygote, ours = _zygote(certificates)
    forks = Forks(ours)
    reports: list[Report] = []
    seeds = iter(range(given.seed, given.seed + given.schedules))
    began = time.monotonic()

    async def work() -> None:
        for seed in seeds:
            if given.seconds and time.monotonic() - began > given.seconds:
                return
            trial = Trial(draw(seed), top / str(seed), forks, sys.executable, certificates)
            report = await trial.all()
            reports.append(report)
            if report.problems:
                print(f"seed {seed}: {'; '.join(report.problems)}\n{report.err}", file=sys.stderr)
            elif given.verbose:
                print(report, file=sys.stderr)
            if len(reports) % 50 == 0:
                print(f"{len(reports)} of {given.schedules}", file=sys.stderr)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(given.parallel):
                group.create_task(work())
    finally:
        ours.close()
        zygote.wait()
    return reports


def main() -> int:
    made = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    made.add_argument("--schedules", type=int, default=50)
    made.add_argument("--seed", type=int, default=0, help="of the first; the others follow")
    made.add_argument("--parallel", type=int, default=4)
    made.add_argument("--seconds", type=float, default=0.0, help="no new ones begin after these")
    made.add_argument("--verbose", action="store_true")
    given = made.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as name:
        reports = asyncio.run(_all(given, Path(name)))
    told = table(reports)
    print(json.dumps(told, indent=1))
    return 1 if told["broken"] or not reports else 0


if __name__ == "__main__":
    sys.exit(main())
