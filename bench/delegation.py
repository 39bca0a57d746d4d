"""What does delegation cost: a parent that asks two sub-agents, each with tools of its own?

python -m bench.delegation --concurrency 64
"""

import sys
from collections.abc import Sequence

from bench.command import answer, parser

QUESTION = "What does delegation cost?"

ABOUT = """\
A parent with two sub-agents that it asks one after the other: 9 model turns, 6 calls of which 2 go
to the sub-agents, in-process, one JSON line for each rollout written to a file. The loop by hand
does it with a function that calls itself."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parser("delegation", ABOUT, cases=("delegation",), concurrency=(1, 64, 1024))
    return answer(QUESTION, options.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
