"""Free ports: what is listened on is not given, nor what outgoing connections use."""

import socket

import pytest

from nexau.transports import ports


def test_below_those_of_outgoing_connections() -> None:
    assert all(port in range(15_000, 32_000) for port in (ports.free_port() for _ in range(50)))


def test_one_that_is_taken_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", ports.free_port())) as taken:
        port = taken.getsockname()[1]
        free = ports.free_port()
        monkeypatch.setattr(ports, "_PORTS", [port, free])
        assert {ports.free_port() for _ in range(20)} == {free}


def test_another_where_all_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", ports.free_port())) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_PORTS", [port])
        assert ports.free_port() != port
