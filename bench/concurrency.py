"""How do rollouts a second and their CPU time change from 1 to 16,384 at once?

python -m bench.concurrency --plot concurrency.png
"""

import sys
from collections.abc import Sequence

from bench.command import answer, parser

QUESTION = "What does concurrency cost?"

ABOUT = """\
The in-process case, with a tool that answers at once and with one of 20 ms, at concurrencies from
1 to 16,384."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(
        "concurrency",
        ABOUT,
        cases=("in-process", "in-process-20ms"),
        concurrency=(1, 16, 64, 256, 1024, 4096, 16384),
        contenders=("nexau", "by-hand"),
    )
    return answer(QUESTION, options.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
