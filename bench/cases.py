"""The work that is measured, as values that every contender understands. Standard library only:
contenders may run in environments of their own.
"""

from dataclasses import dataclass
from typing import Literal

TOOL_SECONDS = 0.02
MODEL_SECONDS = 1.0


@dataclass(frozen=True)
class Case:
    """One rollout: `turns` model turns, `calls` tool calls, and how long each of them takes."""

    name: str
    summary: str
    turns: int = 5
    calls: int = 4
    model_seconds: float = 0.0
    tool_seconds: float = 0.0
    tool: Literal["python", "stdio", "http"] = "python"
    server: Literal["", "desk", "lean"] = ""
    """desk: `nexau world serve` of the retail world, on the official SDK. lean:
    `bench/lean_server.py`, which costs next to nothing, so that the client can be seen."""
    delegates: bool = False
    """A parent asks two sub-agents, one after the other; each makes two calls."""
    depth: int = 0
    """A chain of so many sub-agents instead, the last of which makes one call."""
    width: int = 0
    """So many sub-agents at once instead, each of which makes one call."""
    least: int = 1
    """Concurrency below which the case tells nothing."""
    model: Literal["python", "http"] = "python"
    """http: `bench.fake_model`, an OpenAI-compatible server in a process of its own."""
    isolated: bool = False
    """A session of its own for each rollout."""
    profile: str = ""
    """FILE:TOOL of a recorded latency (examples/profiles), which turns and calls then take."""
    median: float = 0.0
    """Seconds, to which that latency is scaled; 0: as it was recorded."""

    @property
    def latency(self) -> float:
        """Seconds of one rollout in which nothing but models and tools takes time; of a recorded
        one, about."""
        if self.profile:
            return (self.turns + self.calls) * (self.median or 1.0)
        return self.turns * self.model_seconds + self.calls * self.tool_seconds

    def ideal(self, concurrency: int) -> float | None:
        """Rollouts a second that cost nothing: concurrency / latency; None where latency is 0, or
        drawn from a distribution."""
        return concurrency / self.latency if self.latency and not self.profile else None


def _chain(depth: int) -> Case:
    turns, calls = 2 * (depth + 1), depth + 1
    text = f"a chain of {depth} sub-agents"
    return Case(f"depth-{depth}", text, turns=turns, calls=calls, delegates=True, depth=depth)


def _fan(width: int) -> Case:
    turns, calls = 2 * (width + 1), 2 * width
    text = f"{width} sub-agents at once"
    return Case(f"width-{width}", text, turns=turns, calls=calls, delegates=True, width=width)


def _cases() -> tuple[Case, ...]:
    late = TOOL_SECONDS
    return (
        Case("in-process", "instant model, async function as tool"),
        Case("in-process-20ms", "the same, the tool takes 20 ms", tool_seconds=late),
        Case("stdio", "a served world, a shared session", tool="stdio", server="desk"),
        Case("stdio-20ms", "the same, 20 ms", tool_seconds=late, tool="stdio", server="desk"),
        Case("stdio-lean", "a server that costs nothing", tool="stdio", server="lean"),
        Case(
            "stdio-lean-20ms",
            "the same, 20 ms",
            tool_seconds=late,
            tool="stdio",
            server="lean",
        ),
        Case("http", "a served world, a shared session", tool="http", server="desk"),
        Case("http-20ms", "the same, 20 ms", tool_seconds=late, tool="http", server="desk"),
        Case("http-lean", "a server that costs little", tool="http", server="lean"),
        Case("http-lean-20ms", "the same, 20 ms", tool_seconds=late, tool="http", server="lean"),
        Case(
            "slow-model",
            "in-process, model turns of 1 s, tools of 20 ms",
            model_seconds=MODEL_SECONDS,
            tool_seconds=late,
            least=64,
        ),
        Case("delegation", "a parent and two sub-agents", turns=9, calls=6, delegates=True),
        *(_chain(depth) for depth in range(1, 6)),
        *(_fan(width) for width in (1, 2, 4, 8, 16)),
        Case("model-http", "a model over HTTP, async function as tool", model="http"),
        Case(
            "deciding",
            "a model over HTTP with turns of 1 s, tools of 20 ms",
            model_seconds=MODEL_SECONDS,
            tool_seconds=late,
            model="http",
            least=64,
        ),
        Case(
            "recorded",
            "model turns and calls take what `fetch` took, scaled to a median of 300 ms",
            profile="fetch.profile.yaml:fetch",
            median=0.3,
        ),
        Case(
            "stdio-isolated",
            "a process and a session for each rollout",
            tool="stdio",
            server="lean",
            isolated=True,
        ),
        Case(
            "http-isolated",
            "a session for each rollout",
            tool="http",
            server="lean",
            isolated=True,
        ),
    )


CASES = {case.name: case for case in _cases()}
