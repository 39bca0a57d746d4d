"""Does our client pass the official conformance suite?

    python bench/wire/conformance.py [--requirements 2025-11-25 2026-07-28] [--backend asyncio]
        [--cache DIR] [--jobs 2] [--only NAME ...]

Installs the suite and the Node that it needs from npm into the cache folder, runs every client
scenario that the frozen requirements of each revision name, and exits with 1 if one fails.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
NODE = "node@22"
REVISIONS = ("2025-11-25", "2026-07-28")
CLIENT = Path(__file__).with_name("conformance_client.py")
TIMEOUT = 120
"""Seconds for one scenario."""


def install(cache: Path) -> Path:
    """The folder of commands. Raises CalledProcessError, FileNotFoundError."""
    commands = cache / "node_modules" / ".bin"
    if not (commands / "conformance").exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-save", "--prefix", str(cache), NODE, SUITE]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return commands


def required(cache: Path, revision: str) -> list[str]:
    """The client scenarios that a revision requires."""
    folder = cache / "node_modules" / SUITE.rpartition("@")[0] / "requirements"
    text = (folder / f"{revision}.yaml").read_text()
    section = re.search(r"^client:\n((?:  - .*\n)+)", text, re.MULTILINE)
    assert section is not None
    return re.findall(r"  - (\S+)", section[1])


def run(commands: Path, revision: str, backend: str, scenario: str) -> tuple[bool, str]:
    """Whether the scenario passed, and what the suite printed."""
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [
                str(commands / "conformance"),
                "client",
                *("--command", f"{sys.executable} {CLIENT}"),
                *("--scenario", scenario, "--spec-version", revision, "-o", out),
            ],
            env=os.environ
            | {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "NEXAU_BACKEND": backend},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    return done.returncode == 0, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requirements", nargs="+", default=REVISIONS)
    parser.add_argument("--backend", default="asyncio", choices=("asyncio", "trio"))
    default = os.environ.get("NEXAU_TEST_CACHE") or Path(tempfile.gettempdir()) / "nexau-cache"
    parser.add_argument("--cache", type=Path, default=Path(default))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=())
    args = parser.parse_args()
    cache = args.cache / "conformance"
    commands = install(cache)
    failed = 0
    for revision in args.requirements:
        scenarios = [one for one in required(cache, revision) if not args.only or one in args.only]
        runs = partial(run, commands, revision, args.backend)
        with ThreadPoolExecutor(args.jobs) as pool:
            outcomes = pool.map(runs, scenarios)
            for scenario, (passed, output) in zip(scenarios, outcomes, strict=True):
                print(json.dumps({"revision": revision, "scenario": scenario, "passed": passed}))
                if not passed:
                    failed += 1
                    print(output, file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
