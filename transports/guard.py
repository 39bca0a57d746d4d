"""Who may talk to a server of ours: Host and Origin against DNS rebinding, and a token.

A page that a browser shows may send requests to any address of this machine; what it cannot choose
is the Host header, and that its own Origin goes along (WHATWG Fetch, section 3.2; MCP
specification, "Transports", security warning). So a server on loopback lets in requests whose Host
is a name of this machine and that come from no other origin, and one that others can reach asks
for a token besides.

As an ASGI application's wrapper, for uvicorn, hypercorn and the SDK's apps:

    guard = Guard.listening(host, token=token)   # Unguarded: bound elsewhere, and no token
    uvicorn.run(GuardedApp(app, guard), host=host, port=port)

In a server that reads HTTP by itself, before anything else is done with a request:

    refusal = guard.of_head(head)                # the bytes from the request line to the blank line
    if refusal is not None: answer refusal.status, with refusal.text, and close

`Guard.refusal(host, origin, authorization)` is the same for values that are at hand already.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from ipaddress import ip_address
from typing import Any

from msgspec import Struct

MIN_TOKEN = 16
"""Characters of a token: fewer can be guessed."""
_REMEMBERED = 256
"""Pairs of Host and Origin that were let in."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Unguarded(ValueError):
    """A server that others could reach, without a token. The text tells what to do."""


class Refusal(Struct, frozen=True):
    """Why a request is not let in, for its answer."""

    status: int
    """400 no or two Hosts, 401 the token, 403 a foreign Origin, 421 a foreign Host."""
    text: str


_NO_HOST = Refusal(400, "one Host header is needed")
_BAD_HOST = Refusal(421, "this server does not go by that Host")
_BAD_ORIGIN = Refusal(403, "requests from pages of another origin are not let in")
_BAD_TOKEN = Refusal(401, "a bearer token is needed")


def new_token() -> str:
    """One that cannot be guessed, fit for a header and a URL."""
    return secrets.token_urlsafe(32)


class Guard:
    """The rule of one server; any number of requests may be asked about at once."""

    def __init__(
        self,
        *,
        hosts: Iterable[str] | None = (),
        origins: Iterable[str] = (),
        token: str | None = None,
    ) -> None:
        """`hosts` are names that the server goes by besides those of loopback, without a port; None
        lets any in. `origins` are let in besides the server's own, as `https://example.org`.
        """
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._token = None if token is None else token.encode()
        self._known: set[tuple[str, str | None]] = set()

    @classmethod
    def listening(
        cls,
        address: str,
        *,
        token: str | None = None,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
    ) -> "Guard":
        """For a server that is bound to `address`, a name or a number.

        Raises `Unguarded` where that is not loopback and there is no `token`, and for one that is
        too short. Bound elsewhere and without `hosts`, the token alone decides: nobody knows by
        which names others reach the machine, and no page knows the token.
        """
        if token is not None and len(token) < MIN_TOKEN:
            raise Unguarded(f"the token has fewer than {MIN_TOKEN} characters")
        named = tuple(hosts)
        if is_loopback(address):
            return cls(hosts=named, origins=origins, token=token)
        if token is None:
            raise Unguarded(
                f"{address or 'all interfaces'} can be reached from other machines:"
                " give a token, or bind to 127.0.0.1"
            )
        return cls(hosts=named or None, origins=origins, token=token)

    def refusal(
        self, host: str | None, origin: str | None, authorization: str | None
    ) -> Refusal | None:
        """None where the request is let in. The arguments are headers, None where there is none."""
        if (host, origin) not in self._known:
            refusal = self._place(host, origin)
            if refusal is not None:
                return refusal
            if host is not None and len(self._known) < _REMEMBERED:
                self._known.add((host, origin))
        if self._token is not None and not self._knows(authorization):
            return _BAD_TOKEN
        return None

    def of_head(self, head: bytes) -> Refusal | None:
        """As `refusal`, for the bytes of a request's head, with its lines ended by CR LF."""
        lowered = head.lower()
        at = lowered.find(b"\r\nhost:")
        if at < 0 or lowered.find(b"\r\nhost:", at + 1) >= 0:
            return _NO_HOST
        return self.refusal(
            _value(head, at + 7),
            _named(head, lowered, b"\r\norigin:"),
            _named(head, lowered, b"\r\nauthorization:") if self._token is not None else None,
        )

    def _place(self, host: str | None, origin: str | None) -> Refusal | None:
        if not host:
            return _NO_HOST
        name = _hostname(host)
        if name is None or not (
            self._hosts is None or is_loopback(name) or name.lower() in self._hosts
        ):
            return _BAD_HOST
        if origin is None:
            return None
        origin = origin.lower()
        own = (f"http://{host.lower()}", f"https://{host.lower()}")
        return None if origin in own or origin in self._origins else _BAD_ORIGIN

    def _knows(self, authorization: str | None) -> bool:
        assert self._token is not None
        scheme, _, given = (authorization or "").partition(" ")
        told = given.strip().encode("latin-1", "replace")
        return scheme.lower() == "bearer" and hmac.compare_digest(told, self._token)


class GuardedApp:
    """An ASGI application behind a guard: refused requests never reach it."""

    def __init__(self, app: App, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._look(scope["headers"])
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _answer(refusal, send)

    def _look(self, headers: Iterable[tuple[bytes, bytes]]) -> Refusal | None:
        found: dict[bytes, str] = {}
        for name, value in headers:
            if name in (b"host", b"origin", b"authorization"):
                if name == b"host" and name in found:
                    return _NO_HOST
                found[name] = value.decode("latin-1")
        return self._guard.refusal(
            found.get(b"host"), found.get(b"origin"), found.get(b"authorization")
        )


async def _answer(refusal: Refusal, send: Send) -> None:
    body = refusal.text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def is_loopback(host: str) -> bool:
    """Whether a name or number, without a port, is always this machine."""
    name = host.lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _hostname(host: str) -> str | None:
    """The name in a Host header; None for what is none."""
    name, bracket, rest = host.partition("]") if host.startswith("[") else (host, "", "")
    if bracket:
        port = rest.removeprefix(":") if rest else ""
        name = name[1:]
    else:
        name, _, port = host.partition(":")
    if not name or not all(c.isascii() and (c.isalnum() or c in "-._:%") for c in name):
        return None
    return name if not port or (port.isascii() and port.isdigit()) else None


def _named(head: bytes, lowered: bytes, name: bytes) -> str | None:
    at = lowered.find(name)
    return None if at < 0 else _value(head, at + len(name))


def _value(head: bytes, start: int) -> str:
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip().decode("latin-1")
