"""Messages as bytes, lines out of a stream, and requests that wait."""

import math
from functools import partial
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from mcp.shared.exceptions import MCPError
from trio.testing import MockClock

from nexau.transports.flood import Flood
from nexau.transports.jsonrpc import JsonRpc
from nexau.transports.pending import Deadlines, Lost, Pending
from nexau.transports.stdio import LineSplitter
from nexau.transports.toolcall import Template
from nexau.transports.wire import Message, RequestId, decode, salvage_id, same_id

MAX = 200


# Lines.


class Heard:
    """Stands in for a `JsonRpc` that a splitter feeds."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.skipped: list[tuple[int, int | None]] = []

    def receive_lines(self, data: bytes) -> None:
        self.lines += data.split(b"\n")

    def oversized(self, head: bytes, tail: bytes, size: int, limit: int) -> None:
        self.skipped.append((size, salvage_id(head, tail)))


def split(*pieces: bytes) -> Heard:
    splitter = LineSplitter(MAX)
    heard = splitter.rpc = Heard()  # type: ignore[assignment]
    for piece in pieces:
        splitter.feed(piece)
    return heard


lines = st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"")), max_size=20)


@settings(max_examples=100, deadline=None)
@given(lines, st.lists(st.integers(1, 50)))
def test_hands_on_whole_lines_however_they_are_cut(found: list[bytes], cuts: list[int]) -> None:
    rest = b"".join(line + b"\n" for line in found)
    pieces: list[bytes] = []
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assert split(*[piece for piece in [*pieces, rest] if piece]).lines == found


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_skips_lines_that_are_too_long(size: int) -> None:
    first = b'{"jsonrpc":"2.0","id":7,"result":"' + b"x" * 500 + b'"}'
    last = b'{"result":"' + b"x" * 500 + b'","jsonrpc":"2.0","id":8}'
    neither = b"x" * 500
    stream = b"\n".join([b"{}", first, b"[]", last, neither, b"{}", b""])
    heard = split(*(stream[i : i + size] for i in range(0, len(stream), size)))
    if size < 1000:
        assert heard.lines == [b"{}", b"[]", b"{}"]
        assert heard.skipped == [(len(first), 7), (len(last), 8), (len(neither), None)]


# Messages.


@pytest.mark.parametrize(
    ("head", "tail", "found"),
    [
        (b'{"jsonrpc":"2.0","id":12,"result":', b"]}}", 12),
        (b' { "id" : 12 , "jsonrpc"', b"", 12),
        (b'{"result":', b'},"jsonrpc":"2.0","id":12}', 12),
        (b'{"result":{"id":12', b'"id":12}}', None),
        (b'{"jsonrpc":"2.0","id":"12"', b"}", None),
        (b"", b"", None),
    ],
)
def test_salvages_the_id_of_a_broken_answer(head: bytes, tail: bytes, found: int | None) -> None:
    assert salvage_id(head, tail) == found


@pytest.mark.parametrize(
    ("one", "same"), [(7, 7), ("7", 7), ("listen-1", "listen-1"), ("-7", "-7"), ("", "")]
)
def test_ids_compare_in_one_form(one: RequestId, same: RequestId) -> None:
    assert same_id(one) == same


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(
    st.text(min_size=1, max_size=30),
    st.dictionaries(st.text(max_size=9), json, max_size=4),
    st.dictionaries(st.text(max_size=9), json, max_size=2),
    st.booleans(),
    st.dictionaries(st.sampled_from(["requestState", "inputResponses"]), json),
)
def test_a_template_makes_the_request(
    name: str,
    arguments: dict[str, Any],
    meta: dict[str, Any],
    progress: bool,
    extra: dict[str, Any],
) -> None:
    data = Template(name, meta, {}).encode(5, arguments, progress=progress, extra=extra)
    params: dict[str, Any] = {"name": name, "arguments": arguments} | extra
    if progress:
        params["_meta"] = meta | {"progressToken": 5}
    elif meta:
        params["_meta"] = meta
    assert msgspec.json.decode(data) == {
        "jsonrpc": "2.0",
        "id": 5,
        "method": "tools/call",
        "params": params,
    }


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100) | json.map(msgspec.json.encode))
def test_whatever_arrives_is_a_message_or_a_violation(data: bytes) -> None:
    rpc = JsonRpc.__new__(JsonRpc)
    rpc.violations, rpc.late, rpc.noise = 0, 0, b""
    rpc._pending, rpc._abandoned = {}, []  # type: ignore[assignment]
    rpc._inbound = Sink()  # type: ignore[assignment]
    rpc._flood = Flood(1000, lambda: 0.0, lambda limit: None)
    rpc.receive_lines(data)


class Sink:
    def take(self, message: Message) -> None:
        assert message.method


# Waiting.


class Loopback:
    """A channel that answers by the method's name."""

    kind = "loopback"
    can_send_request = True

    def __init__(self) -> None:
        self.rpc: JsonRpc
        self.abandoned: list[RequestId] = []
        self.sent: list[Any] = []
        self.end = anyio.Event()

    async def run(self, rpc: JsonRpc) -> str:
        self.rpc = rpc
        await self.end.wait()
        return "it ended"

    async def exchange(self, pending: Pending, data: bytes, headers: Any) -> None:
        self.sent.append(msgspec.json.decode(data))
        pending.sent = True
        request_id = pending.request_id
        if pending.method == "echo":
            answer = {"jsonrpc": "2.0", "id": request_id, "result": self.sent[-1]["params"]}
            self.rpc.receive(msgspec.json.encode(answer))
        elif pending.method == "refuse":
            error = {"code": -5, "message": "no", "data": [1]}
            self.rpc.receive(
                msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "error": error})
            )
        await pending.wait()

    async def send(self, data: bytes, headers: Any = None) -> None:
        self.sent.append(msgspec.json.decode(data))

    def abandon(self, request_id: RequestId, reason: str) -> None:
        self.abandoned.append(request_id)


