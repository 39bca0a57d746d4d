"""The `openai` model against a real HTTP server, and its retries against played answers."""

import logging
import random
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from nexau import Agent, open_runtime
from nexau.definitions.values import OpenAIModel, Price
from nexau.models.base import (
    AssistantMessage,
    Message,
    ModelError,
    ModelRequest,
    SystemMessage,
    ToolMessage,
    Turn,
    UserMessage,
)
from nexau.models.endpoints import Pace, completions_url
from nexau.models.openai import OpenAIChat
from nexau.transports.http import HttpError, open_http
from nexau.transports.protocol import Text, ToolSpec, Usage

pytestmark = pytest.mark.anyio

KEY = "sk-canary-0123456789"
LOOKUP = ToolSpec(
    "db.lookup",
    "Looks a key up.",
    {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]},
)


_conversations = count()


class Never(random.Random):
    """No jitter: retries follow at once."""

    def random(self) -> float:
        return 0.0


@asynccontextmanager
async def chat(url: str, **config: Any) -> AsyncIterator[OpenAIChat]:
    async with open_http() as http:
        yield OpenAIChat(OpenAIModel("fake", url, None, **config), http, key=KEY, chance=Never(1))


def ask(text: str = "Go.", **fields: Any) -> ModelRequest:
    return ModelRequest([SystemMessage("Be brief."), UserMessage(text)], (LOOKUP,), **fields)


def faults(*names: str) -> dict[str, Any]:
    """For the first requests of one conversation."""
    return {"fake": {"id": str(next(_conversations)), "faults": list(names)}}


async def converse(model: OpenAIChat, text: str = "Go.") -> tuple[list[Turn], list[Message]]:
    messages: list[Message] = [SystemMessage("Be brief."), UserMessage(text)]
    turns: list[Turn] = []
    while True:
        turn = await model.turn(ModelRequest(messages, (LOOKUP,), turn=len(turns)))
        turns.append(turn)
        if not turn.calls:
            return turns, messages
        messages.append(AssistantMessage(turn.content, turn.calls, turn.reasoning))
        messages += [ToolMessage(call.id, (Text("found"),)) for call in turn.calls]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation(fake_model: str, stream: bool) -> None:
    async with chat(fake_model, stream=stream, price=Price(1.0, 2.0, 0.5)) as model:
        turns, _ = await converse(model)
        first, last = turns[0], turns[-1]
        assert len(turns) == 5
        assert [call.name for call in first.calls] == ["db.lookup"]
        assert first.calls[0].arguments == {"key": "x"}
        assert (first.finish_reason, last.finish_reason) == ("tool_calls", "stop")
        assert last.content == "The answer is 42."
        assert last.model == "fake"
        usage = last.usage
        assert usage.cached_tokens == int(usage.input_tokens * 0.4) > 0
        plain = usage.input_tokens - usage.cached_tokens
        dollars = (plain * 1.0 + usage.cached_tokens * 0.5 + usage.output_tokens * 2.0) / 1e6
        assert usage.cost == pytest.approx(dollars)
        statistics = model.statistics().prefixes
        assert (statistics.hits, statistics.misses) == (4, 1)
        assert (statistics.conversations, statistics.bytes) == (0, 0)


async def test_streamed_and_whole_answers_are_the_same(fake_model: str) -> None:
    plan = (
        '<plan>{"turns": [[{"name": "a", "arguments": {"t": "\\u00fc\\n\\"q\\""}},'
        ' {"name": "b"}]], "answer": "d\\u00e9j\\u00e0 vu"}</plan>'
    )
    async with chat(fake_model) as whole, chat(fake_model, stream=True) as streamed:
        ours, _ = await converse(whole, plan)
        theirs, _ = await converse(streamed, plan)
        assert [turn.calls for turn in ours] == [turn.calls for turn in theirs]
        assert ours[-1].content == theirs[-1].content == "déjà vu"
        assert ours[0].usage.output_tokens == theirs[0].usage.output_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    ["status:408", "status:409", "status:429:retry-after-ms=1", "status:500", "status:503",
     "reset", "truncate", "garbage", "empty"],
)  # fmt: skip
async def test_faults_that_pass_are_retried(fake_model: str, fault: str, stream: bool) -> None:
    body = faults(fault, fault)
    async with chat(fake_model, stream=stream, extra_body=body) as model:
        turn = await model.turn(ask())
    assert turn.calls
    assert (turn.queue > 0) == fault.startswith("status:429")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_answer_arrives_whole(fake_model: str, stream: bool) -> None:
    body = faults("drip:0.001")
    async with chat(fake_model, stream=stream, extra_body=body) as model:
        turn = await model.turn(
            ask('<plan>{"turns": [], "answer": "gr\\u00fc\\u00df dich"}</plan>')
        )
    assert turn.content == "grüß dich"


