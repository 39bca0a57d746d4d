"""The lean MCP server of the bench lets in what is on this machine, and no page of a browser."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

LEAN = Path(__file__).parents[2] / "bench" / "lean_server.py"
PING = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [sys.executable, str(LEAN), "--http"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.stdin.close()
        assert server.wait(30) == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
    ],
)
def test_who_is_let_in(url: str, headers: dict[str, str], status: int) -> None:
    place = urlsplit(url)
    connection = HTTPConnection(place.netloc, timeout=30)
    connection.request("POST", place.path, PING, headers)
    with closing(connection), connection.getresponse() as response:
        assert response.status == status
        body = response.read()
    assert status != 200 or json.loads(body) == {"jsonrpc": "2.0", "id": 1, "result": {}}
