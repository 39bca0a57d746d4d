"""How many defects does each rule of `check-data` find, and how many clean trajectories accuse?

python -m bench.proof                       all worlds of examples/worlds, 60 tasks each
python -m bench.proof --tasks 20 --worlds clinic,library --keep clean.jsonl

Makes tasks for each shipped world, plays their gold plans against the served world by one agent and
by generated trees of agents, and takes those that the task's own check calls right for clean. Then
`nexau check-data --prove` puts every kind of defect into them. Prints the table of docs/data.md;
the rest goes to stderr.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORLDS = ROOT / "examples" / "worlds"
NEWLINE = b"\n"
AGENT = """\
name: clerk
model: plan
system_prompt: You work with the records that your tools show. Look before you change.
mcp_servers:
  world:
    url: "http://127.0.0.1:{{port}}/mcp"
    command: "{{python}}"
    args: [-m, nexau.cli.main, world, serve, {world}, --http, --port, "{{port}}", --no-latency]
    sessions: rollout
    reset: world_reset
tools: [{{mcp: world}}]
"""


def nexau(*arguments: str | Path, fewer: bool = False) -> bytes:
    """Its stdout. `fewer` lets it end with 1: less came of it than was wanted."""
    command = [sys.executable, "-m", "nexau.cli.main", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, check=False)
    if done.returncode and not (fewer and done.returncode == 1):
        raise SystemExit(f"{' '.join(command[2:])}: exit code {done.returncode}")
    return done.stdout


def rollouts(world: Path, folder: Path, options: argparse.Namespace) -> Iterator[bytes]:
    """Gold plans of tasks for a world, played against it, by one agent and by trees of them."""
    agent, made = (folder / f"{world.stem}.{end}" for end in ("yaml", "tasks"))
    agent.write_text(AGENT.format(world=world))
    seed = ("--seed", str(options.seed))
    nexau("synth", "tasks", world, "--n", str(options.tasks), *seed, "--out", made, fewer=True)
    yield nexau("rollout", agent, made, "--check", "--no-progress", fewer=True)
    trees = folder / f"{world.stem}.agents"
    nexau("synth", "agents", f"people who work with the {world.stem}", "--tools", world,
          "--n", str(options.trees), *seed, "--out", trees)  # fmt: skip
    for tree in sorted((trees / "agents").glob("*.yaml")):
        given = folder / f"{world.stem}.{tree.stem}.tasks"
        nexau("synth", "assign", made, tree, "--out", given, fewer=True)
        if given.stat().st_size:
            yield nexau("rollout", tree, given, "--check", "--no-progress", fewer=True)


def clean(lines: bytes) -> list[bytes]:
    """Rollouts that ended well and were right by the check of their task."""
    kept: list[bytes] = []
    for line in lines.splitlines(keepends=True):
        rollout = json.loads(line)
        if rollout["status"] == "completed" and rollout.get("reward") == 1:
            kept.append(line)
    return kept


def row(found: dict[str, Any]) -> str:
    return (
        f"| {found['number']} | `{found['rule']}` | {found['weight']} | {found['ground']} "
        f"| {found['defects']:,} | {found['recall']:.3f} ({found['recall_low']:.3f}) "
        f"| {found['false']} of {found['clean']:,} ({found['false_high']:.4f}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--worlds", default=",".join(p.stem for p in sorted(WORLDS.glob("*.yaml"))))
    parser.add_argument("--tasks", type=int, default=60, help="of each world")
    parser.add_argument("--trees", type=int, default=2, help="of agents, for each world")
    parser.add_argument("--each", type=int, default=600, help="defects for a rule, at most")
    parser.add_argument("--seed", type=int, default=23)
    parser.add_argument("--keep", type=Path, help="write the clean trajectories there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines: list[bytes] = []
        for world in options.worlds.split(","):
            made = b"".join(rollouts(WORLDS / f"{world}.yaml", folder, options))
            found = clean(made)
            print(f"{world}: {len(found)} of {made.count(NEWLINE)} clean", file=sys.stderr)
            lines += found
        whole = options.keep or folder / "clean.jsonl"
        whole.write_bytes(b"".join(lines))
        proof = nexau("check-data", whole, "--prove", "--seed", str(options.seed),
                      "--each", str(options.each), "--no-progress")  # fmt: skip
    print("| | rule | weight | reads | defects | recall (95 % from) | accused (95 % up to) |")
    print("|---|---|---|---|---|---|---|")
    for line in proof.splitlines():
        print(row(json.loads(line)))


if __name__ == "__main__":
    main()