async def test_malformed_arguments_are_kept_as_they_were_written(fake_model: str) -> None:
    body = faults("malformed")
    async with chat(fake_model, extra_body=body) as model:
        request = ask()
        turn = await model.turn(request)
        call = turn.calls[0]
        assert (call.arguments, call.malformed) == (None, '{"key": "unfinished')
        # The server refuses calls whose arguments do not parse, so this shows what is sent back.
        messages = [
            *request.messages,
            AssistantMessage(turn.content, turn.calls),
            ToolMessage(call.id, (Text("not JSON"),), is_error=True),
        ]
        assert (await model.turn(ModelRequest(messages, (LOOKUP,), turn=1))).calls


async def test_retries_end(fake_model: str) -> None:
    body = faults(*["status:500"] * 9)
    async with chat(fake_model, retries=2, extra_body=body) as model:
        with pytest.raises(ModelError, match=r"answered 500: injected .*attempt 3") as caught:
            await model.turn(ask())
    assert caught.value.status == 500


async def test_the_timeout_of_an_attempt_is_retried(fake_model: str) -> None:
    body = faults("hang")
    async with chat(fake_model, timeout=1.0, extra_body=body) as model:
        assert (await model.turn(ask())).calls


async def test_the_deadline_ends_a_turn(fake_model: str) -> None:
    body = faults(*["hang"] * 9)
    async with chat(fake_model, extra_body=body) as model:
        with pytest.raises(ModelError, match="deadline"):
            await model.turn(ask(deadline=anyio.current_time() + 0.1))
        with pytest.raises(ModelError, match="deadline has passed"):
            await model.turn(ask(deadline=anyio.current_time()))


async def test_the_budget_clamps_the_output(fake_model: str) -> None:
    async with chat(fake_model, max_tokens=1000) as model:
        text = '<plan>{"turns": [], "answer": "a long answer of many words"}</plan>'
        assert (await model.turn(ask(text))).finish_reason == "stop"
        assert (await model.turn(ask(text, max_tokens=2))).finish_reason == "length"


@pytest.mark.parametrize("stream", [False, True])
async def test_token_data(fake_model: str, stream: bool) -> None:
    body = {"logprobs": True, "return_token_ids": True}
    async with chat(fake_model, stream=stream, extra_body=body) as model:
        turn = await model.turn(ask())
        tokens = turn.tokens
        assert tokens is not None
        assert tokens.response_ids == tuple(range(turn.usage.output_tokens))
        assert len(tokens.logprobs) == len(tokens.response_ids)
        assert len(tokens.prompt_ids) == turn.usage.input_tokens
        assert (await model.turn(ask())).tokens is not None
    async with chat(fake_model, stream=stream) as model:
        assert (await model.turn(ask())).tokens is None


@pytest.mark.parametrize("stream", [False, True])
async def test_token_data_is_stored_a_step(fake_model: str, stream: bool) -> None:
    body = {"logprobs": True, "return_token_ids": True}
    agent = Agent("a", OpenAIModel("fake", fake_model, None, extra_body=body, stream=stream))
    async with open_runtime() as runtime:
        trajectory = await runtime.run(agent, '<plan>{"turns": [], "answer": "a b c d e"}</plan>')
    (step,) = trajectory.steps
    assert step.tokens is not None
    count = step.usage.output_tokens
    assert len(step.tokens.response_ids) == len(step.tokens.logprobs) == count > 1
    assert len(step.tokens.prompt_ids) == step.usage.input_tokens


async def test_an_endpoint_that_echoes_the_key(
    fake_model: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    body = faults("echo:500", "echo:429", "echo:401")
    async with open_http() as http:
        config = OpenAIModel("fake", fake_model.replace("//", "//us:er@"), None, extra_body=body)
        headers = {"X-Token": "Token tok-canary", "Authorization": f"Bearer {KEY}"}
        model = OpenAIChat(config, http, key=KEY, headers=headers, chance=Never())
        with pytest.raises(ModelError, match=r"answered 401.*hidden") as caught:
            await model.turn(ask())
        shown = [*traceback.format_exception(caught.value), repr(model), repr(caught.value)]
        (endpoint,) = vars(model)["_endpoints"]
        shown += [repr(vars(model)), repr(endpoint), repr(endpoint.headers)]
        shown += [caplog.text, *capsys.readouterr()]
    assert not any("canary" in text for text in shown)
    assert caught.value.status == 401


COMPLETION = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}


