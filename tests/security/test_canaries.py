"""A secret that a server and an endpoint know, and try to give away: it is in no output."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from nexau.secrets.forms import REDACTED
from tests.models.conftest import running_fake

CANARY = 'canary-7c1e"94\\bird'
"""With what JSON escapes."""
PARTS = ("7c1e", "bird", "Y2FuYXJ5")
"""Of it, and of its base64."""
KEY = "canary-endpoint-key-5f2"
PATTERN = "AKIAIOSFODNN7CANARYX"
SERVER = Path(__file__).parent / "servers" / "leaky.py"

AGENT = """
name: clerk
model: MODEL
system_prompt: "Never tell anybody PATTERN."
tools: [{mcp: shop}]
mcp_servers:
  shop:
    command: "{python}"
    args: [SERVER START]
    env: {SHOP_TOKEN: "${SHOP_SECRET}"}
    sessions: rollout
"""
CALLS = ("result", "structured", "refusal", "fault", "malformed", "dies", "result")
SCRIPT = {"root": [*({"calls": [{"name": n, "arguments": {}}]} for n in CALLS), {"content": "ok"}]}


class Place:
    """A folder with an agent and tasks, and the command line in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "script.yaml").write_text(json.dumps(SCRIPT))
        (path / "tasks.jsonl").write_text(json.dumps({"input": f"say {PATTERN}"}) + "\n")

    def agent(self, model: str = "script:script.yaml", start: str = "") -> None:
        text = AGENT.replace("SERVER", str(SERVER)).replace("MODEL", model)
        text = text.replace(" START", f", {start}" if start else "").replace("PATTERN", PATTERN)
        (self.path / "agent.yaml").write_text(text)

    def run(self, *arguments: str, **environ: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "nexau.cli.main", *arguments],
            cwd=self.path,
            env={**os.environ, "SHOP_SECRET": CANARY, "MODEL_KEY": KEY, **environ},
            capture_output=True,
            text=True,
            timeout=150,
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path)
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.name not in ("agent.yaml", "tasks.jsonl", "script.yaml"):
            assert_silent(file.read_text())


def assert_silent(*texts: str) -> None:
    for text in texts:
        for part in (*PARTS, KEY, PATTERN):
            assert part not in text, text
        assert "\x1b" not in text


@pytest.mark.parametrize("emit", ["trajectories", "events"])
def test_rollouts(place: Place, emit: str) -> None:
    place.agent()
    options = ("--emit", emit, "--summary", "summary.json", "--log-level", "debug")
    kept = ("--out", "run") if emit == "events" else ()
    code, out, err = place.run("rollout", "agent.yaml", "tasks.jsonl", *options, *kept)
    assert code == 0, err
    assert not kept or (place.path / "run").is_dir()
    lines = [json.loads(line) for line in out.splitlines()]
    assert_silent(out, err)
    assert out.count(REDACTED) >= 8
    kinds = {line["type"] for line in lines}
    assert kinds & {"trajectory", "step", "result"}


def test_forms_are_left_where_they_are_not_wanted(place: Place) -> None:
    place.agent()
    code, out, err = place.run("rollout", "agent.yaml", "tasks.jsonl", "--redact", "known")
    assert code == 0, err
    assert PATTERN in out
    assert_silent(out.replace(PATTERN, ""), err)


@pytest.mark.parametrize(
    ("start", "command"),
    [
        ("fails", ("rollout", "agent.yaml", "tasks.jsonl")),
        ("noise", ("mcp", "tools", "agent.yaml:shop")),
    ],
)
def test_servers_that_do_not_start(place: Place, start: str, command: tuple[str, ...]) -> None:
    place.agent(start=start)
    code, out, err = place.run(*command, NEXAU_LOG="debug")
    assert code == 1
    assert REDACTED in err
    assert_silent(out, err)


@pytest.mark.parametrize("tool", ["structured", "dies"])
def test_one_call(place: Place, tool: str) -> None:
    place.agent()
    code, out, err = place.run("mcp", "call", "agent.yaml:shop", tool)
    assert code == (0 if tool in ("result", "structured") else 1)
    assert_silent(out, err)
    assert REDACTED in out or tool == "dies"


def test_listed_tools(place: Place) -> None:
    place.agent()
    _, out, err = place.run("mcp", "tools", "agent.yaml:shop")
    assert_silent(out, err)
    assert REDACTED in out


def test_an_endpoint_that_echoes_the_key(place: Place) -> None:
    with running_fake("--faults", "echo:400=1") as url:
        model = f'{{kind: openai, name: m, base_url: "{url}", api_key_env: MODEL_KEY}}'
        place.agent(model)
        code, out, err = place.run("rollout", "agent.yaml", "tasks.jsonl", "--log-level", "debug")
    assert code == 1
    assert json.loads(out)["error"]["kind"] == "model"
    assert_silent(out, err)


class Chatty(BaseHTTPRequestHandler):
    """A model that says all it knows, two letters at a time; and a collector of lines."""

    taken: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/lines":
            self.taken.append(body.decode())
            self._reply(b"", "text/plain")
            return
        said = f"It is {KEY}, or {CANARY}, or {PATTERN} then."
        deltas = [{"delta": {"content": said[at : at + 2]}} for at in range(0, len(said), 2)]
        choices = [*deltas, {"delta": {}, "finish_reason": "stop"}]
        events = [f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices]
        self._reply("".join([*events, "data: [DONE]\n\n"]).encode(), "text/event-stream")

    def _reply(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def chatty() -> Iterator[str]:
    Chatty.taken.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Chatty) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("emit", ["trajectories", "events"])
def test_a_key_said_two_letters_at_a_time(place: Place, chatty: str, emit: str) -> None:
    model = f'kind: openai, name: m, base_url: "{chatty}", api_key_env: MODEL_KEY, stream: true'
    place.agent(f"{{{model}}}")
    options = ("--emit", emit, "--sink", f"{chatty}/lines,emit={emit}")
    code, out, err = place.run("rollout", "agent.yaml", "tasks.jsonl", *options)
    assert code == 0, err
    posted = "".join(Chatty.taken)
    assert posted.splitlines() == out.splitlines()
    deltas = [line for line in map(json.loads, out.splitlines()) if line["type"] == "delta"]
    said = "".join(delta["text"] for delta in deltas)
    assert said.count(REDACTED) == (3 if emit == "events" else 0)
    assert_silent(out, err, posted, said)
