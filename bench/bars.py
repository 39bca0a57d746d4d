"""How do the contenders of some reports compare, as one small picture?

    python -m bench.bars in-process.jsonl model-http.jsonl --out contenders.png

CPU milliseconds a rollout, one panel for each case and concurrency, the scale logarithmic. Reads
the samples, so a report that was broken off will do.
"""

import argparse
import importlib
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def read(paths: Sequence[Path]) -> dict[tuple[str, int], dict[str, list[dict[str, Any]]]]:
    """Good samples by case and concurrency, then by contender."""
    found: dict[tuple[str, int], dict[str, list[dict[str, Any]]]] = {}
    for path in paths:
        for line in path.read_bytes().splitlines():
            value = json.loads(line)
            if value.get("type") == "sample" and not value.get("error") and value.get("wall"):
                place = (value["case"], value["concurrency"])
                found.setdefault(place, {}).setdefault(value["contender"], []).append(value)
    return found


def median(samples: Sequence[dict[str, Any]], figure: str) -> float:
    """`cpu_ms` or `rate`, over the rounds."""
    if figure == "rate":
        return statistics.median(each["rollouts"] / each["wall"] for each in samples)
    return statistics.median(1000 * each["cpu"] / each["rollouts"] for each in samples)


def rows(contenders: dict[str, list[dict[str, Any]]]) -> list[tuple[str, float, float]]:
    """Name, CPU ms, rollouts a second; the cheapest first."""
    made = [
        (name, median(each, "cpu_ms"), median(each, "rate")) for name, each in contenders.items()
    ]
    return sorted(made, key=lambda row: row[1])


def draw(found: dict[tuple[str, int], dict[str, list[dict[str, Any]]]], out: Path) -> None:
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    most = max(map(len, found.values()))
    figure, panels = pyplot.subplots(
        1,
        len(found),
        figsize=(4.2 * len(found), 0.5 + 0.27 * most),
        squeeze=False,
        layout="constrained",
    )
    for panel, (place, contenders) in zip(panels.flat, found.items(), strict=True):
        listed = rows(contenders)[::-1]
        names = [name for name, _, _ in listed]
        values = [cpu for _, cpu, _ in listed]
        colours = ["#2166ac" if name.startswith("nexau") else "#b0b0b0" for name in names]
        panel.barh(names, values, color=colours)
        for index, value in enumerate(values):
            panel.text(value * 1.08, index, f"{value:.2g}", va="center", fontsize=7)
        panel.set_xscale("log")
        panel.set_xlim(right=max(values) * 3)
        panel.set_title(f"{place[0]}, {place[1]:,} at once", fontsize=9)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("CPU ms a rollout (5 model turns, 4 tool calls)", fontsize=8)
    figure.savefig(out, dpi=110)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.bars",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, metavar="FILE", help="PNG or SVG")
    given = parser.parse_args(argv)
    found = read(given.reports)
    for (case, concurrency), contenders in found.items():
        for name, cpu, rate in rows(contenders):
            line = {"case": case, "concurrency": concurrency, "contender": name}
            print(json.dumps({**line, "cpu_ms": round(cpu, 4), "rate": round(rate, 1)}))
    if given.out is not None:
        draw(found, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
