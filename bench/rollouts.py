"""How many rollouts a second, at what CPU time, against the same loop written by hand?

python -m bench.rollouts --cases in-process --concurrency 64 --rounds 5
python -m bench.rollouts --cases 'stdio*,http*' --out figures.jsonl --plot figures.svg
python -m bench.rollouts --cases in-process --contenders nexau --profile profiles/
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.command import answer, parser

QUESTION = "How many rollouts a second, and at what cost?"

CASES = (
    "in-process",
    "in-process-20ms",
    "slow-model",
    "stdio",
    "stdio-20ms",
    "stdio-lean",
    "stdio-lean-20ms",
    "http",
    "http-20ms",
    "http-lean",
    "http-lean-20ms",
)
ABOUT = """\
Rollouts of 5 model turns and 4 tool calls, one JSON line for each written to a file, at several
concurrencies. Every measurement is a process of its own, held to one core; servers have the
others. Contenders take turns within each round."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parser("rollouts", ABOUT, cases=CASES, concurrency=(1, 64, 1024))
    options.add_argument(
        "--profile",
        type=Path,
        metavar="FOLDER",
        help="profile each measurement, keep it here, show where the time goes",
    )
    given = options.parse_args(argv)
    profile: Path | None = given.profile
    if profile is not None:
        profile.mkdir(parents=True, exist_ok=True)
        given.rounds = 1
    return answer(QUESTION, given, profile=profile)


if __name__ == "__main__":
    sys.exit(main())
