"""One trial: a run with its servers, what goes wrong with them, and what must hold in the end."""

import asyncio
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct, field

from nexau.journal.overview import state_of, trajectories_of, verify
from tests.chaos.proxy import Proxy
from tests.chaos.schedule import Fault, Life, Schedule
from tests.chaos.services import free_port

AT_MOST = 90.0
"""Seconds for the last life of a run, which meets no faults."""
LEDGER = Path(__file__).with_name("ledger.py")

AGENT = """\
name: boss
model: &model
  kind: openai
  name: chaos
  api_key_env: null
  timeout: 1.5
  retries: 6
{endpoints}
system_prompt: You keep a ledger.
limits: {{steps: 60, seconds: 60}}
tools: [{{mcp: ledger}}, {{mcp: lookup}}]
agents:
  - name: helper
    description: Helps.
    model: *model
    tools: [{{mcp: ledger, include: [append]}}]
mcp_servers:
  ledger:
    command: {python}
    args: [-S, -E, {ledger}]
    env: {{CHAOS: {mark}, CHAOS_FRAMES: {frames}}}
    sessions: rollout
    timeout: 1.5
    start_timeout: 20
  lookup:
    url: http://127.0.0.1:{lookup}/mcp
    timeout: 1.5
    start_timeout: 20
supervision: {{intensity: 50, period: 10, backoff: {{min: 0.02, max: 0.2}}}}
"""


class Zygote(Protocol):
    async def fork(self, order: dict[str, Any], out: int, err: int) -> int: ...

    async def ended(self, pid: int) -> int: ...


class Report(Struct):
    """What came of a trial."""

    seed: int
    problems: list[str] = []
    kinds: Counter[str] = field(default_factory=Counter)
    """Faults that struck."""
    lives: int = 0
    rollouts: int = 0
    resumed: int = 0
    restarted: int = 0
    paid: int = 0
    """Turns that the model gave."""
    twice: int = 0
    """Of these, for a turn that it had given before."""
    seconds: float = 0.0
    err: str = ""


