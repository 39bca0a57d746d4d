"""Several endpoints of one model: shares, staying, moving on, limits, holds."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from nexau.definitions.values import DefinitionError, Endpoint, OpenAIModel
from nexau.models import endpoints
from nexau.models.base import ModelError, ModelRequest, Turn, UserMessage
from nexau.models.endpoints import Pace, choose
from nexau.models.openai import OpenAIChat
from nexau.models.registry import open_model
from nexau.transports.http import HttpError, HttpResponse, open_http
from nexau.transports.protocol import Usage

pytestmark = pytest.mark.anyio

VIRTUAL = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["virtual time"]
)
USAGE = {"prompt_tokens": 60, "completion_tokens": 40}
COMPLETION = {"choices": [{"message": {"content": "hi"}}], "usage": USAGE}


class Served:
    """An `HttpClient` whose hosts answer by a function of the time: a status, or an error."""

    def __init__(self, hosts: Mapping[str, Callable[[float], Any]], response: Any) -> None:
        self.hosts = hosts
        self.response = response
        self.sent: list[tuple[float, str]] = []

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
        host = url.split("/")[2]
        self.sent.append((anyio.current_time() - self.started, host))
        await anyio.sleep(0.1)
        answer: Any = self.hosts[host](anyio.current_time() - self.started)
        if answer == "hang":
            assert timeout is not None
            await anyio.sleep(timeout)
            raise HttpError("timeout", "timed out", url)
        if answer == "connect":
            raise HttpError("connect", "refused", url)
        status, given = answer if isinstance(answer, tuple) else (answer, {})
        async with self.response((status, given, COMPLETION)).request("GET", url) as response:
            yield response

    def start(self) -> None:
        self.started = anyio.current_time()

    def at(self, host: str) -> list[float]:
        return [at for at, to in self.sent if to == host]


def serve(played_http: Any, **hosts: Callable[[float], Any]) -> Served:
    served = Served(hosts, played_http)
    served.start()
    return served


def ok(now: float) -> Any:
    return 200


def ask(seed: int = 0, **fields: Any) -> ModelRequest:
    return ModelRequest([UserMessage("Go.")], seed=seed, task="t", **fields)


def model(http: Any, *hosts: str, **config: Any) -> OpenAIChat:
    each = tuple(Endpoint(f"http://{host}/v1") for host in hosts)
    made = open_model(
        OpenAIModel("m", api_key_env=None, endpoints=each, **config),
        base_dir=None, http=http, environ={}, chance=random.Random(1),
    )  # fmt: skip
    assert isinstance(made, OpenAIChat)
    return made


def test_conversations_are_shared_by_weight_and_stay() -> None:
    three = [
        endpoints.Endpoint(f"http://{name}", weight=weight)
        for name, weight in (("a", 1.0), ("b", 2.0), ("c", 1.0))
    ]
    keys = [str(number) for number in range(4000)]
    first = {key: choose(three, key, 0.0) for key in keys}
    shares = Counter(endpoint.url[7] for endpoint in first.values())
    assert shares["b"] == pytest.approx(2000, rel=0.1)
    assert shares["a"] == pytest.approx(1000, rel=0.1)
    # One that is out of use gives its conversations to the others, and nobody else moves.
    three[1].pace.health.failed(0.0, sent=0.0, outright=True)
    second = {key: choose(three, key, 0.0) for key in keys}
    moved = [key for key in keys if second[key] is not first[key]]
    assert {first[key] for key in moved} == {three[1]}
    assert len(moved) == shares["b"]
    spread = Counter(second[key].url[7] for key in moved)
    assert spread["a"] == pytest.approx(len(moved) / 2, rel=0.15)
    # Where all are out of use, each goes where it would have gone.
    for endpoint in three:
        endpoint.pace.health.failed(0.0, sent=0.0, outright=True)
    assert {key: choose(three, key, 0.0) for key in keys} == first


@pytest.mark.parametrize(
    ("held", "deadline", "stays"),
    [(5.0, None, True), (20.0, None, False), (5.0, 3.0, False), (5.0, 8.0, True)],
)
def test_a_short_hold_is_waited_for(held: float, deadline: float | None, stays: bool) -> None:
    two = [endpoints.Endpoint("http://a"), endpoints.Endpoint("http://b")]
    first = choose(two, "k", 0.0)
    first.pace.hold(held)
    assert (choose(two, "k", 0.0, deadline=deadline) is first) == stays


@pytest.mark.parametrize(
    ("status", "state"),
    [(500, "unhealthy"), (200, "unhealthy"), (None, "unhealthy"),
     (429, "healthy"), (400, "healthy"), (409, "healthy")],
)  # fmt: skip
def test_what_speaks_of_health(status: int | None, state: str) -> None:
    pace = Pace()
    for _ in range(9):
        pace.failed(0.0, 1.0, sent=1.0, status=status)
    assert pace.health.state == state
    assert (pace.failures, pace.refusals) == (9, 9 if status == 429 else 0)


def test_tokens_are_settled_by_what_was_used() -> None:
    pace = Pace(tokens_per_minute=6000)  # 100 at once
    pace.reserve(0.0, 100)
    assert pace.wait(0.0, 50) == 0.5
    pace.answered(100, Usage(30, 20))
    assert pace.wait(0.0, 50) == 0
    assert pace.estimate(400) == 100 + 2  # a tenth of the answer's 20 tokens
    pace.reserve(0.0, 50)
    pace.answered(50, Usage(200, 50))
    assert pace.wait(0.0, 50) == 2.5
    pace.reserve(10.0, 100)
    pace.failed(100, 10.0, sent=10.0, status=503)
    assert pace.wait(10.0, 100) == 0


@VIRTUAL
async def test_a_rate_limit_spaces_requests(played_http: Any) -> None:
    http = serve(played_http, a=ok)
    chat = model(http, "a", requests_per_minute=60)
    turns: list[Turn] = []

    async def one(seed: int) -> None:
        turns.append(await chat.turn(ask(seed)))

    async with anyio.create_task_group() as group:
        for seed in range(5):
            group.start_soon(one, seed)
    assert http.at("a") == pytest.approx([0, 1, 2, 3, 4])
    assert sorted(turn.queue for turn in turns) == pytest.approx([0, 1, 2, 3, 4])


@VIRTUAL
async def test_a_token_limit_spaces_requests(played_http: Any) -> None:
    http = serve(played_http, a=ok)
    chat = model(http, "a", tokens_per_minute=600)
    for seed in range(4):
        await chat.turn(ask(seed))
    # A turn uses 100 tokens, ten seconds' worth, which its successor pays for.
    gaps = [later - at for at, later in zip(http.at("a"), http.at("a")[1:], strict=False)]
    assert all(9 < gap < 13 for gap in gaps), gaps


@VIRTUAL
async def test_waits_for_a_limit_end_at_the_deadline(played_http: Any) -> None:
    http = serve(played_http, a=ok)
    chat = model(http, "a", requests_per_minute=6)
    await chat.turn(ask())
    with pytest.raises(ModelError, match=r"in 9\.9 s, which would be past the deadline"):
        await chat.turn(ask(deadline=anyio.current_time() + 5))
    assert anyio.current_time() - http.started < 1
    # What was given up or cancelled takes nobody's turn.
    with anyio.move_on_after(1):
        await chat.turn(ask())
    assert (await chat.turn(ask())).queue == pytest.approx(8.9)
    (statistics,) = chat.statistics().endpoints
    assert (statistics.requests, statistics.waiting, statistics.in_flight) == (2, 0, 0)


@VIRTUAL
async def test_a_refusal_holds_back_everyone(played_http: Any) -> None:
    def refuses(now: float) -> Any:
        return (429, {"retry-after": "5"}) if now < 4 else 200

    http = serve(played_http, a=refuses)
    chat = model(http, "a")
    turns: list[Turn] = []

    async def one(seed: int) -> None:
        await anyio.sleep(seed * 0.01)
        turns.append(await chat.turn(ask(seed)))

    async with anyio.create_task_group() as group:
        for seed in range(50):
            group.start_soon(one, seed)
    early = [at for at in http.at("a") if at < 5.1]
    assert len(early) <= 11, "those that were sent before the first refusal came back"
    assert len(http.sent) == 50 + len(early)
    assert all(turn.queue > 4 for turn in turns)
    (statistics,) = chat.statistics().endpoints
    assert (statistics.refusals, statistics.health) == (len(early), "healthy")


@VIRTUAL
async def test_a_dead_endpoint_is_left_and_found_again(played_http: Any) -> None:
    def dies(now: float) -> Any:
        return "connect" if 10 < now < 20 else 200

    http = serve(played_http, a=dies, b=ok)
    chat = model(http, "a", "b")

    async def converse(seed: int) -> None:
        for turn in range(30):
            await chat.turn(ask(seed, turn=turn))
            await anyio.sleep(1)

    async with anyio.create_task_group() as group:
        for seed in range(40):
            group.start_soon(converse, seed)
    assert len(http.sent) == 40 * 30 + chat.statistics().endpoints[0].failures
    down = [at for at in http.at("a") if 10 < at < 20]
    homes = sum(choose(vars(chat)["_endpoints"], f"t\n{n}\nroot", 0.0).url[7] == "a"
                for n in range(40))  # fmt: skip
    assert 10 < homes < 30
    assert len(down) <= homes + 12, "those under way, then probes"
    back = [at for at in http.at("a") if at > 25]
    assert len(back) >= homes * 3
    assert [each.health for each in chat.statistics().endpoints] == ["healthy", "healthy"]


@VIRTUAL
async def test_a_dead_endpoint_alone_gets_no_more_than_it_had(played_http: Any) -> None:
    def restarts(now: float) -> Any:
        return "connect" if now < 4 else 200

    http = serve(played_http, a=restarts)
    chat = model(http, "a", retries=8)
    turns: list[Turn] = []

    async def one(seed: int) -> None:
        turns.append(await chat.turn(ask(seed)))

    async with anyio.create_task_group() as group:
        for seed in range(1000):
            group.start_soon(one, seed)
    assert len(turns) == 1000
    assert sum(at < 4 for at in http.at("a")) < 1000 + 20, "retries are probes only"


@VIRTUAL
@pytest.mark.parametrize(("deadline", "health"), [(5.0, "healthy"), (60.0, "unhealthy")])
async def test_a_deadline_is_not_the_endpoints_fault(
    played_http: Any, deadline: float, health: str
) -> None:
    chat = model(serve(played_http, a=lambda _: "hang"), "a", timeout=10, retries=0)

    async def one(seed: int) -> None:
        with pytest.raises(ModelError, match="timed out"):
            await chat.turn(ask(seed, deadline=anyio.current_time() + deadline))

    async with anyio.create_task_group() as group:
        for seed in range(20):
            group.start_soon(one, seed)
    (statistics,) = chat.statistics().endpoints
    assert (statistics.failures, statistics.health) == (20, health)


@VIRTUAL
async def test_failing_answers_do_not_double_the_load(played_http: Any) -> None:
    chance = random.Random(7)

    def flaky(now: float) -> Any:
        return 500 if chance.random() < 0.8 else 200

    http = serve(played_http, a=flaky)
    chat = model(http, "a", retries=3)
    failed = 0

    async def one(seed: int) -> None:
        nonlocal failed
        await anyio.sleep(seed * 0.001)
        try:
            await chat.turn(ask(seed))
        except ModelError:
            failed += 1

    async with anyio.create_task_group() as group:
        for seed in range(4000):
            group.start_soon(one, seed)
    assert 0 < failed < 4000
    # Without a budget 3.0 times the load.
    assert len(http.sent) < 4000 * 1.5


async def test_moving_on_between_real_servers(start_fake: Callable[..., Any]) -> None:
    with start_fake() as alive, start_fake() as dead:
        hosts = (alive, dead)
        each = tuple(Endpoint(url) for url in hosts)
        async with open_http() as http:
            config = OpenAIModel("fake", api_key_env=None, endpoints=each)
            chat = open_model(config, base_dir=None, http=http, environ={})
            assert isinstance(chat, OpenAIChat)
            for seed in range(20):
                await chat.turn(ask(seed))
            first = [each.requests for each in chat.statistics().endpoints]
            assert sum(first) == 20
            assert min(first) > 0
        gone = (Endpoint(alive), Endpoint("http://127.0.0.1:1/v1"))
        async with open_http() as http:
            config = OpenAIModel("fake", api_key_env=None, endpoints=gone)
            chat = open_model(config, base_dir=None, http=http, environ={})
            assert isinstance(chat, OpenAIChat)
            async with anyio.create_task_group() as group:
                for seed in range(40):
                    group.start_soon(chat.turn, ask(seed))
            well, ill = chat.statistics().endpoints
            assert (well.requests, well.failures, well.health) == (40, 0, "healthy")
            assert ill.failures == ill.requests > 0


async def test_own_limits_keep_a_strict_server_from_refusing(
    start_fake: Callable[..., Any],
) -> None:
    with start_fake("--rpm", "3000") as url:
        async with open_http() as http:
            config = OpenAIModel("fake", url, None, requests_per_minute=2400)
            chat = open_model(config, base_dir=None, http=http, environ={})
            assert isinstance(chat, OpenAIChat)
            async with anyio.create_task_group() as group:
                for seed in range(60):
                    group.start_soon(chat.turn, ask(seed))
            (statistics,) = chat.statistics().endpoints
            assert (statistics.requests, statistics.refusals) == (60, 0)


async def test_models_of_one_client_share_limits(played_http: Any) -> None:
    http, other = played_http(), played_http()
    first, second = model(http, "a", "b"), model(http, "a", "b")
    another, slower = model(other, "a", "b"), model(http, "a", "b", requests_per_minute=6)
    paces = [
        [endpoint.pace for endpoint in vars(each)["_endpoints"]]
        for each in (first, second, another, slower)
    ]
    assert paces[0] == paces[1]
    assert not {*paces[0]} & {*paces[2], *paces[3]}


async def test_keys_and_limits_of_endpoints(played_http: Any) -> None:
    each = (Endpoint("http://a", api_key_env="A"), Endpoint("http://b", weight=3))
    config = OpenAIModel("m", endpoints=each)
    environ = {"A": "key-a", "OPENAI_API_KEY": "key-of-all"}
    chat = open_model(config, base_dir=None, http=played_http(), environ=environ)
    made = vars(chat)["_endpoints"]
    assert [dict(one.headers)["authorization"] for one in made] == [
        "Bearer key-a", "Bearer key-of-all",
    ]  # fmt: skip
    assert [one.weight for one in made] == [1, 3]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (OpenAIModel("m", "http://h", None, endpoints=(Endpoint("http://a"),)), "exclude"),
        (OpenAIModel("m", api_key_env=None, endpoints=(Endpoint("http://a"), Endpoint("a"))),
         r"model\.endpoints\[1\]\.base_url: expected a URL"),
        (OpenAIModel("m", api_key_env=None, endpoints=(Endpoint("http://a"), Endpoint("http://a"))),
         "two of them"),
        (OpenAIModel("m", api_key_env=None, endpoints=(Endpoint("http://a", api_key_env="K"),)),
         r"model\.endpoints\[0\]\.api_key_env: the environment variable K is not set"),
    ],
)  # fmt: skip
def test_endpoints_that_cannot_be_used(played_http: Any, config: OpenAIModel, says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        open_model(config, base_dir=None, http=played_http(), environ={})
