"""A fake model: an OpenAI-compatible HTTP server of its own process, on loopback unless told else.

    python -m bench.fake_model --latency lognormal:0.3,0.5 --turns 5 --workers 2

Prints a JSON line when it listens, `{"url": "http://127.0.0.1:PORT/v1", "pid": ..., "workers": 2}`,
and one for each worker with the requests served and the CPU seconds spent, when SIGTERM or SIGINT
ends it.
"""

import argparse
import asyncio
import contextlib
import importlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from types import ModuleType

import msgspec

from bench.fake_http import Connection, Server, statistics
from nexau.transports.guard import Guard, Unguarded

uvloop: ModuleType | None
try:
    uvloop = importlib.import_module("uvloop")
except ImportError:
    uvloop = None


class Worker:
    """One of the processes that share the port; number 0 has forked the others."""

    def __init__(self, number: int, lifeline: socket.socket, children: list[int]) -> None:
        self.number = number
        self.lifeline = lifeline
        """To number 0, from all others: a byte once they listen, the end once it is gone."""
        self.children = children


def _fork(workers: int) -> Worker:
    ours, theirs = socket.socketpair()
    children: list[int] = []
    for number in range(1, workers):
        pid = os.fork()
        if pid == 0:
            ours.close()
            return Worker(number, theirs, [])
        children.append(pid)
    theirs.close()
    return Worker(0, ours, children)


async def serve(listener: socket.socket, arguments: argparse.Namespace, worker: Worker) -> None:
    loop = asyncio.get_running_loop()
    guard = Guard.listening(arguments.host, token=arguments.key or None)
    server = Server(arguments, arguments.seed + worker.number, guard)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if arguments.until_eof:
        loop.add_reader(sys.stdin.fileno(), _until_eof, sys.stdin.fileno(), stop)
    listening = await loop.create_server(lambda: Connection(server), sock=listener, backlog=4096)
    if worker.number == 0:
        worker.lifeline.setblocking(False)
        for _ in worker.children:
            await loop.sock_recv(worker.lifeline, 1)
        host, port = listener.getsockname()
        _say({"url": f"http://{host}:{port}/v1", "pid": os.getpid(), "workers": arguments.workers})
    else:
        worker.lifeline.send(b"l")
        loop.add_reader(worker.lifeline, stop.set)
    await stop.wait()
    listening.close()
    _say(statistics(server))


def _until_eof(fd: int, stop: asyncio.Event) -> None:
    if not os.read(fd, 4096):
        stop.set()


def _say(line: Mapping[str, object]) -> None:
    os.write(1, msgspec.json.encode(line) + b"\n")


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    return listener


def main() -> None:
    arguments = _arguments()
    # Each worker listens for itself; this socket holds the port until they do.
    first = _listener(arguments.host, arguments.port)
    worker = _fork(arguments.workers)
    listener = _listener(arguments.host, first.getsockname()[1])
    first.close()
    run = uvloop.run if uvloop is not None else asyncio.run
    try:
        run(serve(listener, arguments, worker))
    finally:
        for pid in worker.children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for pid in worker.children:
            os.waitpid(pid, 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--host", default="127.0.0.1", help="any other needs a --key")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the port")
    parser.add_argument("--turns", type=int, default=5, help="turns of a conversation")
    parser.add_argument("--calls", type=int, default=1, help="parallel calls in a turn")
    parser.add_argument("--answer", default="The answer is 42.")
    parser.add_argument("--plan", default="", help="what every conversation without one of its own "
                        "plays, JSON: turns and answer")  # fmt: skip
    parser.add_argument("--latency", default="0", help="SECONDS, uniform:LOW,HIGH, "
                        "exponential:MEAN or lognormal:MEDIAN,SIGMA")  # fmt: skip
    parser.add_argument("--faults", default="", help="NAME=RATE,...: status:500, reset, truncate, "
                        "drip:0.01, garbage, empty, malformed, hang, echo:400")  # fmt: skip
    parser.add_argument("--rpm", type=float, default=0, help="requests a minute; 0: no limit")
    parser.add_argument("--tpm", type=float, default=0, help="tokens a minute; 0: no limit")
    parser.add_argument("--cached-share", type=float, default=0.0, help="of the prompt's tokens")
    parser.add_argument("--key", default="", help="let in only this, 16 characters at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--until-eof", action="store_true", help="stop when stdin closes")
    arguments = parser.parse_args()
    try:
        Guard.listening(arguments.host, token=arguments.key or None)
    except Unguarded as error:
        parser.error(str(error))
    return arguments


if __name__ == "__main__":
    main()
