"""Has anything become slower, or larger, between two reports?

    python -m bench.compare old.jsonl new.jsonl [--tolerance 0.05]

A figure has regressed when its median is worse by more than the tolerance *and* by more than the
two reports' own rounds differ: the ranges from the least to the most round must not overlap. Rates
are compared only with `--rates`, because they depend on what else the machine did; CPU time,
memory and efficiency travel. Exit code 1 when anything has regressed, 2 for reports that have
nothing in common.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.report import console

SMALLER = ("cpu_ms", "peak_rss", "held", "first_ms", "added_p99_ms")
"""Figures of which less is better."""
LARGER = ("efficiency",)
RATES = ("rate",)
Place = tuple[str, int, str]


class Unreadable(Exception):
    """A file that holds no report; the text says which."""


def read(path: Path) -> dict[Place, dict[str, Any]]:
    """The cells of a report, by case, concurrency and contender. Raises `Unreadable`."""
    found: dict[Place, dict[str, Any]] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
            if value["type"] == "cell" and value.get("figures"):
                place = (value["case"], value["concurrency"], value["contender"])
                found[place] = value["figures"]
        except (ValueError, KeyError, TypeError):
            raise Unreadable(f"{path}:{number}: no line of a report") from None
    if not found:
        raise Unreadable(f"{path} holds no cell: it is no report, or its run was broken off")
    return found


def verdict(old: dict[str, float], new: dict[str, float], tolerance: float, *, less: bool) -> str:
    """`worse`, `better` or `same`, of two spreads; `less` where less is better."""
    if not less:
        old, new = _turned(old), _turned(new)
    if new["median"] > old["median"] * (1 + tolerance) and new["least"] > old["most"]:
        return "worse"
    if new["median"] < old["median"] * (1 - tolerance) and new["most"] < old["least"]:
        return "better"
    return "same"


def _turned(spread: dict[str, float]) -> dict[str, float]:
    """Of the reciprocals, of which less is better."""
    least, most = max(spread["least"], 1e-12), max(spread["most"], 1e-12)
    return {"median": 1 / max(spread["median"], 1e-12), "least": 1 / most, "most": 1 / least}


def compared(
    old: dict[Place, dict[str, Any]],
    new: dict[Place, dict[str, Any]],
    tolerance: float,
    names: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """A record for each figure that both reports have."""
    for place in old:
        for name in names:
            before, after = old[place].get(name), new.get(place, {}).get(name)
            if before is None or after is None or not before["median"]:
                continue
            yield {
                "case": place[0],
                "concurrency": place[1],
                "contender": place[2],
                "figure": name,
                "old": before["median"],
                "new": after["median"],
                "ratio": round(after["median"] / before["median"], 4),
                "verdict": verdict(before, after, tolerance, less=name in SMALLER),
            }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.05, help="share (default: 0.05)")
    parser.add_argument("--rates", action="store_true", help="rollouts a second too")
    given = parser.parse_args(argv)
    names = (*SMALLER, *LARGER, *(RATES if given.rates else ()))
    screen = console()
    try:
        rows = list(compared(read(given.old), read(given.new), given.tolerance, names))
    except Unreadable as error:
        screen.print(f"error: {error}", highlight=False, markup=False)
        return 2
    if not rows:
        screen.print("error: the two reports have no figure in common")
        return 2
    for row in rows:
        print(json.dumps(row))
    screen.print(_table(rows))
    return int(any(row["verdict"] == "worse" for row in rows))


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    drawn = Table(title="new / old", title_justify="left")
    for name in ("case", "at once", "contender", "figure", "old", "new", "ratio", ""):
        drawn.add_column(name)
    for row in rows:
        numbers = (f"{row['old']:.4g}", f"{row['new']:.4g}", f"{row['ratio']:.3f}")
        place = (row["case"], f"{row['concurrency']:,}", row["contender"], row["figure"])
        drawn.add_row(*place, *numbers, row["verdict"] if row["verdict"] != "same" else "")
    return drawn


if __name__ == "__main__":
    sys.exit(main())
