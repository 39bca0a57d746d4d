"""Runs contenders: each measurement in a fresh process, contenders in turn, over several rounds.

The contender has one core to itself and the servers have the others, where there are others.
"""

import json
import os
import platform
import random
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Struct

from bench import procstat
from bench.cases import Case
from bench.recorded import recorded
from bench.registry import Contender
from bench.servers import Server, command, http_server, model_server

SCHEMA = "nexau-bench/1"
ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 180.0
"""Seconds that a measurement may take beyond what was asked for and its rollouts need."""
TAIL = 2000
"""Bytes of a failed contender's stderr that are kept."""


class Plan(Struct, frozen=True):
    """What is to be measured."""

    cases: tuple[Case, ...]
    contenders: tuple[Contender, ...]
    concurrency: tuple[int, ...]
    rounds: int = 3
    seconds: float = 2.0
    memory: bool = False
    profile: Path | None = None
    """A folder for profiles; then figures mean little."""
    gc: tuple[int, ...] = ()
    """See `bench.child.Job`."""


class Environment(Struct, frozen=True, tag_field="type", tag="environment"):
    """Where and how a report was made; its first line."""

    schema: str
    question: str
    at: float
    """Seconds since the Unix epoch."""
    machine: str
    cpus: int
    contender_cores: str
    server_cores: str
    load: float
    """Processes that wanted a core in the minute before, ours not yet among them."""
    options: dict[str, Any]


class Sample(Struct, frozen=True, tag_field="type", tag="sample", omit_defaults=True):
    """One measurement. Times in seconds, memory in bytes."""

    case: str
    concurrency: int
    contender: str
    round: int
    error: str | None = None
    rollouts: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    """User and system time of the contender's process alone."""
    server_cpu: float = 0.0
    peak_rss: int = 0
    idle_rss: int = 0
    suspended_rss: int = 0
    bytes: int = 0
    """Written as trajectories."""
    first_ms: float | None = None
    """From the call that starts the rollouts to the first model turn."""
    added_p50_ms: float | None = None
    """What a rollout took beyond the latency of its models and tools."""
    added_p99_ms: float | None = None
    own_messages: int = 0
    """Of what is held by all suspended rollouts, their messages and steps."""
    waited: float | None = None
    """Share of the slots' time that calls were told to take, where that is drawn."""
    versions: dict[str, str] = {}


