"""How many tries become tasks, what refuses the others, and what a task costs.

    python -m bench.tasks examples/worlds/*.yaml --n 100

A line for each world, then the reasons of all. CPU time of this process (making, and playing plans
as a client) and of the served worlds, start included.
"""

import argparse
import resource
import time
from collections import Counter
from pathlib import Path

import anyio

from nexau.synth.tasks.crew import CHUNK
from nexau.synth.tasks.generate import Settings
from nexau.synth.tasks.stands import stands_of
from nexau.synth.tasks.workshop import Work, open_workshop
from nexau.synth.tasks.writing import Report, Writer


async def measure(files: list[Path], count: int, settings: Settings) -> tuple[Report, float]:
    """The report of `count` tasks, and the CPU seconds of this process."""
    writer = Writer(None, lambda _: None)
    work = Work(tuple(stands_of(files, None)), settings, ".")
    async with open_workshop(work) as workshop:
        began, start = time.process_time(), 0
        while writer.report.accepted < count and start < 4 * count:
            for made in await workshop.make(start, start + CHUNK):
                if writer.report.accepted < count:
                    writer.take(made)
            start += CHUNK
        return writer.report, time.process_time() - began


def tell(name: str, report: Report, own: float, servers: float) -> None:
    tasks = max(1, report.accepted)
    variants = report.deletions + report.perturbations
    print(
        f"| {name} | {report.accepted} | {report.tries} | {report.rate:.0%} | {report.mean_steps} "
        f"| {variants} | {report.equivalent} | {1000 * own / tasks:.1f} "
        f"| {1000 * servers / tasks:.1f} |",
        flush=True,
    )


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("worlds", nargs="+", type=Path)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--fusion", type=int, default=1)
    parser.add_argument("--together", action="store_true", help="all worlds as one desk")
    given = parser.parse_args()
    settings = Settings(given.seed, given.fusion)
    groups = [given.worlds] if given.together else [[file] for file in given.worlds]
    print(
        "| world | tasks | tries | accepted | calls | variants | equivalent | own ms | servers ms |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    reasons: Counter[str] = Counter()
    for files in groups:
        before = children()
        report, own = anyio.run(measure, files, given.n, settings, backend_options=_LOOP)
        tell(" + ".join(file.stem for file in files), report, own, children() - before)
        reasons.update(report.refused)
    print()
    for reason, count in reasons.most_common():
        print(f"{count:8,}  {reason}")


_LOOP = {"use_uvloop": True}

if __name__ == "__main__":
    main()
