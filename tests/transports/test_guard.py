"""Who is let in to a server of ours: names, origins, tokens."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from nexau.transports.guard import MIN_TOKEN, Guard, GuardedApp, Unguarded, new_token

pytestmark = pytest.mark.anyio

TOKEN = "t" * MIN_TOKEN
LOOPBACK = Guard.listening("127.0.0.1")


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"])
def test_loopback_needs_no_token(address: str) -> None:
    Guard.listening(address)


@pytest.mark.parametrize("address", ["0.0.0.0", "", "::", "192.168.1.5", "example.org", "10.0.0.1"])
def test_what_others_can_reach_needs_one(address: str) -> None:
    with pytest.raises(Unguarded, match="give a token, or bind to"):
        Guard.listening(address)
    Guard.listening(address, token=new_token())
    with pytest.raises(Unguarded, match="fewer than"):
        Guard.listening(address, token="short")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", None),
        ("127.0.0.1", None),
        ("LOCALHOST:1", None),
        ("app.localhost:3000", None),
        ("[::1]:8000", None),
        ("127.0.0.1.", None),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8000", 421),
        ("localhost.evil.example", 421),
        ("evillocalhost", 421),
        ("192.168.0.7", 421),
        ("localhost:8000@evil.example", 421),
        ("localhost:port", 421),
        ("localhost/evil", 421),
        ("[::1]evil", 421),
        ("2130706433", 421),
        ("0x7f.1", 421),
        ("", 400),
        (None, 400),
    ],
)
def test_hosts(host: str | None, status: int | None) -> None:
    refusal = LOOPBACK.refusal(host, None, None)
    assert (refusal and refusal.status) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8000", None),
        ("https://127.0.0.1:8000", None),
        ("https://studio.example", None),
        ("http://127.0.0.1:3000", 403),
        ("http://localhost:8000", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_origins(origin: str, status: int | None) -> None:
    guard = Guard(origins=["https://studio.example/"])
    for _ in range(2):  # the second time from memory
        refusal = guard.refusal("127.0.0.1:8000", origin, None)
        assert (refusal and refusal.status) == status


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (f"Bearer {TOKEN}", None),
        (f"bearer  {TOKEN} ", None),
        (None, 401),
        ("", 401),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN.upper()}", 401),
        ("Bearer \xff\u0394", 401),
    ],
)
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_tokens(address: str, given: str | None, status: int | None) -> None:
    guard = Guard.listening(address, token=TOKEN)
    refusal = guard.refusal("127.0.0.1:8000", None, given)
    assert (refusal and refusal.status) == status


def test_bound_elsewhere_any_name_will_do_unless_they_are_listed() -> None:
    authorization = f"Bearer {TOKEN}"
    open_ = Guard.listening("0.0.0.0", token=TOKEN)
    assert open_.refusal("box.example:80", None, authorization) is None
    listed = Guard.listening("0.0.0.0", token=TOKEN, hosts=["box.example"])
    assert listed.refusal("BOX.example:80", None, authorization) is None
    refusal = listed.refusal("evil.example", None, authorization)
    assert refusal is not None
    assert refusal.status == 421


def test_memory_of_names_is_bounded() -> None:
    guard = Guard(hosts=None)
    for number in range(1000):
        assert guard.refusal(f"h{number}.example", None, None) is None
    assert len(guard._known) < 1000


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"Host: 127.0.0.1:1\r\nX: y", None),
        (b"X: y\r\nHOST:localhost", None),
        (b"Host: 127.0.0.1\r\nOrigin: http://evil.example", 403),
        (b"Host: 127.0.0.1\r\nHost: evil.example", 400),
        (b"Host : 127.0.0.1", 400),
        (b"X-Host: 127.0.0.1", 400),
        (b"X: Host: 127.0.0.1", 400),
    ],
)
def test_raw_heads(lines: bytes, status: int | None) -> None:
    head = b"POST / HTTP/1.1\r\n" + lines
    for each in (head, head + b"\r\n\r\n"):
        refusal = LOOPBACK.of_head(each)
        assert (refusal and refusal.status) == status


def test_raw_token() -> None:
    guard = Guard.listening("::", token=TOKEN)
    head = b"GET / HTTP/1.1\r\nhost: x\r\nauthorization: Bearer "
    assert guard.of_head(head + TOKEN.encode()) is None
    assert guard.of_head(head + b"no") is not None


async def request(*headers: tuple[bytes, bytes], kind: str = "http") -> tuple[bool, list[Any]]:
    """Whether the application was reached, and what was sent."""
    reached, sent = False, []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal reached
        reached = True

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nothing is read of a request that is refused")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    await GuardedApp(app, LOOPBACK)({"type": kind, "headers": headers}, receive, send)
    return reached, sent


async def test_the_application_sees_none_of_what_is_refused() -> None:
    assert (await request((b"host", b"localhost")))[0]
    reached, sent = await request((b"host", b"evil.example"))
    assert not reached
    assert sent[0]["status"] == 421
    assert sent[1]["body"]
    reached, sent = await request((b"host", b"localhost"), (b"host", b"localhost"))
    assert (reached, sent[0]["status"]) == (False, 400)
    reached, sent = await request((b"host", b"evil.example"), kind="websocket")
    assert (reached, sent[0]["type"]) == (False, "websocket.close")
    assert (await request(kind="lifespan"))[0]
