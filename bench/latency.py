"""How much of a rollout is spent on what was told to take time, and how late is its tail?

python -m bench.latency --cases recorded --concurrency 4096
"""

import sys
from collections.abc import Sequence

from bench.command import answer, parser

QUESTION = "What does waiting cost?"

ABOUT = """\
`recorded`: turns and calls take what a real server took (examples/profiles), scaled to a median of
300 ms. Efficiency is there the share of the time of all slots, while all were in use, that calls
were told to take. `slow-model` and `deciding`: turns of 1 s, tools of 20 ms. Added ms: what a
rollout took beyond the latency of its models and tools, median and 99th percentile."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(
        "latency",
        ABOUT,
        cases=("recorded", "slow-model", "deciding", "in-process-20ms"),
        concurrency=(64, 1024, 4096),
        contenders=("nexau", "by-hand"),
    )
    return answer(QUESTION, options.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
