"""The fake model server is honest: what a strict endpoint refuses, it refuses."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from nexau.transports.http import HttpError, open_http

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "hi"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "x"}


def bad_call(**function: str) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [{**CALL, "function": function}]}


async def post(url: str, body: Any, path: str = "/chat/completions") -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with open_http() as http, http.request("POST", url + path, body=data) as response:
        return response.status, json.loads(await response.read())


@pytest.mark.parametrize(
    "messages",
    [[USER], [USER, CALLING, RESULT], [{"role": "system", "content": "s"}, USER, CALLING, RESULT]],
)
async def test_valid_conversations(fake_model: str, messages: list[Any]) -> None:
    status, answer = await post(fake_model, {"model": "m", "messages": messages})
    assert status == 200
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "invalid request"),
        ({"messages": [USER]}, "`model`"),
        ({"model": "m", "messages": []}, "messages is empty"),
        ({"model": "m", "messages": [{"role": "robot", "content": "x"}]}, "unknown role"),
        ({"model": "m", "messages": [{"role": "user"}]}, "no content"),
        ({"model": "m", "messages": [RESULT]}, "no open call"),
        ({"model": "m", "messages": [USER, CALLING]}, "calls without a result"),
        ({"model": "m", "messages": [USER, CALLING, USER]}, "calls without a result"),
        ({"model": "m", "messages": [USER, CALLING, RESULT, RESULT]}, "no open call"),
        ({"model": "m", "messages": [USER, {**CALLING, "tool_calls": [CALL, CALL]}]}, "share an"),
        ({"model": "m", "messages": [USER, bad_call(name="a b", arguments="{}")]}, "a bad call"),
        ({"model": "m", "messages": [USER, bad_call(name="a", arguments="{")]}, "a bad call"),
        ({"model": "m", "messages": [USER, {"role": "assistant"}]}, "neither"),
        ({"model": "m", "messages": [USER], "tools": [{"function": {"name": "a.b"}}]}, "tool name"),
        ({"model": "m", "messages": [{"role": "user", "content": "<plan>{</plan>"}]}, "the plan"),
    ],
)
async def test_invalid_requests(fake_model: str, body: Any, says: str) -> None:
    status, answer = await post(fake_model, body)
    assert status == 400
    assert says in answer["error"]["message"]


async def test_other_paths(fake_model: str) -> None:
    assert (await post(fake_model, {}, "/models"))[0] == 404


async def test_arguments_come_from_the_schema(fake_model: str) -> None:
    parameters = {
        "properties": {"a": {"type": "integer"}, "b": {"enum": ["y", "z"]}, "c": {"default": [1]},
                       "d": {}},
        "required": ["a", "b", "c"],
    }  # fmt: skip
    tools = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    _, answer = await post(fake_model, {"model": "m", "messages": [USER], "tools": tools})
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"a": 1, "b": "y", "c": [1]}


async def test_rate_limits_say_when_to_come_back(start_fake: Callable[..., Any]) -> None:
    with start_fake("--rpm", "60") as url:
        body = {"model": "m", "messages": [USER]}
        async with open_http() as http:
            seen: list[tuple[int, str]] = []
            for _ in range(3):
                async with http.request(
                    "POST", f"{url}/chat/completions", body=json.dumps(body).encode()
                ) as response:
                    seen.append((response.status, response.headers.get("retry-after-ms", "")))
    assert [status for status, _ in seen] == [200, 429, 429]
    assert 0 < int(seen[1][1]) <= 1000


async def test_random_faults(start_fake: Callable[..., Any]) -> None:
    with start_fake("--faults", "status:503=0.3,reset=0.3", "--seed", "1") as url:
        seen: set[Any] = set()
        for _ in range(40):
            try:
                seen.add((await post(url, {"model": "m", "messages": [USER]}))[0])
            except HttpError as error:
                seen.add(error.kind)
    assert seen == {200, 503, "closed"}


async def test_latency(start_fake: Callable[..., Any]) -> None:
    with start_fake("--latency", "uniform:0.05,0.1") as url:
        started = anyio.current_time()
        await post(url, {"model": "m", "messages": [USER]})
        assert anyio.current_time() - started >= 0.05


def test_workers_end_with_their_parent() -> None:
    command = [sys.executable, "-m", "bench.fake_model", "--workers", "3", "--until-eof"]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        assert json.loads(server.stdout.readline())["workers"] == 3
        server.stdin.close()
        ends = [json.loads(line) for line in server.stdout]  # until all have closed it
        assert len(ends) == 3
        assert server.wait() == 0


def test_workers_do_not_outlive_a_killed_parent() -> None:
    command = [sys.executable, "-m", "bench.fake_model", "--workers", "2"]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        server.kill()
        assert len(server.stdout.readlines()) == 1  # the last words of the other worker


def test_a_signal_ends_it() -> None:
    command = [sys.executable, "-m", "bench.fake_model"]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        server.send_signal(signal.SIGINT)
        end = json.loads(server.stdout.readline())
        assert (end["served"], server.wait()) == (0, 0)
        assert end["cpu_seconds"] > 0


async def test_a_page_under_a_rebound_name_is_turned_away(fake_model: str) -> None:
    port = int(fake_model.rsplit(":", 1)[1].split("/")[0])
    for host, origin, status in (
        (f"127.0.0.1:{port}", "", b"200"),
        ("rebound.example", "", b"421"),
        (f"127.0.0.1:{port}", "Origin: http://page.example\r\n", b"403"),
    ):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(f"GET /stats HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n".encode())
            assert (await stream.receive()).split(b" ")[1] == status


def test_bound_elsewhere_it_asks_for_a_key() -> None:
    command = [sys.executable, "-m", "bench.fake_model", "--host", "0.0.0.0"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "give a token, or bind to 127.0.0.1" in done.stderr
