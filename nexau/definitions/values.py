"""Agents as values: what a rollout runs, whether it came from a file or from code.

`nexau.definitions.agentfile` reads the YAML form; both end as the `Agent` defined here.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field

from nexau.models.base import Model
from nexau.transports.caps import Caps
from nexau.transports.confinement import Confinement
from nexau.transports.protocol import Limits, ToolSpec


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for a million tokens."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None
    """None: as `input`."""


class Endpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """One of several servers of the same model."""

    base_url: str
    """As `base_url` of the model, which is then left out."""
    weight: float = 1.0
    """Its share of the conversations, beside the weights of the others."""
    api_key_env: str | None = None
    """The environment variable that holds the key; null: that of the model."""
    requests_per_minute: float | None = None
    """null: that of the model."""
    tokens_per_minute: float | None = None
    """null: that of the model."""


class OpenAIModel(Struct, frozen=True, tag_field="kind", tag="openai", forbid_unknown_fields=True):
    """Any endpoint that speaks OpenAI chat completions."""

    name: str
    base_url: str = "https://api.openai.com/v1"
    api_key_env: str | None = "OPENAI_API_KEY"
    """The environment variable that holds the key; null sends none."""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    """Output tokens of one turn."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    parallel_tool_calls: bool | None = None
    extra_body: dict[str, Any] = {}
    headers: dict[str, str] = {}
    """`${NAME}` in a value is read from the environment."""
    timeout: float = 600.0
    """Seconds for one attempt."""
    retries: int = 5
    stream: bool = False
    images: bool = True
    """Whether the model reads images; without, a tool's image becomes a note that there is one."""
    price: Price | None = None
    endpoints: tuple[Endpoint, ...] = ()
    """In place of `base_url`. Each conversation stays at one of them while that one is healthy."""
    requests_per_minute: float | None = None
    """Of each endpoint. Requests wait their turn; null sets no limit."""
    tokens_per_minute: float | None = None
    """Of each endpoint, read and written ones together."""
    in_flight: int | Literal["auto"] | None = None
    """Requests that each endpoint is given at once; the others wait their turn. `auto` finds the
    number out: as many as bring more turns a second, half of it when they fail. null: no bound."""


Style = Literal["gold", "detour", "recover", "explore", "loop", "ignore_errors", "false_claim"]


class PlanModel(Struct, frozen=True, tag_field="kind", tag="plan", forbid_unknown_fields=True):
    """Plays the gold plan that the task carries."""

    latency: float = 0.0
    """Seconds that each turn takes."""
    style: Style = "gold"
    """How the plan is played: as it is, or varied (docs/models.md, "Styles")."""
    mix: dict[Style, float] = {}
    """Styles with their weights; each rollout draws one, in place of `style`."""
    share: float = 0.3
    """Of the turns at which `detour` and `recover` depart from the plan."""
    state: int | None = None
    """Of the plan's turns that call tools, the one at which `explore` departs, from 0; a shorter
    plan is played as it is. Null: drawn, for each task another."""


class ScriptModel(Struct, frozen=True, tag_field="kind", tag="script", forbid_unknown_fields=True):
    """Plays fixed turns from a YAML or JSON file."""

    file: str
    latency: float = 0.0


class ReplayModel(Struct, frozen=True, tag_field="kind", tag="replay", forbid_unknown_fields=True):
    """Plays the turns of a recorded trajectory (JSON lines)."""

    file: str
    latency: float = 0.0


ModelConfig = OpenAIModel | PlanModel | ScriptModel | ReplayModel


class Backoff(Struct, frozen=True, forbid_unknown_fields=True):
    min: float = 0.1
    """Seconds."""
    max: float = 10.0
    jitter: float = 0.5
    """Share of the delay that is drawn at random, 0 to 1."""


