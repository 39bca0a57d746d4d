"""Who takes part. A contender is a module of `bench.contenders`; see `bench.child` for its side."""

from msgspec import Struct

from bench.cases import Case


class Contender(Struct, frozen=True):
    name: str
    module: str
    summary: str
    tools: tuple[str, ...] = ("python", "stdio", "http")
    """Kinds of tools that it can call."""
    loop: str = "uvloop"
    delegates: bool = True
    python: str | None = None
    """The interpreter of an environment of its own; None: the one that runs the harness."""

    def can(self, case: Case) -> bool:
        return case.tool in self.tools and (self.delegates or not case.delegates)


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("nexau", "bench.contenders.runtime", "this runtime, on asyncio with uvloop"),
        Contender("nexau-trio", "bench.contenders.runtime", "this runtime, on trio", loop="trio"),
        Contender("by-hand", "bench.contenders.by_hand", "the loop by hand, no runtime"),
        Contender(
            "by-hand-sdk",
            "bench.contenders.by_hand_sdk",
            "the loop by hand, with the official MCP client",
            tools=("stdio", "http"),
            delegates=False,
        ),
    )
}
DEFAULT = ("nexau", "by-hand", "by-hand-sdk")
