"""Servers brought back to where they were: the calls of a rollout are issued again and compared.

What a server is owed is its `on_resume`: nothing where its state lives on without the run, the
writes where each rollout had a state of its own that went with its session.
"""

from collections.abc import Iterator, Mapping

import msgspec

from nexau.definitions.values import Server
from nexau.journal.past import Answered, Past, descend
from nexau.prepare import McpRoute, Prepared
from nexau.secrets.redaction import SECRETS
from nexau.servers import ServerPool
from nexau.sessions import Session
from nexau.trajectory import CallResult
from nexau.transports.protocol import Result, ToolSpec

UNKNOWN = frozenset({"timeout", "unavailable", "cancelled", "protocol", "limit", "crashed"})
"""Errors after which nobody knows whether the call took effect."""
UNSENT = frozenset({"invalid_arguments", "unknown_tool"})
"""Errors of calls that never reached the server."""


class Diverged(Exception):
    """The rollout has to begin anew; the text says why."""


def on_resume(config: Server) -> str:
    if config.on_resume is not None:
        return config.on_resume
    return "writes" if config.sessions == "rollout" else "nothing"


async def reissue(prepared: Prepared, sessions: Mapping[int, Session], past: Past) -> int:
    """Returns how many calls were issued. Raises `Diverged` where one brings back something else
    than before, or must not be issued.
    """
    count = 0
    for pool in prepared.servers:
        owed = on_resume(pool.config)
        if owed == "nothing":
            continue
        for answered, name in calls_of(prepared, pool, past):
            if owed == "restart":
                raise Diverged(f"server {pool.name!r} cannot be brought back to where it was")
            if owed == "writes" and _reads(pool.tools, name):
                continue
            await _again(answered, name, pool, sessions[pool.key])
            count += 1
    return count


def calls_of(prepared: Prepared, pool: ServerPool, past: Past) -> Iterator[tuple[Answered, str]]:
    """The calls that a server had answered, in that order, with the tool's own name."""
    for answered in past.answered:
        route = descend(prepared, answered.agent).tools.get(answered.call.name)
        if not isinstance(route, McpRoute) or route.key != pool.key:
            continue
        if answered.result.error_class not in UNSENT:
            yield answered, route.name


def _reads(tools: tuple[ToolSpec, ...], name: str) -> bool:
    return any(spec.name == name and spec.annotations.get("readOnlyHint") is True for spec in tools)


async def _again(answered: Answered, name: str, pool: ServerPool, session: Session) -> None:
    before, call = answered.result, answered.call
    if before.error_class in UNKNOWN:
        why = before.error_class
        raise Diverged(f"nobody knows whether {name} of server {pool.name!r} took effect ({why})")
    connection = session.link.connection
    if connection is None:
        raise Diverged(f"server {pool.name!r} went away while its calls were issued again")
    now = await connection.call(
        name, call.arguments or {}, call_id=call.id, timeout=pool.config.timeout
    )
    if _shown(now) != _shown(before):
        raise Diverged(
            f"{name} of server {pool.name!r}, issued again, brought back something else: "
            f"{_short(now)}"
        )


def _shown(result: Result | CallResult) -> bytes:
    """What a journal would hold of it: no secrets."""
    shown = (result.content, result.is_error, result.structured)
    return SECRETS.line(msgspec.json.encode(shown, order="sorted"))


def _short(result: Result) -> str:
    text = " ".join(getattr(part, "text", "...") for part in result.content)
    return text if len(text) <= 80 else f"{text[:77]}..."
