"""What does delegation cost, by depth and by width?

python -m bench.delegation --concurrency 64
"""

import sys
from collections.abc import Sequence

from bench.command import answer, parser

QUESTION = "What does delegation cost?"

ABOUT = """\
A parent with two sub-agents that it asks one after the other: 9 model turns, 6 calls of which 2 go
to the sub-agents. `depth-N`: a chain of N sub-agents, the last of which calls the tool. `width-N`:
N sub-agents at once, each of which calls the tool. In-process, one JSON line for each rollout. The
loop by hand does it with a function that calls itself."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(
        "delegation",
        ABOUT,
        cases=(
            "delegation",
            "depth-1",
            "depth-2",
            "depth-3",
            "depth-4",
            "depth-5",
            "width-1",
            "width-2",
            "width-4",
            "width-8",
            "width-16",
        ),
        concurrency=(1, 64, 1024),
        contenders=("nexau", "by-hand"),
    )
    return answer(QUESTION, options.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
