"""What do supervision, the journal, events and the validation of arguments cost?

python -m bench.costs --rounds 5
"""

import sys
from collections.abc import Sequence

from bench.command import answer, parser

QUESTION = "What does each part cost?"

ABOUT = """\
The same rollouts in-process with one part taken away or added. `nexau-direct`: models and tools as
bare calls, without the actors that supervise them. `nexau-unchecked`: arguments not validated.
`nexau-journal`: with a run directory. `nexau-events`: every event written to a file, besides the
trajectories. Read CPU ms against that of `nexau`."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(
        "costs",
        ABOUT,
        cases=("in-process",),
        concurrency=(64, 1024),
        contenders=("nexau", "nexau-direct", "nexau-unchecked", "nexau-journal", "nexau-events"),
    )
    return answer(QUESTION, options.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
