"""How many trajectories a second a core checks, exports, curates and measures, and in what memory?

python -m bench.data                             20 steps each, every stage in a process of its own
python -m bench.data --count 1000,10000          memory that does not grow with the count
python -m bench.data --stages check,export:openai
python -m bench.data --source rollouts.jsonl --count 10000,1000000    real ones, over and over

One JSON line a stage: CPU seconds (user and system, of the pass alone), trajectories a second of
CPU, and the peak memory of the process. `decode` is the floor: lines to typed trajectories, and
nothing else. `export:NAME` reads every record back, `write:NAME` does not.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from nexau.models.base import SystemMessage, ToolCall, UserMessage
from nexau.synth.data.checks.rules import Checker
from nexau.synth.data.convert import Options
from nexau.synth.data.curate import Curator, Wanted
from nexau.synth.data.export import Exporter
from nexau.synth.data.formats.registry import format_of
from nexau.synth.data.measure import Meter
from nexau.synth.data.stream import trajectories
from nexau.trajectory import AgentRecord, CallResult, Served, Step, Trajectory
from nexau.transports.protocol import Text, ToolSpec, Usage
from nexau.tuning import tune_gc

STAGES = (
    "decode", "check", "export:openai", "write:openai", "export:anthropic", "export:hermes",
    "write:hermes", "export:qwen3-coder", "export:atif", "write:atif", "curate", "measure",
)  # fmt: skip
ENV = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""As the commands have it: threads that wait for each other cost more than they bring."""
TOOLS = [
    ToolSpec(
        name,
        f"{name.replace('_', ' ').capitalize()} of the shop, by its id.",
        {
            "type": "object",
            "properties": {
                "record_id": {"type": "string", "pattern": r"^R-\d+$", "description": "As R-1042"},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
                "note": {"type": "string"},
            },
            "required": ["record_id"],
            "additionalProperties": False,
        },
        {"readOnlyHint": name.startswith("get")},
    )
    for name in ("get_order", "get_customer", "get_ticket", "get_refund", "update_order",
                 "close_ticket", "issue_refund", "open_return")
]  # fmt: skip
RECORDS = (
    AgentRecord(
        "clerk",
        "plan",
        msgspec.Raw(msgspec.json.encode(TOOLS)),
        {tool.name: Served("shop", "live", "shop 1") for tool in TOOLS},
    ),
)


def made(number: int, steps: int) -> Trajectory:
    """Each call names a record that the result before has named."""
    rng = random.Random(number)
    name = f"t{number}/0"
    record = f"R-{rng.randint(1000, 99_999)}"
    asked = f"Please settle case {record} of {rng.choice(['Ada', 'Bo', 'Cy'])}, number {number}."
    prompt: tuple[Any, ...] = (SystemMessage("You run a shop. Look before you change."),
                               UserMessage(asked))  # fmt: skip
    listed: list[Step] = []
    for index in range(steps - 1):
        following = f"R-{rng.randint(1000, 99_999)}"
        value = {
            "id": record,
            "next": following,
            "status": rng.choice(["open", "paid", "late"]),
            "amount": rng.randint(100, 99_999),
            "city": "Lyon",
            "street": "12 Park Row",
        }
        call = ToolCall(f"c{index}", rng.choice(TOOLS).name, {"record_id": record, "limit": 5})
        text = msgspec.json.encode(value).decode()
        result = CallResult(call.id, (Text(text),), structured=value, seconds=0.02)
        listed.append(
            Step(name, index, "root", index, prompt if not index else (), "", (call,), (result,),
                 finish_reason="tool_calls", model="plan", usage=Usage(500, 30))
        )  # fmt: skip
        record = following
    answer = f"Case settled; the last record is {record}."
    listed.append(Step(name, steps - 1, "root", steps - 1, (), answer, model="plan"))
    return Trajectory("nexau/1", name, f"t{number}", asked, "clerk", "completed", tuple(listed),
                      answer, reward=1.0, agents=RECORDS)  # fmt: skip


def write(file: Path, count: int, steps: int) -> None:
    encode = msgspec.json.Encoder().encode
    with file.open("wb") as lines:
        lines.writelines(encode(made(number, steps)) + b"\n" for number in range(count))


def repeat(file: Path, source: Path, count: int) -> None:
    """Real rollouts over and over, each with an id and a task of its own."""
    decode, encode = msgspec.json.Decoder(dict[str, Any]).decode, msgspec.json.Encoder().encode
    heads: list[tuple[str, bytes]] = []
    for line in source.read_bytes().splitlines():
        whole = decode(line)
        if whole.get("type") == "trajectory":
            rest = {k: v for k, v in whole.items() if k not in ("type", "id", "task")}
            heads.append((whole["task"], encode(rest)[1:] + b"\n"))
    with file.open("wb") as lines:
        for number in range(count):
            task, rest = heads[number % len(heads)]
            names = {"type": "trajectory", "id": f"{task}-{number}/0", "task": f"{task}-{number}"}
            lines.write(encode(names)[:-1] + b"," + rest)


def _decode(file: Path) -> None:
    for _ in trajectories([file]):
        pass


def _check(file: Path) -> None:
    checker = Checker()
    for line in trajectories([file]):
        checker.check(line.trajectory)


def _export(name: str, *, read_back: bool) -> Callable[[Path], None]:
    def run(file: Path) -> None:
        exporter = Exporter(format_of(name), Options(), read_back=read_back)
        for _ in exporter.run(exporter.read([file]), lambda _: None):
            pass
        assert exporter.totals.quarantined < exporter.totals.records

    return run


def _curate(file: Path) -> None:
    curator = Curator(Wanted())
    for line in trajectories([file]):
        curator.look(line, 0)
    curator.choose()


def _measure(file: Path) -> None:
    meter = Meter()
    for line in trajectories([file]):
        meter.add(line.trajectory)
    meter.result()


def stage_of(name: str) -> Callable[[Path], None]:
    kind, _, format_name = name.partition(":")
    if kind in ("export", "write"):
        return _export(format_name, read_back=kind == "export")
    return {"decode": _decode, "check": _check, "curate": _curate, "measure": _measure}[kind]


def measure(name: str, file: Path, count: int) -> dict[str, Any]:
    """In this process."""
    run = stage_of(name)
    tune_gc()
    begun = time.process_time()
    run(file)
    seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "stage": name,
        "trajectories": count,
        "bytes": file.stat().st_size // count,
        "cpu_seconds": round(seconds, 3),
        "per_second": round(count / seconds),
        "peak_mib": round(peak, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", default="2000", help="trajectories; several by commas")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--source", type=Path, help="trajectories to repeat; default: made here")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--rounds", type=int, default=1, help="the best of so many")
    parser.add_argument("--child", nargs=3, metavar=("STAGE", "FILE", "COUNT"),
                        help=argparse.SUPPRESS)  # fmt: skip
    options = parser.parse_args()
    if options.child:
        name, path, count = options.child
        print(json.dumps(measure(name, Path(path), int(count))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for count in map(int, options.count.split(",")):
            file = Path(folder) / f"{count}.jsonl"
            if options.source is None:
                write(file, count, options.steps)
            else:
                repeat(file, options.source, count)
            for name in options.stages.split(","):
                command = (sys.executable, "-m", "bench.data", "--child", name, file, str(count))
                rows = [
                    json.loads(
                        subprocess.run(command, check=True, capture_output=True, env=ENV).stdout
                    )
                    for _ in range(options.rounds)
                ]
                print(json.dumps(min(rows, key=lambda row: row["cpu_seconds"])), flush=True)
            file.unlink()


if __name__ == "__main__":
    main()
