"""Where does the time go? A flame graph of one contender, as a small SVG.

    python -m bench.flame --case in-process --concurrency 64 --out flame.svg

py-spy (the extra `nexau[bench]`) samples the contender's process from outside, 500 times a second;
frames that hold less than `--least` of the samples are left out.
"""

import argparse
import html
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import harness
from bench.cases import CASES, Case
from bench.registry import CONTENDERS, Contender

WARM_UP = 4.0
"""Seconds that a contender has to get going."""
WIDTH, ROW = 1200, 17
COLOURS = {
    "nexau/actors": "#f4a582",
    "nexau/transports": "#92c5de",
    "nexau/models": "#a6d96a",
    "nexau": "#fddbc7",
    "bench": "#d9d9d9",
}
"""By where a function lives; the first that fits."""
OTHER = "#f7f7f7"


class Node:
    """A frame, with the samples in it and below."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.below: dict[str, Node] = {}


def read(lines: Sequence[str], root: str) -> Node:
    """The tree of py-spy's raw output; frames above the one called `root` are cut off."""
    top = Node("all")
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        starts = [i for i, frame in enumerate(frames) if frame.startswith(root)]
        if not starts:
            continue
        node = top
        node.count += int(count)
        for frame in frames[starts[-1] :]:
            node = node.below.setdefault(frame, Node(frame))
            node.count += int(count)
    return top


def draw(top: Node, title: str, least: float) -> str:
    """As SVG: the root at the bottom, callees above it."""
    boxes = list(_boxes(top, 0.0, 0, top.count, least))
    depth = 1 + max(level for _, _, level, _ in boxes)
    height = (depth + 2) * ROW
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            'font-family="monospace" font-size="11">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="4" y="12">{html.escape(title)}</text>',
    ]
    for left, share, level, node in boxes:
        x, wide = left * WIDTH, share * WIDTH
        y = height - (level + 1) * ROW
        name = html.escape(node.name)
        parts.append(
            f'<g><title>{name}: {100 * share:.1f} %</title><rect x="{x:.1f}" y="{y}" '
            f'width="{max(wide - 0.5, 0.5):.1f}" height="{ROW - 1}" fill="{_colour(node.name)}" '
            'stroke="#888" stroke-width="0.3"/>'
        )
        short = node.name.split(" (")[0]
        room = int(wide / 6.8)
        if room >= 3:
            text = short if len(short) <= room else short[: room - 1] + "\u2026"
            parts.append(f'<text x="{x + 2:.1f}" y="{y + 12}">{html.escape(text)}</text>')
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _boxes(
    node: Node, left: float, level: int, total: int, least: float
) -> Iterator[tuple[float, float, int, Node]]:
    share = node.count / total
    if share < least:
        return
    yield left, share, level, node
    for child in sorted(node.below.values(), key=lambda each: each.name):
        yield from _boxes(child, left, level + 1, total, least)
        left += child.count / total


def _colour(name: str) -> str:
    where = name.partition(" (")[2].replace("transports/", "nexau/transports/")
    where = where.replace("nexau/nexau/", "nexau/").replace("(actors/", "(nexau/actors/")
    return next((colour for part, colour in COLOURS.items() if f"{part}/" in where), OTHER)


class SpyFailed(Exception):
    """The text holds what py-spy said."""


def _sample(
    spy: Path, case: Case, contender: Contender, given: argparse.Namespace, folder: Path
) -> list[str]:
    """py-spy's raw lines, of a contender that has warmed up."""
    raw = folder / "stacks.txt"
    command = [
        *(contender.interpreter, "-m", contender.module, "--case", case.name),
        *("--concurrency", str(given.concurrency), "--seconds", str(given.seconds + WARM_UP + 2)),
        *("--loop", contender.loop, "--variant", contender.variant),
        *("--output", str(folder / "lines.jsonl")),
    ]
    if case.tool == "stdio":
        command += ["--command", json.dumps(harness.command(case, "-"))]
    path = {"PYTHONPATH": str(harness.ROOT)}
    with subprocess.Popen(
        command, cwd=harness.ROOT, env=os.environ | path, stdout=subprocess.DEVNULL
    ) as process:
        try:
            time.sleep(WARM_UP)
            options = ["--rate", "500", "--format", "raw", "--function"]
            length = ["--duration", str(round(given.seconds)), "--output", str(raw)]
            pid = ["--pid", str(process.pid)]
            done = subprocess.run(
                [str(spy), "record", *options, *length, *pid],
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            process.kill()
    if done.returncode or not raw.exists():
        raise SpyFailed(done.stderr.strip()[-1000:])
    return raw.read_text().splitlines()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.flame",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--case", choices=CASES, default="in-process")
    parser.add_argument("--contender", choices=CONTENDERS, default="nexau")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--least", type=float, default=0.004, help="share of the samples")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.svg")
    given = parser.parse_args(argv)
    case, contender = CASES[given.case], CONTENDERS[given.contender]
    if case.tool == "http" or case.model == "http":
        parser.error("cases with a server of their own are not drawn yet")
    spy = Path(sys.executable).with_name("py-spy")
    if not spy.exists():
        print("error: py-spy is missing: pip install 'nexau[bench]'", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="nexau-bench-") as name:
        try:
            lines = _sample(spy, case, contender, given, Path(name))
        except SpyFailed as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    top = read(lines, "Slot._work" if contender.module.endswith("runtime") else "Loop.run")
    title = f"{contender.name}, {case.name} @ {given.concurrency}: {top.count:,} samples"
    given.out.write_text(draw(top, title, given.least))
    print(f"{given.out}: {title}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
