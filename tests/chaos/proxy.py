"""A TCP proxy that goes wrong on request: between a run and what it talks to."""

import asyncio
import random
import socket
import ssl
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from tests.chaos.certificates import Which

Fault = Literal["", "half-open", "reset", "slow", "garbage", "truncate", "gigantic", "refuse"]
HANDSHAKE = 5.0
"""Seconds for one."""


class Proxy:
    """Passes bytes on to `port`; `fault` says how, from now on."""

    def __init__(
        self, port: int, seed: int, tls: Mapping[Which, ssl.SSLContext] | None = None
    ) -> None:
        self.fault: Fault = ""
        self.shows: Which | Literal["none spoken"] = "good"
        """The certificate, where it speaks TLS."""
        self.port = 0
        self.refused = 0
        """Handshakes that failed."""
        self._tls = tls
        self._target = port
        self._chance = random.Random(seed)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, fault: Fault) -> None:
        self.fault = fault
        if fault in ("reset", "refuse"):
            for writer in list(self._writers):
                _reset(writer)

    def show(self, certificate: str) -> None:
        """From now on, and those who are connected connect again."""
        self.shows = certificate  # type: ignore[assignment]
        for writer in list(self._writers):
            _reset(writer)

    async def _secure(self, writer: asyncio.StreamWriter) -> None:
        """Raises OSError where the other side does not like what it is shown."""
        if self._tls is None:
            return
        try:
            if self.shows == "none spoken":
                writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                raise ConnectionAbortedError
            await _start_tls(writer, self._tls[self.shows])
        except (OSError, EOFError):
            self.refused += 1
            raise ConnectionAbortedError from None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            if self.fault == "refuse":
                _reset(writer)
                return
            await self._secure(writer)
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
            out = asyncio.create_task(self._pump(reader, far, answers=False))
            back = asyncio.create_task(self._pump(far_reader, writer, answers=True))
            try:
                await asyncio.wait((out, back), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in (out, back):
                    each.cancel()
                await asyncio.gather(out, back, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            _reset(writer)
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            for each_writer in (writer, far):
                if each_writer is not None:
                    with suppress(OSError, RuntimeError):
                        each_writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while data := await reader.read(65536):
            while self.fault == "half-open":
                await asyncio.sleep(0.02)
            if answers:
                spoilt = await self._spoil(data, writer)
                if spoilt is None:
                    return
                data = spoilt
            writer.write(data)
            await writer.drain()

    async def _spoil(self, data: bytes, writer: asyncio.StreamWriter) -> bytes | None:
        """What is left to be passed on; None ends the connection."""
        match self.fault:
            case "slow":
                for at in range(0, len(data), 7):
                    if self.fault != "slow":
                        return data[at:]
                    writer.write(data[at : at + 7])
                    await writer.drain()
                    await asyncio.sleep(0.01)
                return b""
            case "garbage":
                at = self._chance.randrange(len(data))
                return data[:at] + self._chance.randbytes(50) + data[at:]
            case "truncate":
                writer.write(data[: self._chance.randrange(len(data))])
                return None
            case "gigantic":
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n" + b"a" * 3_000_000
                )
                return None
        return data


async def _start_tls(writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
    # As `StreamWriter.start_tls`, which fails where the connection was reset meanwhile.
    protocol: Any = writer.transport.get_protocol()
    secured = await asyncio.get_running_loop().start_tls(
        writer.transport, protocol, context, server_side=True, ssl_handshake_timeout=HANDSHAKE
    )
    if secured is None:
        raise ConnectionAbortedError
    writer._transport = secured  # type: ignore[attr-defined]
    protocol._replace_writer(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN."""
    found = writer.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError, RuntimeError):
        writer.transport.abort()
