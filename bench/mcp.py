"""What does a tool call over MCP cost, shared and with a session for each rollout?

python -m bench.mcp --cases 'stdio-lean,http-lean' --contenders nexau,by-hand-sdk,peers
"""

import sys
from collections.abc import Sequence

from bench.command import answer, parser

QUESTION = "What does MCP cost?"

ABOUT = """\
Rollouts of 5 model turns and 4 MCP calls over stdio and HTTP: against a server that costs next to
nothing, against one on the official SDK, and with a session (for stdio, a process) for each
rollout."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(
        "mcp",
        ABOUT,
        cases=("stdio-lean", "http-lean", "stdio", "http", "stdio-isolated", "http-isolated"),
        concurrency=(64,),
    )
    return answer(QUESTION, options.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
