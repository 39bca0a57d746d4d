"""The fake model server's side of HTTP/1.1: parsing, faults, rate limits, latency."""

import argparse
import asyncio
import os
import random
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import cast

import msgspec

from bench.fake_completions import (
    Options,
    Plan,
    Refused,
    Request,
    answer,
    error_body,
    events,
    read,
    turn_of,
    whole,
)
from nexau.transports.guard import Guard, Refusal

MAX_BODY = 64 << 20
_ENDS = b"\r\n\r\n"
_NONSENSE = {"garbage": b"<html>not a completion</html>", "empty": b'{"choices": []}'}
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


class Bucket:
    """So many a minute; refuses with the seconds until there is room again."""

    def __init__(self, per_minute: float) -> None:
        self.rate = per_minute / 60
        self.capacity = max(1.0, per_minute / 60)
        self.level = self.capacity
        self.at = time.monotonic()

    def take(self, amount: float) -> float:
        now = time.monotonic()
        self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level >= min(amount, self.capacity):
            self.level -= amount
            return 0.0
        return (min(amount, self.capacity) - self.level) / self.rate


class Server:
    """What all connections of one worker share."""

    def __init__(self, arguments: argparse.Namespace, seed: int, guard: Guard) -> None:
        self.guard = guard
        self.options = Options(
            arguments.turns,
            arguments.calls,
            arguments.answer,
            arguments.cached_share,
            msgspec.json.decode(arguments.plan, type=Plan) if arguments.plan else None,
        )
        self.random = random.Random(seed)
        self.latency = _distribution(arguments.latency, self.random)
        self.faults = _fault_rates(arguments.faults)
        self.requests = Bucket(arguments.rpm) if arguments.rpm else None
        self.tokens = Bucket(arguments.tpm) if arguments.tpm else None
        self.attempts: OrderedDict[tuple[str, int], int] = OrderedDict()
        self.served = 0

    def fault(self, request: Request) -> str:
        directives = request.fake
        if directives is not None and directives.faults:
            key = (directives.id, turn_of(request))
            attempt = self.attempts.get(key, 0)
            self.attempts[key] = attempt + 1
            if len(self.attempts) > 100_000:
                self.attempts.popitem(last=False)
            return directives.faults[attempt] if attempt < len(directives.faults) else "ok"
        chance = self.random.random() if self.faults else 1.0
        for name, rate in self.faults:
            if chance < rate:
                return name
            chance -= rate
        return "ok"

    def limited(self, tokens: int) -> float:
        """Seconds to wait, where a rate limit is reached."""
        wait = self.requests.take(1) if self.requests else 0.0
        return wait or (self.tokens.take(tokens) if self.tokens else 0.0)


