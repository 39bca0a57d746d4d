"""What the command lines of all questions share."""

import argparse
import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench import harness, profiling, report
from bench.cases import CASES
from bench.harness import Cell, Plan, Sample
from bench.registry import CONTENDERS, DEFAULT, PEERS

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


def parser(
    name: str,
    description: str,
    *,
    cases: Sequence[str],
    concurrency: Sequence[int],
    contenders: Sequence[str] = DEFAULT,
) -> argparse.ArgumentParser:
    """Options of a question, with its own cases and points."""
    choice = "\n".join(f"  {case:<18}{CASES[case].summary}" for case in cases)
    rivals = "\n".join(f"  {each.name:<18}{each.summary}" for each in CONTENDERS.values())
    made = argparse.ArgumentParser(
        prog=f"python -m bench.{name}",
        description=description,
        epilog=f"cases:\n{choice}\n\ncontenders:\n{rivals}\n\n{READING}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--cases",
        type=_names(cases),
        default=tuple(cases),
        metavar="A,B",
        help="which; shell patterns work (default: all)",
    )
    made.add_argument(
        "--contenders",
        type=_names(CONTENDERS),
        default=tuple(contenders),
        metavar="A,B",
        help=f"which; peers: all frameworks that are installed (default: {','.join(contenders)})",
    )
    made.add_argument(
        "--concurrency",
        type=_numbers,
        default=tuple(concurrency),
        metavar="N,N",
        help=f"rollouts at once (default: {','.join(map(str, concurrency))})",
    )
    made.add_argument("--rounds", type=_positive(int), default=3, help="default: %(default)s")
    made.add_argument(
        "--seconds",
        type=_positive(float),
        default=2.0,
        help="for which a measurement begins new rollouts (default: %(default)s)",
    )
    made.add_argument(
        "--gc",
        type=_numbers,
        default=(),
        metavar="N,N,N",
        help="thresholds of the garbage collector, after what start-up made is frozen; the command"
        " line of nexau runs with 50000,20,20 (default: CPython's own)",
    )
    made.add_argument("--out", type=Path, metavar="FILE", help="JSON lines, instead of stdout")
    made.add_argument("--plot", type=Path, metavar="FILE", help="PNG or SVG; needs nexau[bench]")
    return made


READING = """\
how to read it:
  CPU ms       user and system time of the contender's process alone, for one rollout
  of a core    its CPU time / wall time, in %; near 100 it is CPU-bound
  efficiency   achieved / ideal, where ideal = concurrency / (latency of models and tools);
               only where they have a latency. CPU-bound cases say so: then the figure tells
               how much CPU a rollout costs, not how well waiting overlaps
  ±            half the distance between the best round and the worst

stdout (or --out) gets JSON lines: one `environment`, a `sample` for each measurement as it is
taken, a `cell` for each row of the table. Progress, table and errors go to stderr."""


def _names(known: Sequence[str] | dict[str, Any]) -> Callable[[str], tuple[str, ...]]:
    def convert(text: str) -> tuple[str, ...]:
        found: list[str] = []
        for name in text.split(","):
            if name == "peers" and known is CONTENDERS:
                found += [each.name for each in PEERS if each.ready and each.name not in found]
                continue
            matching = [each for each in known if fnmatchcase(each, name)]
            if not matching:
                raise argparse.ArgumentTypeError(f"no {name!r}; there are: {', '.join(known)}")
            found += [each for each in matching if each not in found]
        return tuple(found)

    return convert


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(_positive(int)(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not whole numbers: {text!r}") from None


def _positive(kind: Callable[[str], T]) -> Callable[[str], T]:
    def convert(text: str) -> T:
        number = kind(text)
        if not number > 0:  # type: ignore[operator]
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return number

    convert.__name__ = kind.__name__  # argparse names it in its errors
    return convert


def answer(
    question: str, options: argparse.Namespace, *, memory: bool = False, profile: Path | None = None
) -> int:
    """Measures, reports, and says how it went: 0, or 1 when a measurement failed."""
    plan = Plan(
        tuple(CASES[name] for name in options.cases),
        tuple(CONTENDERS[name] for name in options.contenders),
        options.concurrency,
        options.rounds,
        options.seconds,
        memory,
        profile,
        options.gc,
    )
    console = report.console()
    total = len(harness.measurements(plan))
    problem = _problem(plan)
    if problem is not None:
        console.print(f"error: {problem}", highlight=False, markup=False)
        return 2
    shown = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(options).items()
        if value is not None
    }
    samples: list[Sample] = []
    out = options.out.open("wb") if options.out is not None else sys.stdout.buffer
    try:
        _line(out, harness.environment(question, shown))
        for sample in harness.run(plan):
            samples.append(sample)
            _line(out, sample)
            console.print(
                report.progress(sample, len(samples), total), highlight=False, markup=False
            )
        found = harness.cells(plan, samples)
        for cell in found:
            _line(out, cell)
    finally:
        if options.out is not None:
            out.close()
    console.print(report.table(question, found))
    for cell in found:
        if cell.error is not None:
            where = f"{cell.case} @ {cell.concurrency:,} {cell.contender}"
            console.print(f"{where} failed:\n{cell.error}", highlight=False, markup=False)
    if profile is not None:
        for path in sorted(profile.glob("*.pstats")):
            for drawn in profiling.tables(path):
                console.print(drawn)
    return _finish(question, found, options.plot, console)


def _problem(plan: Plan) -> str | None:
    """Why a plan cannot be carried out."""
    missing = " ".join(each.name for each in plan.contenders if not each.ready)
    if missing:
        return f"not installed: {missing}; do: nexau bench peers install {missing}"
    if not harness.measurements(plan):
        return "nothing to measure: no contender can do these cases at these points"
    return None


def _finish(question: str, found: Sequence[Cell], path: Path | None, console: Any) -> int:
    failed = any(cell.error is not None for cell in found)
    if path is not None:
        try:
            report.plot(question, found, path)
            console.print(f"plot: {path}")
        except report.PlotError as error:
            console.print(f"error: {error}")
            failed = True
    return 1 if failed else 0


def _line(out: Any, value: object) -> None:
    out.write(_encode(value) + b"\n")
    out.flush()
