"""MCP over the stdin and stdout of a child process: one JSON-RPC message a line."""

from collections.abc import Mapping

import anyio

from nexau.transports.jsonrpc import JsonRpc
from nexau.transports.pending import Pending
from nexau.transports.pipes import HIGH_WATER, PipeWriter
from nexau.transports.process import Process, describe_exit
from nexau.transports.scoping import background
from nexau.transports.wire import RequestId, encode_notification

_ENDS = 512
"""Bytes kept of each end of a line that is too long."""

_LAST_WORDS = 0.5
"""Seconds that stdout is still read after the process ended, and that the process has to end after
its stdout did."""


class Stdio:
    """A `nexau.transports.jsonrpc.Channel`."""

    kind = "stdio"
    session_id: str | None = None
    can_send_request = True

    def __init__(self, process: Process, max_line_bytes: int) -> None:
        self.bytes_in = 0
        self.bytes_out = 0
        self._process = process
        self._writer = PipeWriter(process.stdin_fd)
        self._lines = LineSplitter(max_line_bytes)
        self._stdout_ended = anyio.Event()
        self._reason = anyio.Event()
        self._text = ""

    async def run(self, rpc: JsonRpc) -> str:
        """Feed `rpc` until the process ends or closes a pipe."""
        self._lines.rpc = rpc
        self._process.on_stdout_end = self._stdout_ended.set
        self._process.on_stdout = self._feed
        if self._process.stdout_ended:
            self._stdout_ended.set()
        async with background() as tasks:
            tasks.start_soon(self._write)
            tasks.start_soon(self._watch_stdout)
            tasks.start_soon(self._watch_process)
            await self._reason.wait()
        self._lines.finish()
        return self._text

    async def listen(self) -> None:
        """Nothing to do: what the server sends unasked comes with the rest."""

    async def exchange(
        self, pending: Pending, data: bytes, headers: Mapping[str, str] | None
    ) -> None:
        if self._writer.size > HIGH_WATER:
            with anyio.CancelScope() as pending.scope:
                await self._writer.drain()
            pending.scope = None
            if pending.outcome is not None:
                return
        pending.sent = True
        self._write_line(data)
        await pending.wait()

    async def send(self, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        await self._writer.drain()
        self._write_line(data)

    def abandon(self, request_id: RequestId, reason: str) -> None:
        params = {"requestId": request_id, "reason": reason}
        self._write_line(encode_notification("notifications/cancelled", params))

    def _write_line(self, data: bytes) -> None:
        self.bytes_out += len(data) + 1
        self._writer.write(data + b"\n")

    def _feed(self, data: bytes) -> None:
        self.bytes_in += len(data)
        self._lines.feed(data)

    async def _write(self) -> None:
        error = await self._writer.run()
        await self._end(f"its stdin is closed ({error.strerror})")

    async def _watch_stdout(self) -> None:
        await self._stdout_ended.wait()
        await self._end("it closed its stdout")

    async def _watch_process(self) -> None:
        returncode = await self._process.wait()
        with anyio.move_on_after(_LAST_WORDS):
            await self._process.wait_outputs()
        self._close(f"the process {describe_exit(returncode)}")

    async def _end(self, symptom: str) -> None:
        """Prefer the process' own end as the reason, if that is what happened."""
        with anyio.move_on_after(_LAST_WORDS):
            await self._process.wait()
            await anyio.sleep(_LAST_WORDS)
        self._close(symptom)

    def _close(self, text: str) -> None:
        if not self._reason.is_set():
            self._text = text
            self._reason.set()


class LineSplitter:
    """Cuts a stream into lines and hands whole ones on; a line that is too long is skipped."""

    def __init__(self, max_line_bytes: int) -> None:
        self.rpc: JsonRpc | None = None
        self._max = max_line_bytes
        self._held: list[bytes] = []
        self._size = 0
        self._head = b""
        """Of a line that is being skipped."""
        self._tail = b""
        self._skipping = False

    def feed(self, data: bytes) -> None:
        """Take any piece of the stream."""
        assert self.rpc is not None
        end = data.rfind(b"\n")
        if end < 0:
            self._hold(data)
            return
        if self._size:
            first = data.find(b"\n")
            if self._skipping or self._size + first > self._max:
                self._hold(data[:first])
                self._skip_to_end()
                data = data[first + 1 :]
                end -= first + 1
            else:
                self._held.append(data)
                end += self._size
                data = b"".join(self._held)
                self._held.clear()
                self._size = 0
        if end >= 0:
            self.rpc.receive_lines(data[:end])
        rest = data[end + 1 :]
        if rest:
            self._hold(rest)

    def finish(self) -> None:
        """The stream ended; what it left is a line if it is whole."""
        line = b"".join(self._held)
        if not self._skipping and self.rpc is not None and line.rstrip().endswith((b"}", b"]")):
            self.rpc.receive_lines(line)
        self._held.clear()
        self._size = 0

    def _hold(self, data: bytes) -> None:
        self._size += len(data)
        if self._skipping:
            self._tail = (self._tail + data[-_ENDS:])[-_ENDS:]
            return
        self._held.append(data)
        if self._size > self._max:
            line = b"".join(self._held)
            self._held.clear()
            self._skipping = True
            self._head, self._tail = line[:_ENDS], line[-_ENDS:]

    def _skip_to_end(self) -> None:
        assert self.rpc is not None
        if not self._skipping:
            line = b"".join(self._held)
            self._held.clear()
            self._head, self._tail = line[:_ENDS], line[-_ENDS:]
        self.rpc.oversized(self._head, self._tail, self._size, self._max)
        self._skipping = False
        self._size = 0
        self._head = self._tail = b""
