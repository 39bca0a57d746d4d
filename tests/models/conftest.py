"""A fake model server in a process of its own, and an HTTP client that plays answers."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from nexau.transports.http import HttpResponse

ROOT = Path(__file__).parents[2]

StartFake = Callable[..., AbstractAsyncContextManager[str]]


@contextmanager
def running_fake(*arguments: str) -> Iterator[str]:
    """The server's base URL. The server ends with the block, and with this process."""
    command = [sys.executable, "-m", "bench.fake_model", "--until-eof", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.send_signal(signal.SIGTERM)
            server.stdout.read()


@pytest.fixture(scope="session")
def fake_model() -> Iterator[str]:
    """Five turns, the last of which answers; 40 % of the prompt cached."""
    with running_fake("--cached-share", "0.4") as url:
        yield url


@pytest.fixture(scope="session")
def start_fake() -> Callable[..., Any]:
    return running_fake


class PlayedResponse:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    async def read(self) -> bytes:
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._body), 7):
            yield self._body[at : at + 7]


class PlayedHttp:
    """An `HttpClient` that answers from a list: `(status, headers, body)` or an error to raise."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.timeouts: list[float | None] = []

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[HttpResponse]:
        self.requests.append({"method": method, "url": url, **json.loads(body or b"{}")})
        self.headers.append(headers or {})
        self.timeouts.append(timeout)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, given, said = answer
        yield PlayedResponse(
            status, given, said if isinstance(said, bytes) else json.dumps(said).encode()
        )


@pytest.fixture
def played_http() -> type[PlayedHttp]:
    return PlayedHttp