class Trial:
    def __init__(self, schedule: Schedule, folder: Path, zygote: Zygote, python: str) -> None:
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
        self._proxies = {name: Proxy(port, schedule.seed) for name, port in self._ports.items()}
        self._services: dict[str, int] = {}
        self._run: int | None = None
        self._serving: asyncio.Task[None] | None = None

    async def all(self) -> Report:
        began = time.monotonic()
        (self._folder / "tmp").mkdir(parents=True)
        try:
            for proxy in self._proxies.values():
                await proxy.start()
            for name in self._ports:
                await self._serve(name)
            self._write_files()
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

    def _write_files(self) -> None:
        schedule, port = self._schedule, self._proxies["model"].port
        urls = [f"http://127.0.0.1:{port}/v1"]
        if schedule.endpoints == "with a name that is unknown":
            urls.append("http://model.invalid:81/v1")
        elif schedule.endpoints == "with one that has no TLS":
            urls.append(f"https://127.0.0.1:{self._proxies['lookup'].port}/v1")
        lines = "\n".join(f"    - {{base_url: '{url}'}}" for url in urls)
        text = AGENT.format(
            endpoints=f"  endpoints:\n{lines}",
            python=self._python,
            ledger=LEDGER,
            mark=self._mark,
            frames=self._folder / "frames",
            lookup=self._proxies["lookup"].port,
        )
        (self._folder / "agent.yaml").write_text(text)
        tasks = [
            {"id": f"t{i}", "input": f"task {schedule.seed} {i}"} for i in range(schedule.tasks)
        ]
        (self._folder / "tasks.jsonl").write_text(
            "".join(json.dumps(each) + "\n" for each in tasks)
        )

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
        reader, pid = await self._start(life.clock)
        reading = asyncio.create_task(self._read(reader, life.closes_stdout_at))
        striking = asyncio.create_task(self._strike_all(life.faults))
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._ended(pid)), 3.0)
        finally:
            striking.cancel()
            await asyncio.gather(striking, return_exceptions=True)
            if self._serving is not None:
                await self._serving
            self._calm()
        if self._run is not None:
            self._signal(pid, signal.SIGKILL)
            self._report.kinds["kill run"] += 1
            await self._ended(pid)
        await reading
        if life.spoils:
            self._spoil(life.spoils)

    async def _start(self, clock: float) -> tuple[int, int]:
        schedule = self._schedule
        options = [
            "--concurrency", str(schedule.concurrency), "--flush", str(schedule.flush),
            "--fsync", str(schedule.fsync), "--emit", schedule.emit, "--grace", "0.2",
        ]  # fmt: skip
        if schedule.workers > 1:
            options += ["--workers", str(schedule.workers)]
        if (self._folder / "run" / "run.json").exists():
            argv = ["rollout", "--resume", "run", *options]
        else:
            shutil.rmtree(self._folder / "run", ignore_errors=True)
            argv = [
                "rollout", "agent.yaml", "tasks.jsonl", "--out", "run", *options,
                "--repeat", str(schedule.repeat), "--retries", str(schedule.retries),
            ]  # fmt: skip
        order = {
            "what": "run",
            "argv": argv,
            "cwd": str(self._folder),
            "env": {"CHAOS": self._mark, "TMPDIR": str(self._folder / "tmp")},
            "clock": clock,
            "seed": self._chance.randrange(1 << 30),
            "full": str(self._folder / "full"),
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

    async def _strike_all(self, faults: tuple[Fault, ...]) -> None:
        began = time.monotonic()
        for fault in faults:
            await asyncio.sleep(max(0.0, fault.at - (time.monotonic() - began)))
            if self._run is None:
                return
            self._report.kinds[fault.kind] += 1
            await self._strike(fault)

    async def _strike(self, fault: Fault) -> None:
        what, _, whom = fault.kind.partition(" ")
        if what == "kill" and whom in self._services:
            self._signal(self._services[whom], signal.SIGKILL)
            await asyncio.sleep(fault.seconds)
            self._serving = asyncio.create_task(self._serve(whom))
            await asyncio.shield(self._serving)
        elif what == "kill":
            self._signal(self._pid_of(whom), signal.SIGKILL)
        elif what == "stop":
            pid = self._services.get(whom) or self._pid_of(whom)
            self._signal(pid, signal.SIGSTOP)
            await asyncio.sleep(fault.seconds)
            self._signal(pid, signal.SIGCONT)
        elif what in ("terminate", "interrupt"):
            self._signal(self._run, signal.SIGTERM if what == "terminate" else signal.SIGINT)
        elif what == "frames:":
            (self._folder / "frames").write_text(whom)
            await asyncio.sleep(fault.seconds)
            (self._folder / "frames").unlink()
        elif fault.kind == "full disk":
            (self._folder / "full").touch()
            await asyncio.sleep(fault.seconds)
            (self._folder / "full").unlink()
        else:
            self._proxies[fault.on].set(fault.kind)  # type: ignore[arg-type]
            await asyncio.sleep(fault.seconds)
            self._proxies[fault.on].set("")

    def _calm(self) -> None:
        for name in ("frames", "full"):
            (self._folder / name).unlink(missing_ok=True)
        for proxy in self._proxies.values():
            proxy.set("")
        for pid in (*self._services.values(), *self._marked()):
            self._signal(pid, signal.SIGCONT)

    def _pid_of(self, whom: str) -> int | None:
        if whom == "run":
            return self._run
        servers = [pid for pid in self._marked() if "ledger.py" in _command(pid)]
        return self._chance.choice(servers) if servers else None

    def _signal(self, pid: int | None, number: int) -> None:
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _spoil(self, how: str) -> None:
        """As a loss of power may leave files: a torn end, or a bit that is another."""
        files = [
            path
            for path in (self._folder / "run").rglob("*")
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

    # The end.

    def _over(self) -> bool:
        if not (self._folder / "run" / "run.json").exists():
            return False
        return state_of(self._folder / "run").state == "complete"

    async def _last(self) -> None:
        for name, pid in list(self._services.items()):
            if _state(pid) == "Z":
                await self._serve(name)
        self._report.lives += 1
        reader, pid = await self._start(0.0)
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
        with suppress(FileNotFoundError):
            left = (self._folder / "descriptors").read_text().split("\n")
            left = [each for each in left if each and not _harmless(each)]
            # libuv keeps one pipe for its signals, once for a process and for good.
            if len(set(left)) > 1 or any(not each.startswith("pipe:") for each in left):
                self._problem(f"descriptors left open: {left}")

    def _check(self) -> None:
        run, schedule, report = self._folder / "run", self._schedule, self._report
        state, verdict = state_of(run), verify(run)
        if state.state != "complete":
            self._problem(f"the run is {state.state}: {state.unfinished} unfinished")
        for problem in verdict.problems:
            self._problem(f"verify: {problem}")
        kept: dict[bytes, Any] = {line: json.loads(line) for line in trajectories_of(run)}
        final = [each for each in kept.values() if each.get("final", True)]
        ids = Counter((each["task"], each.get("repeat", 0)) for each in final)
        wanted = {
            (f"t{i}", repeat) for i in range(schedule.tasks) for repeat in range(schedule.repeat)
        }
        if set(ids) != wanted or max(ids.values(), default=1) > 1:
            self._problem(f"not one final trajectory for each rollout: {ids}")
        for line in self._shown:
            self._check_line(line, kept)
        for each in final:
            self._check_ledger(each)
        self._check_leftovers()
        notes = [note for each in final for note in each.get("notes", ())]
        report.rollouts = len(final)
        report.resumed = sum(note.startswith("resumed") for note in notes)
        report.restarted = sum(note.startswith("restarted") for note in notes)
        served = Counter((self._folder / "model.log").read_text().splitlines())
        report.paid = sum(served.values())
        report.twice = report.paid - len(served) * schedule.repeat

    def _check_line(self, line: bytes, kept: dict[bytes, Any]) -> None:
        try:
            shown = json.loads(line)
        except ValueError:
            self._problem(f"a line of stdout is not JSON: {line[:80]!r}")
            return
        if shown["type"] != "trajectory" or shown["status"] == "cancelled":
            return
        # A bit that was flipped, and what was not synced, may have cost a line that had been shown.
        spoilt = any(life.spoils for life in self._schedule.lives)
        if line not in kept and not spoilt:
            self._problem(f"{shown['id']} was shown and is not kept")

    def _check_ledger(self, trajectory: Any) -> None:
        """Counts go up by one for each entry, unless nobody knows whether one was made."""
        count, certain = 0, True
        for step in trajectory["steps"]:
            for call, result in zip(step.get("calls", ()), step.get("results", ()), strict=True):
                if call["name"] != "append":
                    continue
                if result.get("is_error"):
                    certain = False
                    continue
                found = int(result["content"][0]["text"].split()[0])
                # Steps of agents at the same time are not in the order of their calls.
                count = max(count, found)
        entries = sum(
            call["name"] == "append" and not result.get("is_error")
            for step in trajectory["steps"]
            for call, result in zip(step.get("calls", ()), step.get("results", ()), strict=True)
        )
        if certain and count != entries:
            self._problem(
                f"{trajectory['id']}: {entries} entries were made, the ledger has {count}"
            )

    def _check_leftovers(self) -> None:
        for _ in range(200):
            left = [pid for pid in self._marked() if pid not in self._services.values()]
            if not left:
                break
            time.sleep(0.05)
        else:
            self._problem(f"processes are left: {[_command(pid) for pid in left]}")
        temporary = list((self._folder / "tmp").iterdir())
        temporary += (self._folder / "run").rglob(".*.new")
        if temporary:
            self._problem(f"temporary files are left: {temporary}")

    def _problem(self, text: str) -> None:
        self._report.problems.append(text)

    def _marked(self) -> list[int]:
        """Processes of this trial, whoever their parent is by now."""
        mark = f"CHAOS={self._mark}\0".encode()
        found: list[int] = []
        for name in os.listdir("/proc"):  # noqa: PTH208 - names
            if name.isdigit() and int(name) != self._run:
                with suppress(OSError):
                    environment = Path("/proc", name, "environ").read_bytes()
                    if mark in environment + b"\0" and _state(int(name)) != "Z":
                        found.append(int(name))
        return found

    async def _clean_up(self) -> None:
        if self._run is not None:
            self._signal(self._run, signal.SIGKILL)
        for pid in self._services.values():
            self._signal(pid, signal.SIGKILL)
        for pid in self._marked():
            self._signal(pid, signal.SIGKILL)
        for proxy in self._proxies.values():
            await proxy.stop()
        if self._report.problems:
            with suppress(FileNotFoundError):
                self._report.err = (self._folder / "err.txt").read_text()[-3000:]
        else:
            shutil.rmtree(self._folder, ignore_errors=True)


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def _state(pid: int) -> str:
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "Z"


def _harmless(descriptor: str) -> bool:
    """What Python and its libraries open once for a process."""
    return descriptor.startswith(("/dev/", "/proc/", "/usr/", "/etc/")) or "nsswitch" in descriptor
