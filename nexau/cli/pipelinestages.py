"""The stages of `nexau pipeline`: commands of this program, each done once, and what they gave."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import fsum, isfinite
from pathlib import Path
from typing import Any, BinaryIO, Self, get_args

import msgspec
from msgspec import Struct

from nexau.cli.exits import INTERRUPTED, say
from nexau.definitions.agentfile import load_agent
from nexau.definitions.values import Style, Task
from nexau.files.nearest import hint
from nexau.journal.directory import LOCK, MANIFEST
from nexau.journal.files import DiskFiles, Locked
from nexau.journal.segments import TRAJECTORIES
from nexau.synth.data.formats.registry import FORMATS, ROLLOUT_FORMATS
from nexau.synth.tasks.assign import Assigner, Unassignable
from nexau.synth.worlds.reader import load_world
from nexau.transports.warden import WARDEN

STAGES = "stages.jsonl"
PLAN = "pipeline.json"
LOCK_SECONDS = 10.0
"""How long a stage of a pipeline that was killed is waited for."""
STYLES: tuple[str, ...] = get_args(Style)


class _Ended(Struct, frozen=True, gc=False):
    """What the funnel takes of a trajectory."""

    type: str = ""
    final: bool = True
    reward: float | None = None


_endings = msgspec.json.Decoder(_Ended)


class StageFailed(Exception):
    """A command of the pipeline failed; the text says which, and where its words are."""


class Interrupted(Exception):
    """Ctrl-C reached a stage."""


class Plan(Struct, frozen=True):
    """What was asked for; kept beside the results, and held to."""

    spec: str
    worlds: int
    agents: int
    tasks: int
    keep: int
    seed: int
    concurrency: int
    mix: dict[str, float]
    formats: list[str]

    @classmethod
    def read(
        cls,
        spec: str,
        worlds: int,
        agents: int,
        tasks: int,
        keep: int,
        seed: int,
        concurrency: int,
        mix: str,
        formats: str,
    ) -> Self:
        """Raises ValueError for styles and formats that there are not, and for no specification."""
        if not spec.strip():
            raise ValueError("SPEC is empty: say in a sentence what it is all for")
        wanted = [name.strip() for name in formats.split(",") if name.strip()]
        for name in wanted:
            known = [*FORMATS, *ROLLOUT_FORMATS]
            if name not in known:
                raise ValueError(f"--formats: no format {name!r}{hint(name, known, 'formats')}")
        return cls(spec, worlds, agents, tasks, keep, seed, concurrency, _mix(mix), wanted)


class Pipeline:
    """One folder, and the stages that fill it."""

    def __init__(self, plan: Plan, out: Path) -> None:
        """Raises ValueError where the folder is none, or holds a pipeline that was asked for
        otherwise."""
        self._plan = plan
        self._out = out
        try:
            out.mkdir(exist_ok=True)
        except OSError as error:
            raise ValueError(f"--out: {out}: {error.strerror}") from None
        kept = out / PLAN
        if kept.exists():
            try:
                before = msgspec.json.decode(kept.read_bytes(), type=Plan)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"{kept}: not the plan of a pipeline: {error}") from None
            for name in Plan.__struct_fields__:
                if name != "concurrency" and getattr(before, name) != getattr(plan, name):
                    raise ValueError(
                        f"{out} was begun with {name} {getattr(before, name)!r}, not "
                        f"{getattr(plan, name)!r}: give that, or another --out"
                    )
        else:
            kept.write_bytes(msgspec.json.format(msgspec.json.encode(plan)) + b"\n")
        self._lock: int | None = None
        self.done: dict[str, dict[str, Any]] = dict(self._recorded())

    def run(self) -> None:
        """All stages that are not done. Raises `StageFailed` or `Interrupted`, and ValueError where
        another pipeline is at work in the folder.
        """
        with _held(self._out / LOCK) as self._lock:
            self.done = dict(self._recorded())
            self._stages()

    def _stages(self) -> None:
        plan, out = self._plan, self._out
        seed = ["--seed", str(plan.seed)]
        self.stage("worlds", "synth", "worlds", plan.spec, "--n", str(plan.worlds), *seed,
                    "--out", str(out / "worlds"))  # fmt: skip
        worlds = sorted((out / "worlds" / "worlds").glob("*.yaml"))
        for place, world in enumerate(worlds):
            self._over_world(place, world, len(worlds))
        runs = str(out / "runs")
        checked, kept = out / "checked.jsonl", out / "curated.jsonl"
        self.stage("check", "check-data", runs, "--out", str(checked), "--no-progress",
                    into="findings.jsonl")  # fmt: skip
        self.stage("curate", "curate", str(checked), "--keep", str(plan.keep), "--no-check",
                    "--out", str(kept), "--no-progress")  # fmt: skip
        for name in plan.formats:
            target = str(out / f"train.{name}.jsonl")
            self.stage(f"export {name}", "export", str(kept), "--format", name, "--out", target,
                        "--no-progress")  # fmt: skip
        self.stage("measure", "measure", str(checked), "--html", str(out / "report.html"),
                    "--no-progress", into="measure.json")  # fmt: skip

    def _over_world(self, place: int, world: Path, count: int) -> None:
        plan, out = self._plan, self._out
        name = world.stem
        agents = out / "agents" / name
        tasks = out / "tasks" / f"{name}.jsonl"
        for folder in (agents.parent, tasks.parent, out / "plans", out / "runs"):
            folder.mkdir(exist_ok=True)
        seed = ["--seed", str(plan.seed)]
        trees = _share(plan.agents, place, count)
        wanted = _share(plan.tasks, place, count)
        if not trees or not wanted:
            return
        self.stage(f"agents {name}", "synth", "agents", plan.spec, "--tools", str(world),
                    "--n", str(trees), *seed, "--out", str(agents))  # fmt: skip
        self.stage(f"tasks {name}", "synth", "tasks", str(world), "--n", str(wanted), *seed,
                    "--out", str(tasks), fewer=True)  # fmt: skip
        files = sorted((agents / "agents").glob("*.yaml"))
        self._assign(name, world, files, tasks)
        for file in files:
            self._roll_out(name, file)

    def _assign(self, name: str, world: Path, files: list[Path], tasks: Path) -> None:
        """Each task to the next tree that can do it; those that none can do are counted."""
        stage = f"assign {name}"
        if stage in self.done:
            return
        say(f"{stage} ...")
        began = time.perf_counter()
        compiled = load_world(world)
        trees = [Assigner(compiled, load_agent(file)) for file in files]
        dealt: list[list[bytes]] = [[] for _ in files]
        left = 0
        lines = tasks.read_bytes().splitlines() if tasks.exists() else []
        for number, line in enumerate(lines):
            task = msgspec.json.decode(line, type=Task)
            for step in range(len(trees)):
                at = (number + step) % len(trees)
                try:
                    dealt[at].append(msgspec.json.encode(trees[at].assign(task)) + b"\n")
                except Unassignable:
                    continue
                break
            else:
                left += 1
        for tree, file, given in zip(trees, files, dealt, strict=True):
            tree.close()
            if given:
                (self._out / "plans" / f"{name}.{file.stem}.jsonl").write_bytes(b"".join(given))
        self._record(stage, ["synth", "assign"], 0, began, left_out=left)

    def _roll_out(self, name: str, agent: Path) -> None:
        out = self._out
        stem = f"{name}.{agent.stem}"
        assigned = out / "plans" / f"{stem}.jsonl"
        if not assigned.exists():
            return
        # As deep as the file it was made of: its relative paths still hold.
        played = agent.parent.parent / "played" / agent.name
        played.parent.mkdir(exist_ok=True)
        played.write_text(_mixed(agent.read_text("utf-8"), self._plan.mix), "utf-8")
        run = out / "runs" / stem
        begun = (run / MANIFEST).exists()
        if run.exists() and not begun:
            shutil.rmtree(run)  # killed before there was a run
        where = ["--resume" if begun else "--out", str(run)]
        summary = out / "plans" / f"{stem}.summary.json"
        label = f"rollout {name} {agent.stem}"
        self.stage(label, "rollout", str(played), str(assigned), *where, "--check", "--signals",
                   "--concurrency", str(self._plan.concurrency), "--no-progress",
                    "--summary", str(summary), into="", fewer=True)  # fmt: skip

    def stage(self, name: str, *command: str, into: str | None = None, fewer: bool = False) -> None:
        """Runs a command unless it is done. `into` is a file for its stdout, empty for none;
        `fewer` lets it end with 1: less came of it than was wanted.
        """
        if name in self.done:
            return
        say(f"{name} ...")
        began = time.perf_counter()
        program = [sys.executable, "-m", "nexau.cli.main", *command]
        log = self._out / "logs"
        log.mkdir(exist_ok=True)
        errors = log / f"{name.replace(' ', '.')}.txt"
        target = self._out / into if into else Path("/dev/null")
        with errors.open("wb") as stderr, target.open("wb") as stdout:
            code = _run(program, stdout, stderr, self._lock)
        if code == INTERRUPTED:
            raise Interrupted
        if code and not (fewer and code == 1):
            last = errors.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise StageFailed(f"{name}: exit code {code}: {' '.join(last)} (all of it: {errors})")
        self._record(name, command, code, began)

    def _record(
        self, name: str, command: Sequence[str], code: int, began: float, **more: Any
    ) -> None:
        record = {
            "stage": name,
            "command": ["nexau", *command],
            "code": code,
            "seconds": round(time.perf_counter() - began, 2),
            **more,
        }
        file = self._out / STAGES
        torn = file.exists() and not file.read_bytes().endswith(b"\n")
        with file.open("ab") as lines:
            lines.write((b"\n" if torn else b"") + msgspec.json.encode(record) + b"\n")
        self.done[name] = record

    def _recorded(self) -> Iterator[tuple[str, dict[str, Any]]]:
        file = self._out / STAGES
        if not file.exists():
            return
        for line in file.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # torn by a kill: that stage is done again
            yield record["stage"], record

    def tell(self) -> None:
        """The funnel, on stderr and as `funnel.json`."""
        found = self.funnel()
        (self._out / "funnel.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(found)) + b"\n"
        )
        for name, value in found.items():
            say(f"{name:>22}  {value:,}" if isinstance(value, int) else f"{name:>22}  {value}")

    def funnel(self) -> dict[str, Any]:
        """How much there was at each step."""
        out = self._out
        reports = [_json(file) for file in sorted((out / "tasks").glob("*.report.json"))]
        # Not from the summaries: one that was gone on with tells of its last part.
        rewards = [each.reward for each in self._ended()]
        scored = [each for each in rewards if each is not None]
        return {
            "worlds": len(list((out / "worlds" / "worlds").glob("*.yaml"))),
            "hierarchies": len(list((out / "agents").glob("*/agents/*.yaml"))),
            "tasks tried": sum(each["tries"] for each in reports),
            "tasks accepted": sum(each["accepted"] for each in reports),
            "tasks assigned": sum(map(_lines, (out / "plans").glob("*.jsonl"))),
            "rollouts": len(rewards),
            "rollouts scored": len(scored),
            "mean reward": round(fsum(scored) / len(scored), 4) if scored else 0.0,
            "checked": _lines(out / "checked.jsonl"),
            "curated": _lines(out / "curated.jsonl"),
            **{f"exported {n}": _lines(out / f"train.{n}.jsonl") for n in self._plan.formats},
            "seconds": round(sum(each["seconds"] for each in self.done.values()), 1),
        }

    def _ended(self) -> Iterator[_Ended]:
        """The rollouts of all runs, by their final attempts."""
        for file in sorted((self._out / "runs").glob(f"*/{TRAJECTORIES}/*.jsonl")):
            with file.open("rb") as lines:
                for line in lines:
                    each = _endings.decode(line)
                    if each.type == "trajectory" and each.final:
                        yield each


@contextmanager
def _held(path: Path) -> Iterator[int]:
    """A lock that stages hold as well: one that outlives its killed pipeline for a moment must not
    write beside the next. Raises ValueError.
    """
    files, ends = DiskFiles(), time.monotonic() + LOCK_SECONDS
    while True:
        try:
            handle = files.lock(path)
            break
        except Locked as error:
            if time.monotonic() >= ends:
                raise ValueError(f"--out: {path.parent} is {error.strerror}") from None
            time.sleep(0.05)
    try:
        yield handle
    finally:
        files.close(handle)


def _run(program: Sequence[str], stdout: BinaryIO, stderr: BinaryIO, lock: int | None) -> int:
    """Its exit code. Raises `Interrupted`, once it has ended. It does not outlive this process."""
    WARDEN.start()
    environment = {**os.environ, **WARDEN.environment}
    held = () if lock is None else (lock,)
    process = subprocess.Popen(
        program, stdout=stdout, stderr=stderr, env=environment, pass_fds=held
    )
    interrupted = False
    try:
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                # Ctrl-C reached it as well: it ends what it has begun, the second time at once.
                interrupted = True
    finally:
        process.kill()
        process.wait()
        WARDEN.rest()
    if interrupted:
        raise Interrupted
    return process.returncode


def _mix(text: str) -> dict[str, float]:
    made: dict[str, float] = {}
    for part in text.split(","):
        name, equals, weight = part.strip().partition("=")
        if name not in STYLES:
            raise ValueError(f"--mix: no style {name!r}{hint(name, STYLES, 'styles')}")
        try:
            made[name] = float(weight) if equals else 1.0
        except ValueError:
            raise ValueError(f"--mix: {name} wants a weight, not {weight!r}") from None
        if not (isfinite(made[name]) and made[name] >= 0):
            raise ValueError(f"--mix: {name} wants a weight of 0 or more, not {weight}")
    if not any(made.values()):
        raise ValueError("--mix: every weight is 0, so there is nothing to play")
    return made


def _share(total: int, place: int, count: int) -> int:
    """What falls to the one at `place` of `count` when `total` is dealt out."""
    return total // count + (place < total % count)


def _mixed(text: str, mix: dict[str, float]) -> str:
    """The agent file with its root's `model: plan` played in a mix of styles."""
    inside = ", ".join(f"{name}: {weight}" for name, weight in mix.items())
    lines = text.splitlines(keepends=True)
    for index, line in enumerate(lines):
        if line.rstrip() == "model: plan":
            lines[index] = f"model: {{kind: plan, mix: {{{inside}}}}}\n"
            return "".join(lines)
    return text


def _json(file: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(file.read_bytes())
    return made


def _lines(file: Path) -> int:
    if not file.exists():
        return 0
    with file.open("rb") as lines:
        return sum(1 for _ in lines)
