"""Ports of the loopback interface, for servers that are told theirs."""

import random
import socket
from contextlib import suppress

_PORTS = range(15_000, 32_000)
"""Below those that systems give to outgoing connections (Linux from 32,768 on): such a one could
take the port between our look and the server's start."""
_TRIES = 100
_chance = random.SystemRandom()


def free_port() -> int:
    """One on which nobody listens now. Nobody holds it: a server may still find it taken."""
    for _ in range(_TRIES):
        port = _chance.choice(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    with socket.create_server(("127.0.0.1", 0)) as listener:
        given: int = listener.getsockname()[1]
        return given
