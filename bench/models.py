"""What does a model over HTTP cost, and how near to the ideal does a slow one get?

python -m bench.models --contenders nexau,by-hand,peers
"""

import sys
from collections.abc import Sequence

from bench.command import answer, parser

QUESTION = "What does a model over HTTP cost?"

ABOUT = """\
`bench.fake_model` answers in a process of its own; the tool is in-process. `deciding`: turns of 1 s
over HTTP, tools of 20 ms."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(
        "models",
        ABOUT,
        cases=("model-http", "deciding"),
        concurrency=(64, 1024),
        contenders=("nexau", "nexau-streamed", "by-hand", "by-hand-aiohttp"),
    )
    return answer(QUESTION, options.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
