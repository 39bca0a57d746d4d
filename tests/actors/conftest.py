"""The kernel's tests also check that nothing is left: no task, no warning, no log by accident."""

import asyncio
import logging
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest
import trio

from nexau.actors import ActorSystem, open_system
from nexau.actors._backend import backend_name


def tasks_now() -> int:
    """Tasks alive on the running loop, the caller's own besides."""
    if backend_name() == "trio":
        return trio.lowlevel.current_statistics().tasks_living
    return len([task for task in asyncio.all_tasks() if not task.done()])


async def settle() -> None:
    """Let everything run until it waits for time or for the test."""
    for _ in range(3):
        if backend_name() == "trio":
            await anyio.wait_all_tasks_blocked()
        else:  # where that polls ten times a second
            for _ in range(8):
                await anyio.lowlevel.checkpoint()


@pytest.fixture
async def system(anyio_backend: object) -> AsyncIterator[ActorSystem]:
    async with open_system("test", seed=1) as opened:
        yield opened


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="nexau.actors")
    return caplog