def quiet(http: Any, **config: Any) -> OpenAIChat:
    return OpenAIChat(OpenAIModel("m", "http://h/v1", None, **config), http, chance=Never())


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 413, 422])
async def test_other_statuses_are_not_retried(played_http: Any, status: int) -> None:
    http = played_http((status, {}, {"error": {"message": "no\n\x1b[31mway"}}))
    with pytest.raises(ModelError, match=rf"answered {status}: no \[31mway") as caught:
        await quiet(http).turn(ask())
    assert caught.value.status == status
    assert len(http.requests) == 1


@pytest.mark.parametrize("kind", ["url", "tls"])
async def test_errors_that_would_come_again_are_not_retried(played_http: Any, kind: Any) -> None:
    http = played_http(HttpError(kind, "no", "http://h/"))
    with pytest.raises(ModelError, match="no"):
        await quiet(http).turn(ask())
    assert len(http.requests) == 1


@pytest.mark.parametrize("wait", [{"retry-after": "100"}, {"retry-after-ms": "100000"}])
async def test_no_retry_past_the_deadline(played_http: Any, wait: dict[str, str]) -> None:
    http = played_http((429, wait, b"slow down"))
    with pytest.raises(ModelError, match=r"429: slow down .*100\.\d s would be past the deadline"):
        await quiet(http).turn(ask(deadline=anyio.current_time() + 50))
    http = played_http((429, {"retry-after": "86400"}, b""))
    with pytest.raises(ModelError, match="asks to wait 86400 s"):
        await quiet(http).turn(ask())


async def test_a_date_in_retry_after(played_http: Any) -> None:
    headers = {"retry-after": "Thu, 01 Jan 1970 00:03:20 GMT"}
    http = played_http((503, headers, b"busy"))
    config = OpenAIModel("m", "http://h/v1", None)
    model = OpenAIChat(config, http, chance=Never(), wall_clock=lambda: 100.0)
    with pytest.raises(ModelError, match=r"100\.0 s would be past"):
        await model.turn(ask(deadline=anyio.current_time() + 50))


async def test_timeouts_fit_the_deadline(played_http: Any) -> None:
    http = played_http((200, {}, COMPLETION), (200, {}, COMPLETION))
    model = quiet(http, timeout=30)
    await model.turn(ask(deadline=anyio.current_time() + 7))
    await model.turn(ask())
    assert 6 < http.timeouts[0] <= 7
    assert http.timeouts[1] == 30


async def test_what_is_sent(played_http: Any) -> None:
    http = played_http((200, {}, COMPLETION))
    config = OpenAIModel(
        "m", "http://h/v1/", None, temperature=0.0, top_p=0.9, max_tokens=50, seed=7,
        stop=("END",), parallel_tool_calls=False, extra_body={"top_k": 3},
    )  # fmt: skip
    model = OpenAIChat(config, http, key=KEY, headers={"X-Team": "a"})
    await model.turn(ask(max_tokens=20))
    sent = http.requests[0]
    tools, messages = sent.pop("tools"), sent.pop("messages")
    assert sent == {
        "method": "POST", "url": "http://h/v1/chat/completions", "model": "m", "temperature": 0.0,
        "top_p": 0.9, "max_tokens": 20, "seed": 7, "stop": ["END"], "parallel_tool_calls": False,
        "top_k": 3,
    }  # fmt: skip
    assert tools[0]["function"]["parameters"] == LOOKUP.parameters
    assert messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Go."},
    ]
    assert http.headers[0]["authorization"] == f"Bearer {KEY}"
    assert http.headers[0]["x-team"] == "a"


async def test_without_tools_nothing_is_said_of_them(played_http: Any) -> None:
    http = played_http((200, {}, COMPLETION))
    model = quiet(http, parallel_tool_calls=True)
    turn = await model.turn(ModelRequest([UserMessage("hi")]))
    assert turn == Turn("hi", usage=Usage(), model="m")
    assert set(http.requests[0]) == {"method", "url", "model", "messages"}


