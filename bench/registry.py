"""Who takes part. A contender is a module of `bench.contenders`; see `bench.child` for its side."""

import sys

from msgspec import Struct

from bench import environments
from bench.cases import Case


class Contender(Struct, frozen=True):
    name: str
    module: str
    summary: str
    tools: tuple[str, ...] = ("python", "stdio", "http")
    """Kinds of tools that it can call."""
    models: tuple[str, ...] = ("python", "http")
    loop: str = "uvloop"
    delegates: bool = True
    isolates: bool = False
    """Whether it is written for a session of its own for each rollout."""
    variant: str = ""
    """Passed on to the module."""
    environment: str = ""
    """Of its own; empty: the one that runs the harness."""
    requirements: tuple[str, ...] = ()
    """What that environment is made of."""

    @property
    def interpreter(self) -> str:
        if self.environment:
            return str(environments.python_of(self.environment))
        return sys.executable

    @property
    def ready(self) -> bool:
        """Whether its environment is there."""
        return not self.environment or environments.installed(self.environment)

    def can(self, case: Case) -> bool:
        return (
            case.tool in self.tools
            and case.model in self.models
            and (self.delegates or not case.delegates)
            and (self.isolates or not case.isolated)
            and not (self.environment and (case.depth or case.width))
        )


def _nexau(name: str, summary: str, **more: object) -> Contender:
    return Contender(name, "bench.contenders.runtime", summary, **more)  # type: ignore[arg-type]


def _peer(name: str, summary: str, *requirements: str, **more: object) -> Contender:
    module = f"bench.contenders.{name.replace('-', '_')}"
    return Contender(name, module, summary, environment=name, requirements=requirements, **more)  # type: ignore[arg-type]


PYTHON = ("python",)
OWN = (
    _nexau("nexau", "this runtime, on asyncio with uvloop", isolates=True),
    _nexau("nexau-trio", "this runtime, on trio", loop="trio", isolates=True),
    _nexau("nexau-journal", "this runtime, with a run directory", variant="journal"),
    _nexau("nexau-events", "this runtime, with a file of all events", variant="events"),
    _nexau("nexau-streamed", "this runtime, the model streamed", variant="streamed"),
    _nexau(
        "nexau-unchecked",
        "this runtime, arguments not validated",
        variant="unchecked",
        models=PYTHON,
    ),
    _nexau(
        "nexau-direct",
        "this runtime, model and tool as bare calls",
        variant="direct",
        tools=PYTHON,
        models=PYTHON,
        delegates=False,
    ),
    Contender(
        "by-hand",
        "bench.contenders.by_hand",
        "the loop by hand, no runtime, raw sockets to the model",
        isolates=True,
    ),
    Contender(
        "by-hand-sdk",
        "bench.contenders.by_hand_sdk",
        "the loop by hand, with the official MCP client",
        tools=("stdio", "http"),
        models=PYTHON,
        delegates=False,
    ),
    Contender(
        "by-hand-aiohttp",
        "bench.contenders.by_hand_aiohttp",
        "the loop by hand, aiohttp to the model",
        tools=PYTHON,
        models=("http",),
        delegates=False,
    ),
)
PEERS = (
    _peer(
        "by-hand-openai",
        "the loop by hand, the openai SDK to the model",
        "openai==3.51.0",
        tools=PYTHON,
        models=("http",),
        delegates=False,
    ),
    _peer("agno", "agno", "agno==3.1.10", "openai", "mcp", "fastmcp>=4,<5"),
    _peer("verifiers", "verifiers", "verifiers==0.1.14", tools=PYTHON, delegates=False),
    _peer(
        "autogen",
        "autogen-agentchat",
        "autogen-agentchat==0.7.5",
        "autogen-ext[openai]==0.7.5",
        "mcp<2",
    ),
    _peer(
        "langgraph",
        "langchain create_agent, on langgraph",
        "langchain==1.5.0",
        "langchain-openai",
        "langchain-mcp-adapters",
    ),
    _peer("openai-agents", "openai-agents", "openai-agents==0.24.0"),
    _peer("pydantic-ai", "pydantic-ai", "pydantic-ai-slim[openai,mcp]==2.68.0"),
    _peer(
        "inspect",
        "inspect_ai, in evaluations",
        "inspect-ai==0.3.285",
        "openai",
        "mcp",
        loop="asyncio",
        delegates=False,
    ),
)
CONTENDERS = {contender.name: contender for contender in (*OWN, *PEERS)}
DEFAULT = ("nexau", "by-hand", "by-hand-sdk")