class Connection(asyncio.Protocol):
    """One request after another; pipelined ones wait in the buffer."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray()
        self.busy = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.busy:
            self.parse()

    def parse(self) -> None:
        end = self.buffer.find(_ENDS)
        if end < 0:
            if len(self.buffer) > 65_536:
                self.refuse(431, "headers are too large")
            return
        head = bytes(self.buffer[:end])
        refusal = self.server.guard.of_head(head)
        if refusal is not None:
            self.turn_away(refusal)
            return
        lowered = head.lower()
        length = _content_length(lowered)
        if length is None or length > MAX_BODY or b"\r\ntransfer-encoding:" in lowered:
            self.refuse(411, "a content-length of at most 64 MiB is needed")
            return
        until = end + 4 + length
        if len(self.buffer) < until:
            return
        body = bytes(self.buffer[end + 4 : until])
        del self.buffer[:until]
        self.busy = True
        self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        server = self.server
        server.served += 1
        line = head.split(b"\r\n", 1)[0]
        if line == b"GET /stats HTTP/1.1":
            self.send(200, msgspec.json.encode(statistics(server)))
        elif not line.startswith(b"POST /v1/chat/completions"):
            self.send(404, error_body("no such path"))
        else:
            try:
                self.complete(read(body), head, len(body))
            except Refused as error:
                self.send(400, error_body(str(error)))

    def complete(self, request: Request, head: bytes, size: int) -> None:
        server = self.server
        wait = server.limited(size // 4)
        if wait:
            self.send(429, error_body("rate limit"), f"retry-after-ms: {wait * 1000:.0f}\r\n")
            return
        fault = server.fault(request)
        given = answer(request, server.options, size, malformed=fault == "malformed")
        if request.stream:
            pieces, kind = events(given), "text/event-stream"
        else:
            pieces, kind = [whole(given)], "application/json"
        seconds = server.latency()
        if seconds > 0:
            self.loop.call_later(seconds, self.play, fault, pieces, kind, head)
        else:
            self.play(fault, pieces, kind, head)

    def play(self, fault: str, pieces: list[bytes], kind: str, head: bytes) -> None:
        if self.transport.is_closing():
            return
        name, _, detail = fault.partition(":")
        if name in ("ok", "malformed"):
            self.send_pieces(pieces, kind)
        elif name == "status":
            status, _, headers = detail.partition(":")
            more = "".join(
                f"{each.replace('=', ': ', 1)}\r\n" for each in headers.split("|") if each
            )
            self.send(int(status), error_body("injected", "server_error"), more)
        elif name == "echo":
            self.send(int(detail or 400), error_body(head.decode("latin-1")))
        elif name == "drip":
            self.drip(b"".join(pieces), kind, float(detail or 0.01))
        elif name in ("reset", "truncate", "hang"):
            self.break_off(name, b"".join(pieces), kind)
        else:
            self.send(200, _NONSENSE.get(name, b""))

    def break_off(self, name: str, data: bytes, kind: str) -> None:
        if name == "reset":
            linger = struct.pack("ii", 1, 0)
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        elif name == "truncate":
            self.transport.write(_head(200, kind, len(data)) + data[: len(data) // 2])
            self.transport.close()

    def send_pieces(self, pieces: list[bytes], kind: str) -> None:
        if kind == "application/json":
            self.send(200, pieces[0])
            return
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        self.transport.write(_STREAM_HEAD + body + b"0\r\n\r\n")
        self.next()

    def drip(self, data: bytes, kind: str, pause: float) -> None:
        """In sixteen pieces, some of which split a character or an event."""
        self.transport.write(_head(200, kind, len(data)))
        size = max(1, len(data) // 16)
        steps = [data[at : at + size] for at in range(0, len(data), size)]

        def step(index: int) -> None:
            if self.transport.is_closing():
                return
            self.transport.write(steps[index])
            if index + 1 < len(steps):
                self.loop.call_later(pause, step, index + 1)
            else:
                self.next()

        step(0)

    def send(
        self, status: int, body: bytes, more: str = "", kind: str = "application/json"
    ) -> None:
        self.transport.write(_head(status, kind, len(body), more) + body)
        self.next()

    def turn_away(self, refusal: Refusal) -> None:
        kind = "authentication_error" if refusal.status == 401 else "invalid_request_error"
        self.refuse(refusal.status, refusal.text, kind)

    def refuse(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        body = error_body(message, kind)
        self.transport.write(_head(status, "application/json", len(body)) + body)
        self.transport.close()

    def next(self) -> None:
        self.busy = False
        if self.buffer:
            self.loop.call_soon(self.parse)


def _head(status: int, kind: str, length: int, more: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{more}\r\n"
    ).encode()


def _content_length(lowered: bytes) -> int | None:
    at = lowered.find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    value = lowered[at + 17 :].split(b"\r\n", 1)[0].strip()
    return int(value) if value.isdigit() else None


def _distribution(spec: str, source: random.Random) -> Callable[[], float]:
    name, _, rest = spec.partition(":")
    if not rest:
        seconds = float(name)
        return lambda: seconds
    numbers = [float(number) for number in rest.split(",")]
    if name == "uniform" and len(numbers) == 2:
        return lambda: source.uniform(numbers[0], numbers[1])
    if name == "exponential" and len(numbers) == 1:
        return lambda: source.expovariate(1 / numbers[0])
    if name == "lognormal" and len(numbers) == 2:
        return lambda: numbers[0] * source.lognormvariate(0, numbers[1])
    raise SystemExit(f"unknown latency {spec!r}: SECONDS, uniform:LOW,HIGH, exponential:MEAN or "
                     "lognormal:MEDIAN,SIGMA")  # fmt: skip


def _fault_rates(spec: str) -> list[tuple[str, float]]:
    pairs = (each.rpartition("=") for each in spec.split(",") if each)
    return [(name, float(rate)) for name, _, rate in pairs]


def statistics(server: Server) -> dict[str, float]:
    return {"pid": os.getpid(), "served": server.served, "cpu_seconds": time.process_time()}
