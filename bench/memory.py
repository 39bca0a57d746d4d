"""How much memory does a rollout hold while it waits?

python -m bench.memory --concurrency 1024,4096
"""

import sys
from collections.abc import Sequence

from bench.command import answer, parser

QUESTION = "How much memory does a waiting rollout hold?"

ABOUT = """\
Resident memory while N rollouts all wait in their last tool call, less that of the same process
when it was idle, over N. Before, 64 rollouts have run one by one, so that what is loaded and
cached once is in the idle figure. What a rollout says is about 1 KB here and is included."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parser("memory", ABOUT, cases=("in-process", "delegation"), concurrency=(64, 1024))
    return answer(QUESTION, options.parse_args(argv), memory=True)


if __name__ == "__main__":
    sys.exit(main())