async def test_a_prompt_that_is_not_text_is_a_model_error(played_http: Any) -> None:
    with pytest.raises(ModelError, match="cannot be encoded"):
        await quiet(played_http()).turn(ask("\ud800"))


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://x.openai.azure.com/openai?api-version=1", "max_completion_tokens"),
        ("http://127.0.0.1:8000/v1", "max_tokens"),
    ],
)
async def test_the_name_of_the_output_limit(played_http: Any, base: str, name: str) -> None:
    http = played_http((200, {}, COMPLETION))
    await OpenAIChat(OpenAIModel("m", base, None, max_tokens=5), http).turn(ask())
    assert http.requests[0][name] == 5


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h/v1", "http://h/v1/chat/completions"),
        ("http://h", "http://h/chat/completions"),
        ("http://h/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/o?api-version=2", "http://h/o/chat/completions?api-version=2"),
    ],
)
def test_the_url_of_completions(base: str, url: str) -> None:
    assert completions_url(base) == url


async def test_many_conversations_at_once(fake_model: str) -> None:
    ended: list[int] = []
    async with chat(fake_model) as model, anyio.create_task_group() as group:

        async def one(number: int) -> None:
            plan = f'{{"turns": [[{{"name": "t{number}"}}]], "answer": "answer {number}"}}'
            turns, _ = await converse(model, f"<plan>{plan}</plan>")
            assert turns[0].calls[0].name == f"t{number}"
            assert turns[-1].content == f"answer {number}"
            ended.append(number)

        for number in range(64):
            group.start_soon(one, number)
    assert sorted(ended) == list(range(64))


async def test_requests_at_once_are_bounded(
    fake_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[int] = []
    sent = Pace.sent

    def watched(pace: Pace) -> None:
        sent(pace)
        at_once.append(pace.in_flight)

    monkeypatch.setattr(Pace, "sent", watched)
    async with chat(fake_model, in_flight=2) as model, anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(model.turn, ask(f"Go {number}."))
    assert len(at_once) == 8
    assert max(at_once) == 2
    gate = model.statistics().endpoints[0].gate
    assert gate is not None
    assert (gate.limit, gate.in_flight, gate.waiting) == (2, 0, 0)


async def test_a_turn_does_not_wait_for_a_place_past_its_deadline(fake_model: str) -> None:
    async with chat(fake_model, in_flight=1) as model:
        gate = model._endpoints[0].pace.gate
        assert gate is not None
        await gate.enter()
        with pytest.raises(ModelError, match="deadline"):
            await model.turn(ask(deadline=anyio.current_time() + 0.05))
        gate.leave(anyio.current_time())
        assert await model.turn(ask())
    assert gate.statistics().waiting == 0


async def test_the_fake_refuses_what_no_endpoint_takes(fake_model: str) -> None:
    async with chat(fake_model) as model:
        messages: list[Message] = [UserMessage("hi"), ToolMessage("nobody", (Text("x"),))]
        with pytest.raises(ModelError, match="no open call 'nobody'"):
            await model.turn(ModelRequest(messages))


async def test_rate_limits_of_the_fake_are_kept(start_fake: Callable[..., Any]) -> None:
    with start_fake("--rpm", "6000", "--workers", "2") as url:
        async with chat(url, retries=50) as model, anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(converse, model)


async def test_a_wrong_key(start_fake: Callable[..., Any]) -> None:
    with start_fake("--key", "another-key-than-ours") as url:
        async with chat(url) as model:
            with pytest.raises(ModelError, match="answered 401: a bearer token is needed"):
                await model.turn(ask())


@pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["virtual time"]
)
async def test_backoff_in_virtual_time(played_http: Any) -> None:
    class Half(random.Random):
        def random(self) -> float:
            return 0.5

    def model(*answers: Any) -> OpenAIChat:
        return OpenAIChat(
            OpenAIModel("m", "http://h", None, retries=9), played_http(*answers), chance=Half()
        )

    failed: tuple[int, dict[str, str], bytes] = (500, {}, b"")
    started = anyio.current_time()
    turn = await model(*[failed] * 9, (200, {}, COMPLETION)).turn(ask())
    # 0.5 s doubles up to 30 s, half of each
    assert turn.queue == 0.5 * sum(min(30.0, 0.5 * 2**n) for n in range(9))
    assert anyio.current_time() - started == pytest.approx(turn.queue)
    started = anyio.current_time()
    turn = await model((429, {"retry-after": "20"}, b""), (200, {}, COMPLETION)).turn(ask())
    assert turn.queue == 20.5
    with pytest.raises(ModelError, match="past the deadline"):
        await model(*[failed] * 9).turn(ask(deadline=anyio.current_time() + 10))
    assert anyio.current_time() - started < 20.5 + 10
