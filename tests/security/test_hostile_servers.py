"""What a hostile MCP server tries, over a real pipe: bounded, refused, told."""

import json
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from nexau.transports.caps import Caps
from nexau.transports.connection import Connection, ConnectionFailed, StdioTarget, open_connection
from nexau.transports.listing import list_tools
from nexau.transports.protocol import Result, Text
from nexau.transports.vetting import digest

pytestmark = pytest.mark.anyio

SERVER = str(Path(__file__).parent / "servers" / "hostile.py")


@asynccontextmanager
async def opened(listing: str = "", **options: Any) -> AsyncIterator[Connection]:
    target = StdioTarget(sys.executable, ("-S", "-E", SERVER, listing), **options)
    async with open_connection(target, name="h", start_timeout=30) as connection:
        with anyio.fail_after(60):
            yield connection


async def call(connection: Connection, name: str) -> Result:
    return await connection.call(name, {}, call_id="c", timeout=30)


def said(result: Result) -> str:
    (part,) = result.content
    assert isinstance(part, Text)
    return part.text


@pytest.mark.parametrize(
    ("listing", "caps", "reason"),
    [
        ("many", Caps(tools=49), "it lists more than 49 tools"),
        ("long", Caps(listing_bytes=1_000_000), "longer than 1,000,000 bytes"),
        ("abyss", Caps(), "nested"),
    ],
)
async def test_listings_that_are_not_used(listing: str, caps: Caps, reason: str) -> None:
    with pytest.raises(ConnectionFailed, match=reason):
        async with opened(listing, caps=caps):
            pass


async def test_at_the_caps() -> None:
    async with opened("many", caps=Caps(tools=50)) as server:
        assert len(server.tools) == 50


async def test_names_that_imitate_or_hide() -> None:
    async with opened("names") as server:
        assert [tool.name for tool in server.tools] == ["good"]
        assert server.statistics()["refused_tools"] == 7
    async with opened("names", caps=Caps(any_names=True)) as server:
        assert [tool.name for tool in server.tools] == ["good", "\u0433ood"]


async def test_large_tools_are_left_out() -> None:
    async with opened("large") as server:
        assert [tool.name for tool in server.tools] == ["good"]


async def test_schemas_cannot_hold_anything_up() -> None:
    async with opened("schemas") as server:
        names = [tool.name for tool in server.tools]
        assert names == ["doubling", "outward", "fenced", "slow", "doubled", "nested"]
        # An output schema that asks for too much is not checked; the result is as it came.
        assert said(await call(server, "doubled")) == "done"


async def test_structured_content_without_end() -> None:
    async with opened() as server:
        result = await call(server, "abyss")
        assert (result.error_class, "nested deeper than 64" in said(result)) == ("protocol", True)
        assert said(await call(server, "echo")) == "done"


@pytest.mark.parametrize("attack", ["flood", "garbage", "progress"])
async def test_floods_end_the_session(attack: str) -> None:
    # A tenth of what is borne by default: on a busy machine too, that many are read in 10 s.
    async with opened(caps=Caps(unasked=2_000)) as server:
        result = await call(server, attack)
        reason = await server.wait_closed()
        assert reason == "it sent more than 2,000 messages in 10 s unasked"
        assert result.error_class == "unavailable"
        assert (await call(server, "echo")).error_class == "unavailable"
    async with opened(caps=Caps(unasked=100_000)) as server:
        assert said(await call(server, attack)) == "done"


async def test_what_a_server_asks_of_us_is_denied() -> None:
    async with opened() as server:
        await call(server, "asks")
        answers: list[dict[str, Any]] = []
        while len(answers) < 3:
            answers = json.loads(said(await call(server, "answers")))
        assert sorted(answer["id"] for answer in answers) == ["ask-0", "ask-1", "ask-2"]
        assert all("error" in answer for answer in answers)


async def test_a_storm_of_requests() -> None:
    async with opened() as server:
        assert said(await call(server, "storm")) == "done"
        assert said(await call(server, "echo")) == "done"


async def test_heavy_notifications_are_not_kept() -> None:
    async with opened() as server:
        tracemalloc.start()
        assert said(await call(server, "heavy")) == "done"
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert server.statistics()["dropped_notifications"] == 300
        assert peak < 40_000_000


async def test_a_long_error_is_cut() -> None:
    async with opened() as server:
        result = await call(server, "wordy")
        assert result.error_class == "tool_error"
        assert len(said(result)) == 10_000


async def digests() -> dict[str, str]:
    async with opened() as server:
        return {tool.name: digest(tool) for tool in await list_tools(server.session)}


async def test_only_what_is_pinned_is_there() -> None:
    pins = await digests()
    del pins["storm"]
    async with opened(pins=pins) as server:
        assert "storm" not in [tool.name for tool in server.tools]
        assert len(server.tools) == len(pins)


async def test_a_tool_that_is_not_as_it_was_approved() -> None:
    pins = await digests()
    pins["echo"] = "sha256:" + "0" * 64
    with pytest.raises(ConnectionFailed, match="'echo' is not as it was approved"):
        async with opened(pins=pins):
            pass


async def test_tools_that_change_while_they_are_used() -> None:
    async with opened(pins=await digests()) as server:
        await call(server, "change")
        reason = await server.wait_closed()
        assert reason is not None
        assert "is not as it was approved" in reason
        assert (await call(server, "echo")).error_class == "unavailable"
    # Without pins what was listed first stays what is offered.
    async with opened() as server:
        await call(server, "change")
        assert said(await call(server, "echo")) == "done"
        assert not any("secrets" in tool.description for tool in server.tools)
