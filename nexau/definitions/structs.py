"""The shape of an agent file: what may stand in it, before it becomes an `Agent`.

One source for the reader (`nexau.definitions.agentfile`), for `nexau schema agent`
(`nexau.definitions.schemas`) and for the table of keys in docs/agents.md.
"""

from typing import Any

from msgspec import Meta, Struct, field

from nexau.definitions.values import (
    Backoff,
    Endpoint,
    HttpServer,
    Latency,
    OpenAIModel,
    PlanModel,
    Pool,
    Price,
    ReplayModel,
    Resilience,
    ScriptModel,
    SpillConfig,
    StdioServer,
    Supervision,
)
from nexau.transports.caps import Caps
from nexau.transports.confinement import Confinement
from nexau.transports.protocol import Limits

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$"
BINDING_PATTERN = r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*$"


class PromptFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A system prompt in a file of its own."""

    file: str
    """A jinja2 template. May include files of its own directory."""


class McpEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """The tools of one MCP server."""

    mcp: str
    """The server: a name in `mcp_servers` of this agent or of one above it."""
    include: tuple[str, ...] = ("*",)
    """Names, or shell patterns (`*`, `?`, `[a-z]`)."""
    exclude: tuple[str, ...] = ()
    """Names or shell patterns, taken out of what `include` lets in."""
    prefix: str = ""
    """Put before every name."""


class PythonEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A Python function as a tool."""

    python: str
    """`module:function`. A module beside the agent file comes before an installed one."""
    name: str | None = None
    """What the model calls it; without it, the function's own name."""
    description: str | None = None
    """What the model reads; without it, the function's docstring."""
    timeout: float = 60.0
    """Seconds for one call."""


class AgentReference(Struct, frozen=True, forbid_unknown_fields=True):
    """A sub-agent in a file of its own."""

    path: str
    """The agent file, relative to this one."""
    name: str | None = None
    """In place of the name that the file gives."""
    description: str | None = None
    """In place of the description that the file gives."""


class AgentFile(Struct, frozen=True, forbid_unknown_fields=True):
    """An agent: its policy, its prompt, and what it may call."""

    name: str
    """What the agent above calls it, and what trajectories show."""
    description: str = ""
    """What the agent above is told of it."""
    model: str | OpenAIModel | PlanModel | ScriptModel | ReplayModel | None = None
    """The policy. As text: `plan`, `openai:NAME`, `script:FILE` or `replay:FILE`. A sub-agent
    without one has the model of the agent above it."""
    system_prompt: str | PromptFile = ""
    """A jinja2 template, rendered with the task's variables; `task` is the request."""
    tools: tuple[str | McpEntry | PythonEntry, ...] = ()
    """As text: `module:function`."""
    agents: "tuple[str | AgentReference | AgentFile, ...]" = ()
    """Sub-agents, called like tools. As text: the path of an agent file."""
    mcp_servers: dict[str, StdioServer | HttpServer] = {}
    """Servers by name, for this agent and those below it."""
    limits: Limits = Limits()
    """Upper bounds on this agent and all below it."""
    supervision: Supervision = Supervision()
    """How its servers and sub-agents are kept alive."""
    schema: str | None = field(name="$schema", default=None)
    """For editors; not read."""


MARKS = ((McpEntry, "mcp"), (PythonEntry, "python"), (AgentReference, "path"), (HttpServer, "url"),
         (StdioServer, "command"), (PromptFile, "file"))  # fmt: skip
"""Where several mappings are possible, the key that tells which one it is, tried in this order.
A mapping with none of them is an `AgentFile`, where one is possible."""

MODEL_KINDS = ("plan", "openai", "script", "replay")

_NAME = Meta(pattern=NAME_PATTERN, description="a letter or _, then up to 63 of A-Z a-z 0-9 _ -")
_COUNT = Meta(ge=1)
_SHARE = Meta(ge=0, le=1)
_SECONDS = Meta(gt=0)
_NOT_NEGATIVE = Meta(ge=0)
_TEXT = Meta(min_length=1)
_MORE_THAN_NONE = Meta(gt=0)
_URL = Meta(pattern=r"^https?://\S+$", description="an http(s) URL")
_VARIABLE = Meta(
    pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the name of an environment variable"
)

