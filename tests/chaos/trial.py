"""One trial: a run with its servers, what goes wrong with them, and what must hold in the end."""

import asyncio
import os
import random
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from nexau.journal.overview import state_of
from nexau.transports.ports import free_port
from tests.chaos.certificates import contexts
from tests.chaos.disk import Disk
from tests.chaos.invariants import broken
from tests.chaos.processes import command, inherited, kept_open, marked, state
from tests.chaos.proxy import Proxy
from tests.chaos.report import Report
from tests.chaos.schedule import Fault, Life, Schedule
from tests.chaos.setting import write_setting

AT_MOST = 300.0
"""Seconds for the last life of a run, which meets no faults; on a machine that is busy."""
GONE = 120.0
"""Seconds for what a run leaves behind to be gone."""
LIFE = 3.0
"""Seconds after which a life is ended."""
ROOT = Path(__file__).parents[2]


class Zygote(Protocol):
    async def fork(self, order: dict[str, Any], out: int, err: int) -> int: ...

    async def ended(self, pid: int) -> int: ...


class Trial:
    def __init__(
        self, schedule: Schedule, folder: Path, zygote: Zygote, python: str, certificates: Path
    ) -> None:
        self._schedule = schedule
        self._folder = folder
        self._zygote = zygote
        self._python = python
        self._mark = f"chaos-{os.getpid()}-{schedule.seed}"
        self._chance = random.Random(f"trial {schedule.seed}")
        self._report = Report(schedule.seed)
        self._shown: list[bytes] = []
        """Whole lines that any life of the run put out."""
        self._ports = {name: free_port() for name in ("model", "lookup")}
        tls = contexts(certificates) if schedule.endpoints == "TLS" else None
        self._proxies: Mapping[str, Proxy] = {
            "model": Proxy(self._ports["model"], schedule.seed, tls),
            "lookup": Proxy(self._ports["lookup"], schedule.seed),
        }
        self._services: dict[str, int] = {}
        self._run: int | None = None
        self._serving: asyncio.Task[None] | None = None
        (folder / "tmp").mkdir(parents=True)
        self._disk = Disk(folder / "disk", folder / "full", small=schedule.disk == "tmpfs")
        self._directory = folder / "disk" / "run"

    async def all(self) -> Report:
        began = time.monotonic()
        try:
            for proxy in self._proxies.values():
                await proxy.start()
            for name in self._ports:
                await self._serve(name)
            ports = {name: proxy.port for name, proxy in self._proxies.items()}
            write_setting(self._folder, self._schedule, self._mark, self._python, ports)
            for life in self._schedule.lives:
                await self._live(life)
                if self._over():
                    break
            await self._last()
            await asyncio.to_thread(self._check)
        finally:
            await self._clean_up()
        self._report.seconds = time.monotonic() - began
        return self._report

    async def _serve(self, name: str) -> None:
        order = {
            "what": "service",
            "service": name,
            "port": self._ports[name],
            "log": str(self._folder / "model.log"),
            "cwd": str(self._folder),
            "env": {"CHAOS": self._mark},
        }
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            self._services[name] = await self._zygote.fork(order, null, null)
        finally:
            os.close(null)

    # A life.

    async def _live(self, life: Life) -> None:
        self._report.lives += 1
        reader, pid = await self._start()
        reading = asyncio.create_task(self._read(reader, life.closes_stdout_at))
        striking = asyncio.create_task(self._strike_all(life.faults))
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._ended(pid)), LIFE)
        finally:
            striking.cancel()
            await asyncio.gather(striking, return_exceptions=True)
            if self._serving is not None:
                await self._serving
            self._calm()
        if self._run is not None:
            self._look_at_servers()
            self._signal(pid, signal.SIGKILL)
            self._report.kinds["kill run"] += 1
            await self._ended(pid)
        await reading
        await self._gone(pid)
        if life.spoils:
            self._spoil(life.spoils)

    async def _start(self) -> tuple[int, int]:
        schedule, directory = self._schedule, "disk/run"
        options = [
            "--concurrency", str(schedule.concurrency), "--flush", str(schedule.flush),
            "--fsync", str(schedule.fsync), "--emit", schedule.emit, "--grace", "0.2",
        ]  # fmt: skip
        if schedule.workers > 1:
            options += ["--workers", str(schedule.workers)]
        if (self._directory / "run.json").exists():
            argv = ["rollout", "--resume", directory, *options]
        else:
            shutil.rmtree(self._directory, ignore_errors=True)
            argv = [
                "rollout", "agent.yaml", "tasks.jsonl", "--out", directory, *options,
                "--repeat", str(schedule.repeat), "--retries", str(schedule.retries),
            ]  # fmt: skip
        order = {
            "what": "run",
            "argv": argv,
            "cwd": str(self._folder),
            "env": {
                "CHAOS": self._mark,
                "CHAOS_SEAMS": str(self._folder),
                "PYTHONPATH": f"{ROOT / 'tests/chaos/site'}{os.pathsep}{ROOT}",
                "TMPDIR": str(self._folder / "tmp"),
                "NO_PROXY": "*",
            },
            "report": str(self._folder / "descriptors"),
        }
        readable, writable = os.pipe()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        err = os.open(self._folder / "err.txt", flags)
        try:
            (self._folder / "descriptors").unlink(missing_ok=True)
            self._run = pid = await self._zygote.fork(order, writable, err)
        finally:
            os.close(writable)
            os.close(err)
        return readable, pid

    async def _ended(self, pid: int) -> int:
        code = await self._zygote.ended(pid)
        if self._run == pid:
            self._run = None
        return code

    async def _read(self, descriptor: int, until: int | None) -> None:
        """Keeps whole lines. Closes the pipe after so many bytes."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        pipe = os.fdopen(descriptor, "rb")
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        data = b""
        while until is None or len(data) < until:
            more = await reader.read(65536 if until is None else until - len(data))
            if not more:
                break
            data += more
        else:
            self._report.kinds["stdout closed"] += 1
        transport.close()
        self._shown += data.split(b"\n")[:-1]

    # What goes wrong.

    async def _strike_all(self, faults: tuple[Fault, ...]) -> None:
        began = time.monotonic()
        for fault in faults:
            await asyncio.sleep(max(0.0, fault.at - (time.monotonic() - began)))
            if self._run is None:
                return
            full = fault.kind == "full disk"
            self._report.kinds[self._disk.kind if full else fault.kind] += 1
            await self._strike(fault)

    async def _strike(self, fault: Fault) -> None:
        what, _, whom = fault.kind.partition(" ")
        if what == "kill" and whom in self._services:
            self._signal(self._services[whom], signal.SIGKILL)
            await asyncio.sleep(fault.seconds)
            self._serving = asyncio.create_task(self._serve(whom))
            await asyncio.shield(self._serving)
        elif what == "kill":
            self._look_at_servers()
            self._signal(self._pid_of(whom), signal.SIGKILL)
        elif what == "stop":
            pid = self._services.get(whom) or self._pid_of(whom)
            self._signal(pid, signal.SIGSTOP)
            await asyncio.sleep(fault.seconds)
            self._signal(pid, signal.SIGCONT)
        elif what in ("terminate", "interrupt"):
            self._signal(self._run, signal.SIGTERM if what == "terminate" else signal.SIGINT)
        elif what == "frames:":
            await self._while_there("frames", whom, fault.seconds)
        elif fault.kind == "full disk":
            self._disk.fill()
            await asyncio.sleep(fault.seconds)
            self._disk.clear()
        elif fault.kind == "clock":
            far = self._chance.choice((10.0, 1000.0, 100_000.0))
            (self._folder / "clock").write_text(str(self._chance.uniform(-far, far)))
        else:
            await self._strike_connections(fault, whom)

    async def _strike_connections(self, fault: Fault, whom: str) -> None:
        if fault.kind == "dns":
            # Who is connected would not ask for the name.
            self._proxies["model"].set("reset")
            self._proxies["model"].set("")
            await self._while_there("dns", "", fault.seconds)
        elif fault.kind.startswith("tls"):
            self._proxies["model"].show(whom)
            await asyncio.sleep(fault.seconds)
            self._proxies["model"].show("good")
        else:
            self._proxies[fault.on].set(fault.kind)  # type: ignore[arg-type]
            await asyncio.sleep(fault.seconds)
            self._proxies[fault.on].set("")

    async def _while_there(self, name: str, text: str, seconds: float) -> None:
        (self._folder / name).write_text(text)
        await asyncio.sleep(seconds)
        (self._folder / name).unlink()

    def _calm(self) -> None:
        for name in ("frames", "dns"):
            (self._folder / name).unlink(missing_ok=True)
        self._disk.clear()
        for proxy in self._proxies.values():
            proxy.set("")
            proxy.shows = "good"
        for pid in (*self._services.values(), *self._marked()):
            self._signal(pid, signal.SIGCONT)

    def _pid_of(self, whom: str) -> int | None:
        if whom == "run":
            return self._run
        servers = self._servers()
        return self._chance.choice(servers) if servers else None

    def _servers(self) -> list[int]:
        return [pid for pid in self._marked() if "ledger.py" in command(pid)]

    def _signal(self, pid: int | None, number: int) -> None:
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _spoil(self, how: str) -> None:
        """As a loss of power may leave files: a torn end, or a bit that is another."""
        files = [
            path
            for path in self._directory.rglob("*")
            if path.parent.name in ("journal", "trajectories") and path.stat().st_size
        ]
        if not files:
            return
        path = self._chance.choice(sorted(files))
        self._report.kinds[f"file: {how}"] += 1
        if how == "tear":
            with path.open("ab") as file:
                file.write(b'["event",0,0,3,{"type":"mod')
            return
        data = bytearray(path.read_bytes())
        data[self._chance.randrange(len(data))] ^= 1 << self._chance.randrange(8)
        path.write_bytes(data)

    # What must hold.

    def _look_at_servers(self) -> None:
        for pid in self._servers():
            self._report.servers += 1
            held = inherited(pid, self._directory)
            if held:
                self._problem(f"a server holds what is its parent's: {held}")

    async def _gone(self, pid: int) -> None:
        """Nothing is left of a process of the run, however it ended."""
        report = self._folder / "descriptors"
        if report.exists():
            self._report.endings += 1
            left = kept_open(report)
            if left:
                self._problem(f"descriptors left open: {left}")
        until = time.monotonic() + GONE
        while left := self._left(pid):
            if time.monotonic() > until:
                self._problem(f"processes are left: {[command(each) for each in left]}")
                break
            await asyncio.sleep(0.02)
        temporary = list((self._folder / "tmp").iterdir())
        if temporary:
            self._problem(f"temporary files are left: {temporary}")

    def _left(self, pid: int) -> list[int]:
        ours = (*self._services.values(), pid)
        return [each for each in self._marked() if each not in ours]

    def _over(self) -> bool:
        if not (self._directory / "run.json").exists():
            return False
        return state_of(self._directory).state == "complete"

    async def _last(self) -> None:
        for name, pid in list(self._services.items()):
            if state(pid) == "Z":
                await self._serve(name)
        self._report.lives += 1
        reader, pid = await self._start()
        reading = asyncio.create_task(self._read(reader, None))
        try:
            code = await asyncio.wait_for(self._ended(pid), AT_MOST)
        except TimeoutError:
            self._problem(f"the last life did not end within {AT_MOST:g} s")
            self._signal(pid, signal.SIGKILL)
            return
        await reading
        if code not in (0, 1):
            self._problem(f"exit code {code}")
        await self._gone(pid)

    def _check(self) -> None:
        log = self._folder / "model.log"
        for problem in broken(self._directory, self._schedule, self._shown, log, self._report):
            self._problem(problem)
        half = list(self._directory.rglob(".*.new"))
        if half:
            self._problem(f"temporary files are left: {half}")
        self._report.handshakes = self._proxies["model"].refused
        with suppress(FileNotFoundError):
            self._report.unresolved = len((self._folder / "dns.log").read_text().splitlines())

    def _problem(self, text: str) -> None:
        self._report.problems.append(text)

    def _marked(self) -> list[int]:
        return [pid for pid in marked(self._mark) if pid != self._run]

    async def _clean_up(self) -> None:
        self._signal(self._run, signal.SIGKILL)
        for pid in (*self._services.values(), *self._marked()):
            self._signal(pid, signal.SIGKILL)
        for proxy in self._proxies.values():
            await proxy.stop()
        if self._report.problems:
            with suppress(FileNotFoundError):
                self._report.err = (self._folder / "err.txt").read_text()[-3000:]
        self._disk.close()
        if not self._report.problems:
            shutil.rmtree(self._folder, ignore_errors=True)