class Supervision(Struct, frozen=True, forbid_unknown_fields=True):
    """How the MCP servers that an agent declares are kept alive, in OTP's terms. (A sub-agent lives
    for one call; when it crashes, its caller gets an observation.)"""

    restart: Literal["permanent", "transient", "temporary"] = "permanent"
    intensity: int = 5
    """Restarts allowed within `period` seconds before the fault escalates."""
    period: float = 30.0
    backoff: Backoff = Backoff()


class Pool(Struct, frozen=True, forbid_unknown_fields=True):
    """Sessions that rollouts take turns with, when each rollout has one to itself."""

    min: int = 0
    """Kept open while the run lasts."""
    max: int | None = None
    """None: 8 for a server that costs a process for each session, no bound for one by `url`."""
    uses: int | None = None
    """Rollouts that one session serves before it is opened anew."""
    spares: int = 0
    """Idle ones kept open beside those in use, as far as `max` allows, so that a rollout need not
    wait for a start."""


class Latency(Struct, frozen=True, forbid_unknown_fields=True):
    """Recorded latency in front of a server (docs/latency.md)."""

    profile: str
    """A file that `nexau mcp record` wrote."""
    tool: str | None = None
    """The tool of the profile that tools it does not know take after. None: each takes after one of
    them, always the same."""
    errors: bool = True
    """Whether calls fail as often as they did."""
    concurrency: bool = True
    """Whether latency depends on the calls in flight, as it did; otherwise it is that of one."""
    scale: float = 1.0
    """What recorded latency is multiplied by."""


class SpillConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Big parts of results go to files, and a reference with size, digest and type takes their
    place (docs/servers.md)."""

    bytes: int = 65_536
    """A part larger than this does."""
    directory: str = "files"
    """Relative to the agent file."""


class Resilience(Struct, frozen=True, forbid_unknown_fields=True):
    """What is done about a server that is slow or away (docs/servers.md)."""

    retries: int = 2
    """Further attempts at a call that timed out or found the server away, of tools that it marks
    read-only or idempotent."""
    hedge: float | None = None
    """Seconds after which a call of a tool that is marked read-only is sent a second time; the
    first answer counts. Null: never."""
    breaker: int | None = 10
    """Calls in a row that time out or find a shared server away, after which it is left alone for
    0.1 s, doubled up to 10 s; calls meanwhile fail at once. Null: never."""


class _Server(Struct, frozen=True, kw_only=True):
    sessions: Literal["shared", "rollout"] = "shared"
    """One session for all rollouts, or one for each while it lasts."""
    pool: Pool = Pool()
    reset: str | None = None
    """A tool, called without arguments, that makes a used session as new. Without one, a used
    session is closed and another opened."""
    timeout: float = 60.0
    """Seconds for one call."""
    start_timeout: float = 60.0
    """Seconds to start and to agree on a protocol version."""
    in_flight: int | Literal["auto"] | None = None
    """Calls that it is given at once; the others wait their turn, and `timeout` counts from then.
    `auto` finds the number out: as many as make it answer more calls a second. None: no bound."""
    resilience: Resilience = Resilience()
    health: float | None = 30.0
    """Seconds of silence after which it is asked for a sign of life; without one within 10 s it is
    restarted. None: never."""
    max_result_bytes: int = 1_000_000
    """A result longer than this is cut, with a note."""
    spill: SpillConfig | None = None
    """Null keeps results whole, wherever they go."""
    on_resume: Literal["nothing", "writes", "calls", "restart"] | None = None
    """What a rollout that goes on after its process died owes this server, whose session is a new
    one. nothing: its state outlives the run, or it has none. writes: the recorded calls, except of
    tools marked read-only, are issued again and compared; a difference restarts the rollout. calls:
    all of them. restart: the rollout begins anew. null: writes where `sessions` is rollout, else
    nothing."""
    latency: str | Latency | None = None
    """Calls take as long, and fail as often, as recorded ones did. As text: the profile, relative
    to the agent file."""
    confine: Confinement = Confinement()
    caps: Caps = Caps()
    pins: str | None = None
    """A file of approved tools (`nexau mcp pin`), relative to the agent file: others are left out,
    and the server fails when one is not as it was approved."""


class StdioServer(_Server, frozen=True, forbid_unknown_fields=True, kw_only=True):
    command: str
    args: tuple[str, ...] = ()
    """`{here}` in one is the agent file's directory."""
    env: dict[str, str] = {}
    """Added to a minimal environment. `${NAME}` in a value is read from the environment."""
    cwd: str | None = None
    """Relative to the agent file."""


