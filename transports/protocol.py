"""The uniform message protocol: whoever is called answers `Call` with `Result`.

Agents and tools are the same thing to their caller. Every message is a frozen, tagged msgspec
Struct, so the same value crosses a mailbox, a pipe or a cluster. They hold JSON and each other,
never a cycle, and so are kept out of the garbage collector's sight (`gc=False`): with a thousand
rollouts at once it took a third of the CPU. Content types follow the MCP
specification's content blocks (revision 2025-11-25, "Tool Result").
"""

from typing import Any, Literal

from msgspec import Struct


class Text(Struct, frozen=True, tag_field="type", tag="text", gc=False):
    text: str


class Image(Struct, frozen=True, tag_field="type", tag="image", gc=False, rename="camel"):
    data: str
    """Base64."""
    mime_type: str


class Audio(Struct, frozen=True, tag_field="type", tag="audio", gc=False, rename="camel"):
    data: str
    """Base64."""
    mime_type: str


class ResourceContents(Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    uri: str
    mime_type: str | None = None
    text: str | None = None
    blob: str | None = None
    """Base64."""


class Resource(Struct, frozen=True, tag_field="type", tag="resource", gc=False):
    """A resource embedded in a result."""

    resource: ResourceContents


class ResourceLink(
    Struct,
    frozen=True,
    tag_field="type",
    tag="resource_link",
    gc=False,
    rename="camel",
    omit_defaults=True,
):
    uri: str
    name: str = ""
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    size: int | None = None
    """Bytes."""


class File(
    Struct, frozen=True, tag_field="type", tag="file", gc=False, rename="camel", omit_defaults=True
):
    """Stands for a part of a result that was too big to carry along: a file has it. Never taken
    from a server."""

    holds: Literal["text", "image", "audio", "resource_text", "resource_blob", "structured"]
    """What it stands for."""
    path: str
    """As the directory was named, then the first two digits of `sha256`, then all and a suffix."""
    sha256: str
    """Of the file, in hexadecimal digits."""
    size: int
    """Bytes of the file: an image or other blob as it is, not as base64; text as UTF-8."""
    mime_type: str
    uri: str | None = None
    """Of an embedded resource."""
    preview: str = ""
    """How a text begins."""


Sent = Text | Image | Audio | Resource | ResourceLink
"""What a server may send."""
Content = Sent | File


class Usage(Struct, frozen=True, gc=False, omit_defaults=True):
    """What was spent. Sums over a whole (sub-)tree when it stands on a `Result`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """The part of `input_tokens` that the endpoint read from its prefix cache."""
    cost: float = 0.0
    """US dollars."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cost + other.cost,
        )


NO_USAGE = Usage()
"""The one that stands where nothing was counted, so that sums can pass over it."""


class Timing(Struct, frozen=True, gc=False, omit_defaults=True):
    """Where the time went, in seconds."""

    queue: float = 0.0
    """Waiting for a free worker, session or connection."""
    model: float = 0.0
    tool: float = 0.0
    own: float = 0.0
    """The runtime's own."""

    def __add__(self, other: "Timing") -> "Timing":
        return Timing(
            self.queue + other.queue,
            self.model + other.model,
            self.tool + other.tool,
            self.own + other.own,
        )


NO_TIMING = Timing()


class Limits(Struct, frozen=True, gc=False, omit_defaults=True):
    """Upper bounds on a call and all that it causes; None is no bound of its own."""

    steps: int | None = None
    """Model turns."""
    tokens: int | None = None
    """Input plus output tokens."""
    seconds: float | None = None
    """Wall time."""
    depth: int | None = None
    """Levels of sub-agents below the one that carries the limit."""
    parallel_calls: int | None = None
    """Calls that one agent has in flight at once."""
    cost: float | None = None
    """US dollars."""


ErrorClass = Literal[
    "tool_error",  # the tool itself answered with an error
    "invalid_arguments",  # not JSON, or against the tool's schema
    "unknown_tool",
    "timeout",  # the deadline of the call passed
    "limit",  # a limit of the callee, or of one above it, is spent
    "unavailable",  # the server is down or restarting, or broke off during the call
    "protocol",  # the answer is not one that the protocol allows
    "too_large",  # cut to the cap on result size
    "cancelled",
    "model_error",  # the callee's model failed for good
    "crashed",  # the callee raised; a fault of its code
]
"""Why a call failed, for the model to read and for counting."""


class Call(Struct, frozen=True, tag="call", gc=False):
    id: str
    """Unique within the rollout."""
    name: str
    arguments: dict[str, Any]
    limits: Limits | None = None
    """The callee's share."""
    deadline: float | None = None
    """Seconds on the event loop's clock (`anyio.current_time`)."""
    trace: str = ""
    """Where the caller stands: the path of its agent in the tree, as `root/researcher#2`."""


class Result(Struct, frozen=True, tag="result", gc=False):
    id: str
    content: tuple[Content, ...]
    is_error: bool = False
    error_class: ErrorClass | None = None
    structured: Any = None
    """MCP's `structuredContent`, or what a Python function returned, as JSON types."""
    usage: Usage = NO_USAGE
    timing: Timing = NO_TIMING


class Progress(Struct, frozen=True, tag="event", gc=False):
    """Streamed while a call is under way."""

    id: str
    progress: float
    total: float | None = None
    message: str | None = None


class Cancel(Struct, frozen=True, tag="cancel", gc=False):
    id: str
    reason: str | None = None


class ToolSpec(Struct, frozen=True, omit_defaults=True):
    """What a caller must know of a callee: its name and the schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema, draft 2020-12, of type object."""
    annotations: dict[str, Any] = {}
    """MCP's hints (readOnlyHint, idempotentHint, ...)."""


def failure(call_id: str, error_class: ErrorClass, text: str) -> Result:
    """An error as an observation."""
    return Result(call_id, (Text(text),), is_error=True, error_class=error_class)