async def ignore(*_: Any) -> Any:
    return {}


@pytest.mark.anyio
async def test_serves_the_official_session() -> None:
    channel = Loopback()
    rpc = JsonRpc(channel)
    seen: list[tuple[float, float | None, str | None]] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with anyio.create_task_group() as tasks:
        await tasks.start(rpc.run, ignore, ignore)
        await anyio.wait_all_tasks_blocked()
        assert await rpc.send_raw_request("echo", {"a": 1}) == {"a": 1}
        echoed = await rpc.send_raw_request("echo", {"_meta": {"x": 1}}, {"on_progress": report})
        token = echoed["_meta"]["progressToken"]
        assert echoed == {"_meta": {"x": 1, "progressToken": token}}
        with pytest.raises(MCPError) as raised:
            await rpc.send_raw_request("refuse", None, {"request_id": "listen-1"})
        assert (raised.value.code, raised.value.message, raised.value.data) == (-5, "no", [1])
        assert channel.sent[-1] == {"jsonrpc": "2.0", "id": "listen-1", "method": "refuse"}
        await rpc.notify("notifications/x", None)
        assert channel.sent[-1] == {"jsonrpc": "2.0", "method": "notifications/x"}

        with pytest.raises(MCPError, match="no answer"):
            await rpc.send_raw_request("silence", None, {"timeout": 0.01})
        with pytest.raises(MCPError, match="no answer"):
            await rpc.send_raw_request(
                "silence", None, {"timeout": 0.01, "cancel_on_abandon": False}
            )
        assert len(channel.abandoned) == 1

        tasks.start_soon(partial(rpc.send_raw_request, "silence", None, {"request_id": 99}))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ValueError, match="in flight"):
            await rpc.send_raw_request("silence", None, {"request_id": "99"})
        rpc.receive(b'{"jsonrpc":"2.0","id":"99","result":{}}')

        channel.end.set()
        assert await rpc.wait_closed() == "it ended"
        with pytest.raises(MCPError, match="it ended"):
            await rpc.send_raw_request("echo", {})
        await rpc.notify("notifications/x", None)
    assert rpc.in_flight == 0


VIRTUAL_TIME = ("trio", {"clock": MockClock(autojump_threshold=0)})


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [VIRTUAL_TIME], ids=["virtual time"])
async def test_times_out_in_the_order_of_the_deadlines() -> None:
    waiting: dict[RequestId, Pending] = {}
    deadlines = Deadlines(waiting)
    ended: list[RequestId] = []

    async def one(request_id: int, seconds: float) -> None:
        deadline = anyio.current_time() + seconds
        pending = waiting[request_id] = Pending(request_id, "m", None, deadline)
        deadlines.add(deadline)
        await pending.wait()
        assert pending.outcome == Lost("timeout", "")
        ended.append(request_id)
        del waiting[request_id]

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deadlines.expire)
        async with anyio.create_task_group() as requests:
            for request_id, seconds in enumerate((15, 5, 10, 0)):
                requests.start_soon(one, request_id, seconds)
        tasks.cancel_scope.cancel()
    assert ended == [3, 1, 2, 0]


@pytest.mark.anyio
async def test_the_first_outcome_counts() -> None:
    pending = Pending(1, "m", None)
    answer = decode(b'{"id":1,"result":{}}')[0]
    pending.resolve(answer)
    pending.interrupt(Lost("closed", "later"))
    await pending.wait()
    assert pending.outcome is answer
    assert pending.deadline == math.inf
