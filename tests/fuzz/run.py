"""The long form: every reader, more than a million inputs in all. `make fuzz`.

    python -m tests.fuzz.run [--share 1.0] [--seconds 600] [--seed 1] [--guided] [READER...]

Prints a JSON line for each reader and one for the sum; ends with 1 when a reader is at fault, and
leaves the input in the working directory. `--guided` adds atheris, where it is installed
(`requirements/fuzz.lock`): coverage leads it, at a tenth of the speed.
"""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

FAST, SLOW = 70_000, 10_000
SLOW_READERS = frozenset(
    {
        "agent_files",
        "yaml",
        "prompts",
        "replays",
        "scripts",
        "profiles",
        "pins",
        "worlds",
        "catalogs",
        "imports",
        "datasets",
    }
)
GUIDED_SECONDS = 20
_DONE = re.compile(rb"Done (\d+) (?:runs )?in (\d+) second")


def plain(name: str, share: float, seconds: float, seed: int) -> dict[str, Any] | None:
    count = SLOW if name in SLOW_READERS else FAST
    command = [sys.executable, "-m", "tests.fuzz.one", name, str(int(count * share))]
    done = subprocess.run([*command, str(seconds), str(seed)], stdout=subprocess.PIPE)
    if done.returncode:
        return None
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def guided(name: str, seconds: float) -> dict[str, Any] | None:
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.guided",
        name,
        f"-max_total_time={max(1, round(seconds))}",
    ]
    limits = [
        "-max_len=4096",
        "-timeout=20",
        "-rss_limit_mb=3000",
        f"-artifact_prefix=crash-{name}-",
    ]
    done = subprocess.run([*command, *limits], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = _DONE.search(done.stdout)
    if done.returncode or said is None:
        sys.stderr.buffer.write(done.stdout[-4000:])
        return None
    return {"reader": name, "guided": True, "inputs": int(said[1]), "seconds": int(said[2])}


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the readers.")
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs of the long form")
    parser.add_argument("--seconds", type=float, default=600, help="at most, for each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--guided", action="store_true", help="with atheris besides")
    parser.add_argument("readers", nargs="*")
    options = parser.parse_args()
    listed = [sys.executable, "-c", "from tests.fuzz.readers import BY_NAME; print(*BY_NAME)"]
    known = subprocess.run(listed, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    names = options.readers or known
    with_atheris = options.guided and importlib.util.find_spec("atheris") is not None
    with ThreadPoolExecutor(options.workers) as pool:
        jobs = [
            pool.submit(plain, name, options.share, options.seconds, options.seed) for name in names
        ]
        if with_atheris:
            jobs += [pool.submit(guided, name, GUIDED_SECONDS * options.share) for name in names]
        total = faults = 0
        for job in as_completed(jobs):
            result = job.result()
            if result is None:
                faults += 1
                continue
            total += result["inputs"]
            say(result)
    say({"readers": len(names), "inputs": total, "faults": faults})
    return 1 if faults else 0


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