class Spread(Struct, frozen=True):
    """Of one figure over the rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


class Cell(Struct, frozen=True, tag_field="type", tag="cell", omit_defaults=True):
    """What came of one contender at one case and concurrency."""

    case: str
    concurrency: int
    contender: str
    samples: int
    error: str | None = None
    """Of the last sample that failed."""
    figures: dict[str, Spread] = {}
    versions: dict[str, str] = {}


def cores() -> tuple[str, str]:
    """For the contender, and for servers: the same where there is only one, `-` for any."""
    if not hasattr(os, "sched_getaffinity"):
        return "-", "-"
    first, *others = sorted(os.sched_getaffinity(0))
    return str(first), ",".join(map(str, others)) or str(first)


def environment(question: str, options: Mapping[str, Any]) -> Environment:
    own, others = cores()
    return Environment(
        SCHEMA,
        question,
        time.time(),
        f"{platform.platform()} {platform.machine()}, CPython {platform.python_version()}",
        os.cpu_count() or 0,
        own,
        others,
        round(os.getloadavg()[0], 2),
        dict(options),
    )


def measurements(plan: Plan) -> list[tuple[int, Case, int, Contender]]:
    """In the order in which they are taken: all contenders of a point one after the other, in
    another order in each round, so that what the machine does besides hits all alike.
    """
    taken = []
    for number in range(plan.rounds):
        for case in plan.cases:
            for concurrency in plan.concurrency:
                if concurrency < case.least:
                    continue
                able = [contender for contender in plan.contenders if contender.can(case)]
                random.Random(f"{number}/{case.name}/{concurrency}").shuffle(able)
                taken += [(number, case, concurrency, contender) for contender in able]
    return taken


def run(plan: Plan) -> Iterator[Sample]:
    """Takes every measurement of a plan."""
    own, others = cores()
    with tempfile.TemporaryDirectory(prefix="nexau-bench-") as folder, ExitStack() as stack:
        servers: dict[str, Server] = {}
        models: dict[str, Server] = {}
        for number, case, concurrency, contender in measurements(plan):
            if case.tool == "http" and case.name not in servers:
                servers[case.name] = stack.enter_context(http_server(case, others))
            if case.model == "http" and case.name not in models:
                models[case.name] = stack.enter_context(model_server(case, others))
            profile = None
            if plan.profile is not None:
                name = f"{contender.name}-{case.name}-{concurrency}.pstats"
                profile = plan.profile / name
            yield measure(
                contender,
                case,
                concurrency,
                round_=number,
                seconds=plan.seconds,
                output=Path(folder) / "trajectories.jsonl",
                own=own,
                others=others,
                server=servers.get(case.name),
                model=models.get(case.name),
                memory=plan.memory,
                profile=profile,
                gc=plan.gc,
            )


def measure(
    contender: Contender,
    case: Case,
    concurrency: int,
    *,
    round_: int,
    seconds: float,
    output: Path,
    own: str = "-",
    others: str = "-",
    server: Server | None = None,
    model: Server | None = None,
    memory: bool = False,
    profile: Path | None = None,
    gc: tuple[int, ...] = (),
) -> Sample:
    """One measurement in a process of its own. What goes wrong with it is in the sample."""
    arguments = [
        *(contender.interpreter, "-m", contender.module),
        *("--case", case.name),
        *("--concurrency", str(concurrency)),
        *("--seconds", str(duration(case, seconds))),
        *("--output", str(output)),
        *("--loop", contender.loop),
        *("--variant", contender.variant),
        *("--cores", own),
    ]
    if case.tool == "stdio":
        arguments += ["--command", json.dumps(command(case, others))]
    if server is not None:
        arguments += ["--url", server.url, "--server", str(server.pid)]
    if model is not None:
        arguments += ["--model", model.url, "--model-pid", str(model.pid)]
    if case.profile:
        arguments += ["--quantiles", json.dumps(recorded(case))]
    if gc:
        arguments += ["--gc", json.dumps(gc)]
    if memory:
        arguments.append("--memory")
    if profile is not None:
        arguments += ["--profile", str(profile)]
    patience = PATIENCE + 4 * duration(case, seconds) + 2 * case.latency
    place = {
        "case": case.name,
        "concurrency": concurrency,
        "contender": contender.name,
        "round": round_,
    }
    answer = _ask(arguments, patience)
    if isinstance(answer, str):
        return msgspec.convert(place | {"type": "sample", "error": answer}, Sample)
    return msgspec.convert(answer | place | {"type": "sample"}, Sample)


def duration(case: Case, seconds: float) -> float:
    """Seconds for which new rollouts begin: long enough for two waves of slow ones.

    Rollouts that mostly wait go in step, in waves of `concurrency`. The clock stops when the last
    wave has come in, so the figure is of whole waves.
    """
    return max(seconds, 1.5 * case.latency)


def _ask(arguments: Sequence[str], patience: float) -> dict[str, Any] | str:
    """The JSON line that a contender prints, or what is wrong with it.

    Its output goes to files: a server that outlives it would keep a pipe open, and us waiting.
    """
    path = (str(ROOT), os.environ.get("PYTHONPATH"))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
        )
        try:
            code: int | None = process.wait(patience)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.returncode is None:
                _kill_tree(process)
        if code is None:
            return f"no result within {patience:.0f} s: {_tail(err)}"
        if code != 0:
            return f"exit code {code}: {_tail(err)}"
        out.seek(0)
        try:
            answer = json.loads(out.read())
        except ValueError as error:
            return f"what it printed is no JSON: {error}"
        return answer if isinstance(answer, dict) else "what it printed is no JSON object"


def _kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """With the servers below it, which may lead groups of their own."""
    for pid in [*procstat.descendants(process.pid), process.pid]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _tail(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
    return file.read().decode(errors="replace").strip()


def cells(plan: Plan, samples: Sequence[Sample]) -> list[Cell]:
    """Samples of each point drawn together, in the order of the plan."""
    by_point: dict[tuple[str, int, str], list[Sample]] = {}
    for sample in samples:
        point = (sample.case, sample.concurrency, sample.contender)
        by_point.setdefault(point, []).append(sample)
    order = [
        (case, concurrency, contender.name)
        for case in plan.cases
        for concurrency in plan.concurrency
        for contender in plan.contenders
    ]
    return [
        _cell(case, concurrency, contender, by_point[case.name, concurrency, contender])
        for case, concurrency, contender in order
        if (case.name, concurrency, contender) in by_point
    ]


def _cell(case: Case, concurrency: int, contender: str, samples: Sequence[Sample]) -> Cell:
    good = [sample for sample in samples if sample.error is None]
    errors = [sample.error for sample in samples if sample.error is not None]
    by_name: dict[str, list[float]] = {}
    for sample in good:
        for name, value in figures(case, sample).items():
            by_name.setdefault(name, []).append(value)
    return Cell(
        case.name,
        concurrency,
        contender,
        len(samples),
        errors[-1] if errors else None,
        {name: Spread.of(values) for name, values in by_name.items()},
        good[-1].versions if good else {},
    )


def figures(case: Case, sample: Sample) -> dict[str, float]:
    """What a sample says. Rates in rollouts a second, times in ms of CPU a rollout, memory in
    bytes.
    """
    found: dict[str, float] = {"peak_rss": sample.peak_rss}
    if sample.suspended_rss:
        held = max(0, sample.suspended_rss - sample.idle_rss)
        found["held"] = held / sample.concurrency
        if sample.own_messages:
            found["above_messages"] = found["held"] - sample.own_messages / sample.concurrency
        found["line"] = sample.bytes / sample.rollouts
        found["idle_rss"] = sample.idle_rss
        return found
    rate = sample.rollouts / sample.wall
    found |= {
        "rate": rate,
        "cpu_ms": 1000 * sample.cpu / sample.rollouts,
        "server_cpu_ms": 1000 * sample.server_cpu / sample.rollouts,
        "core": sample.cpu / sample.wall,
        "line": sample.bytes / sample.rollouts,
    }
    for name in ("first_ms", "added_p50_ms", "added_p99_ms"):
        value = getattr(sample, name)
        if value is not None:
            found[name] = value
    if sample.waited is not None:
        found["efficiency"] = sample.waited
        found["ideal"] = rate / sample.waited
    ideal = case.ideal(sample.concurrency)
    if ideal is not None:
        found["ideal"] = ideal
        found["efficiency"] = rate / ideal
    return found