class HttpServer(_Server, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    headers: dict[str, str] = {}
    """`${NAME}` in a value is read from the environment."""
    command: str | None = None
    """Starts the server, when the runtime is to run it: `{port}` in `args`, `env` and `url` is a
    free port of the loopback interface."""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str | None = None


Server = StdioServer | HttpServer


class McpTools(Struct, frozen=True):
    """The tools of one MCP server that an agent may call."""

    server: str
    """A name in `mcp_servers` of this agent or of one above it."""
    include: tuple[str, ...] = ("*",)
    """Names or shell patterns."""
    exclude: tuple[str, ...] = ()
    prefix: str = ""
    """Put before every name. Where two servers' tools still clash, both get `server_` before."""


class PythonTool(Struct, frozen=True):
    """A Python function as a tool: plain ones run in worker threads, async ones on the loop."""

    spec: ToolSpec
    function: Callable[..., Any] | Callable[..., Awaitable[Any]]
    is_async: bool
    timeout: float = 60.0
    """Seconds for one call."""
    binding: str = ""
    """`module:function`, for messages."""


class Prompt(Struct, frozen=True):
    """A jinja2 template, rendered in a sandbox with the task's variables."""

    text: str
    source: str | None = None
    """The file it was read from."""


class Agent(Struct, frozen=True):
    """A definition. Immutable; one value serves any number of rollouts."""

    name: str
    model: ModelConfig | Model
    description: str = ""
    system_prompt: Prompt = Prompt("")
    tools: tuple[McpTools | PythonTool, ...] = ()
    agents: tuple["Agent", ...] = ()
    mcp_servers: Mapping[str, Server] = field(default_factory=dict)
    limits: Limits = Limits()
    supervision: Supervision = Supervision()
    source: Path | None = None
    """The file it was read from; relative paths in it start there."""


class Saying(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One message of a scripted user."""

    say: str
    """The message."""
    expects: tuple[str, ...] = ()
    """What the answer before it has to hold; where it does not, the user complains instead."""


class User(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Who goes on talking after the first answer. A script (`says`, `expects`), or a persona and a
    goal that a model plays (docs/scoring.md)."""

    persona: str = ""
    """Who it is."""
    goal: str = ""
    """What it is after; the agent never sees it."""
    says: tuple[Saying, ...] = ()
    """Its messages after the first, which is the task's `input`; each follows an answer."""
    expects: tuple[str, ...] = ()
    """What the last answer has to hold."""
    complaint: str = "That is not what I asked for."
    """What it says to an answer that lacks something."""
    patience: int = 1
    """Complaints before it leaves."""


class Task(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One line of a tasks file."""

    input: str
    """The user's request."""
    id: str = ""
    """Empty: its line number, counted from 1."""
    variables: dict[str, Any] = {}
    """For the prompt templates."""
    plan: Any = None
    """The gold plan (docs/models.md, "Plans")."""
    group: str | None = None
    metadata: dict[str, Any] = {}
    """Carried into the trajectory, never shown to a model."""
    check: Any = None
    """What has to hold at the end, for who scores the rollout; never shown to a model. On a world:
    a check of its final state (docs/worlds.md, "Tasks and checks")."""
    user: User | None = None
    """Who goes on talking; None: the first answer ends the rollout."""
    servers: tuple[str, ...] = ()
    """Names of MCP servers in the agent file: the agents see these and no others. Empty: all."""


class DefinitionError(ValueError):
    """A definition that cannot be used. The text names the file, the path inside it, what was
    expected and the nearest valid name.
    """
