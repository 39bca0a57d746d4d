"""What a connection is opened to, and what the server at its other end may ask of us."""

from mcp.client.session import ElicitationFnT, ListRootsFnT, LoggingFnT, SamplingFnT
from msgspec import Struct

from nexau.transports.caps import Caps
from nexau.transports.confinement import Confinement


class StdioTarget(Struct, frozen=True):
    """A server that runs as our child."""

    command: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    """Added to a minimal environment (`nexau.transports.process.INHERITED`)."""
    cwd: str | None = None
    confine: Confinement = Confinement()
    caps: Caps = Caps()
    pins: dict[str, str] | None = None
    """Digests of the tools that are approved (`nexau.transports.vetting.digest`), by name. Others
    are left out; one that is not as approved fails the connection, also while it is open."""


class HttpTarget(Struct, frozen=True):
    """A server that is reached over streamable HTTP."""

    url: str
    headers: dict[str, str] = {}
    listen: bool = True
    """Whether to hold a stream open for what the server sends unasked; it costs a connection."""
    own_session: bool = False
    """Whether the server must keep a session, and so a state, for this connection alone. Then a
    revision that has sessions is agreed on (2025-11-25 or older), and a server without fails."""
    caps: Caps = Caps()
    pins: dict[str, str] | None = None
    """As in `StdioTarget`."""


Target = StdioTarget | HttpTarget


class Handlers(Struct, frozen=True):
    """What servers may ask of us, in the official SDK's types. None denies it."""

    sampling: SamplingFnT | None = None
    elicitation: ElicitationFnT | None = None
    roots: ListRootsFnT | None = None
    logging: LoggingFnT | None = None
