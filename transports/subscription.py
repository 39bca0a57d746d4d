"""Hearing of changed tools from a server of 2026-07-28, which tells only those who asked."""

from collections.abc import Callable

import anyio
from anyio.abc import TaskStatus
from mcp import ClientSession
from mcp.client.subscriptions import SubscriptionLost, listen
from mcp.shared.exceptions import MCPError
from mcp_types import METHOD_NOT_FOUND

from nexau.transports.log import get_logger

log = get_logger(__name__)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
"""Seconds between attempts to subscribe again."""


def announces_tools(session: ClientSession) -> bool:
    """Whether the server says that it tells of changes to its tools."""
    capabilities = session.server_capabilities
    tools = None if capabilities is None else capabilities.tools
    return tools is not None and bool(tools.list_changed)


async def subscribe(
    session: ClientSession,
    changed: Callable[[], None],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Keep a subscription open, and call `changed` for what it brings.

    Started once the server has acknowledged it, or has not. Ends when the server ends it.
    """
    pause = _FIRST_PAUSE
    started = False
    while True:
        try:
            async with listen(session, tools_list_changed=True) as subscription:
                if started:
                    # Nobody tells what happened while there was no subscription.
                    changed()
                else:
                    task_status.started()
                started = True
                pause = _FIRST_PAUSE
                async for _ in subscription:
                    changed()
                return
        except SubscriptionLost as lost:
            log.debug("subscription_lost", reason=str(lost))
        except MCPError as error:
            log.debug("subscription_refused", reason=error.message)
            if error.code == METHOD_NOT_FOUND:
                return
        finally:
            if not started:
                task_status.started()
                started = True
        await anyio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