BOUNDS: dict[tuple[type, str], Meta] = {
    (AgentFile, "name"): _NAME,
    (AgentReference, "name"): _NAME,
    (AgentReference, "path"): _TEXT,
    (PythonEntry, "name"): _NAME,
    (PythonEntry, "python"): Meta(pattern=BINDING_PATTERN, description="module:function"),
    (PythonEntry, "timeout"): _SECONDS,
    (McpEntry, "mcp"): _TEXT,
    (McpEntry, "include"): Meta(min_length=1),
    (McpEntry, "prefix"): Meta(
        pattern=r"^([A-Za-z_][A-Za-z0-9_-]{0,31})?$",
        description="a letter or _, then up to 31 of A-Z a-z 0-9 _ -",
    ),
    (AgentFile, "mcp_servers"): _NAME,
    (PromptFile, "file"): _TEXT,
    (ScriptModel, "file"): _TEXT,
    (ScriptModel, "latency"): _NOT_NEGATIVE,
    (ReplayModel, "file"): _TEXT,
    (ReplayModel, "latency"): _NOT_NEGATIVE,
    (PlanModel, "latency"): _NOT_NEGATIVE,
    (PlanModel, "share"): _SHARE,
    (PlanModel, "state"): _NOT_NEGATIVE,
    (OpenAIModel, "name"): _TEXT,
    (OpenAIModel, "in_flight"): _COUNT,
    **{(each, "base_url"): _URL for each in (OpenAIModel, Endpoint)},
    **{(each, "api_key_env"): _VARIABLE for each in (OpenAIModel, Endpoint)},
    **{(each, "requests_per_minute"): _MORE_THAN_NONE for each in (OpenAIModel, Endpoint)},
    **{(each, "tokens_per_minute"): _MORE_THAN_NONE for each in (OpenAIModel, Endpoint)},
    (Endpoint, "weight"): _MORE_THAN_NONE,
    (OpenAIModel, "temperature"): _NOT_NEGATIVE,
    (OpenAIModel, "top_p"): _SHARE,
    (OpenAIModel, "max_tokens"): _COUNT,
    (OpenAIModel, "timeout"): _SECONDS,
    (OpenAIModel, "retries"): _NOT_NEGATIVE,
    (Price, "input"): _NOT_NEGATIVE,
    (Price, "output"): _NOT_NEGATIVE,
    (Price, "cached"): _NOT_NEGATIVE,
    (Limits, "steps"): _COUNT,
    (Limits, "tokens"): _COUNT,
    (Limits, "seconds"): _SECONDS,
    (Limits, "depth"): _NOT_NEGATIVE,
    (Limits, "parallel_calls"): _COUNT,
    (Limits, "cost"): _NOT_NEGATIVE,
    (Supervision, "intensity"): _NOT_NEGATIVE,
    (Supervision, "period"): _SECONDS,
    (Backoff, "min"): _NOT_NEGATIVE,
    (Backoff, "max"): _NOT_NEGATIVE,
    (Backoff, "jitter"): _SHARE,
    (Latency, "profile"): _TEXT,
    (Latency, "tool"): _TEXT,
    (Latency, "scale"): _SECONDS,
    (SpillConfig, "bytes"): _NOT_NEGATIVE,
    (SpillConfig, "directory"): _TEXT,
    (Pool, "min"): _NOT_NEGATIVE,
    (Pool, "max"): _COUNT,
    (Pool, "spares"): _NOT_NEGATIVE,
    (Pool, "uses"): _COUNT,
    (Resilience, "retries"): _NOT_NEGATIVE,
    (Resilience, "hedge"): _SECONDS,
    (Resilience, "breaker"): _COUNT,
    (StdioServer, "command"): _TEXT,
    (HttpServer, "command"): _TEXT,
    (HttpServer, "url"): _TEXT,
    (HttpServer, "reset"): _TEXT,
    (StdioServer, "reset"): _TEXT,
    **{
        (server, key): _SECONDS
        for server in (StdioServer, HttpServer)
        for key in ("health", "timeout", "start_timeout")
    },
    **{
        (server, key): _COUNT
        for server in (StdioServer, HttpServer)
        for key in ("in_flight", "max_result_bytes")
    },
    **{(server, key): _TEXT for server in (StdioServer, HttpServer) for key in ("latency", "pins")},
    **{
        (Confinement, each): _COUNT
        for each in ("memory_bytes", "cpu_seconds", "file_bytes", "open_files")
    },
    **{(Caps, each): _COUNT for each in Caps.__struct_fields__ if each != "any_names"},
}
"""What the values of a field must keep to; for a mapping, what its keys must."""


def bounds(cls: type, name: str) -> Meta | None:
    return BOUNDS.get((cls, name))


def model_from_text(text: str) -> OpenAIModel | PlanModel | ScriptModel | ReplayModel | None:
    """`plan`, `openai:NAME`, `script:FILE` or `replay:FILE`; None for any other text."""
    kind, colon, rest = text.partition(":")
    if text == "plan":
        return PlanModel()
    if not colon or not rest.strip():
        return None
    made: dict[str, Any] = {"openai": OpenAIModel, "script": ScriptModel, "replay": ReplayModel}
    return made[kind](rest.strip()) if kind in made else None
