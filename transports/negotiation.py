"""Agreeing on a protocol revision: 2026-07-28 if the server has it, else by `initialize`."""

from typing import Any

import anyio
from mcp import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import UNSUPPORTED_PROTOCOL_VERSION, UnsupportedProtocolVersionErrorData
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError


async def negotiate(session: ClientSession, *, probe_timeout: float | None) -> None:
    """Probe with `server/discover` for up to `probe_timeout` seconds, fall back to `initialize`.

    Without a `probe_timeout` there is no probe. Anything but the proof of a modern server that
    shares no revision with us leads to `initialize`: old servers answer the probe with all sorts of
    errors, and some not at all. Raises MCPError, ValidationError, RuntimeError.
    """
    if probe_timeout is not None and await _discovered(session, probe_timeout):
        return
    try:
        await session.initialize()
    except MCPError as error:
        # A probe that we gave up on may have been heard: then the server is modern after all.
        if error.code != UNSUPPORTED_PROTOCOL_VERSION or not _shares_modern(error.error.data):
            raise
        await session.discover()


async def _discovered(session: ClientSession, timeout: float) -> bool:
    try:
        with anyio.move_on_after(timeout):
            await session.discover()
            return True
    except MCPError as error:
        if error.code == UNSUPPORTED_PROTOCOL_VERSION and _is_disjoint(error.error.data):
            raise
    except (ValidationError, RuntimeError):
        return False
    return False


def is_modern(version: str | None) -> bool:
    """Whether the revision has no sessions and stamps each request (2026-07-28 and later)."""
    return version in MODERN_PROTOCOL_VERSIONS


def _supported(data: Any) -> list[str]:
    try:
        return UnsupportedProtocolVersionErrorData.model_validate(data).supported
    except ValidationError:
        return []


def _shares_modern(data: Any) -> bool:
    return any(version in MODERN_PROTOCOL_VERSIONS for version in _supported(data))


def _is_disjoint(data: Any) -> bool:
    supported = _supported(data)
    known = (*MODERN_PROTOCOL_VERSIONS, *HANDSHAKE_PROTOCOL_VERSIONS)
    return bool(supported) and not any(version in known for version in supported)
