"""An OpenAI-compatible HTTP server that plays a script: good, malformed, truncated, slow, refusing.

What a conversation gets is decided by its first line and how often it has come: the server keeps no
order between conversations, so they may run side by side.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str, str], str]
"""From the system prompt and the request to a good answer."""
Script = Callable[[str, int], str]
"""From the request and its attempt to what is played."""


class Scripted:
    """What the server was asked, and what it plays."""

    def __init__(self, answer: Answer, script: Script, slow: float) -> None:
        self.answer = answer
        self.script = script
        self.slow = slow
        self.requests: list[dict[str, Any]] = []
        self.played: Counter[str] = Counter()
        self.url = ""
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def play(self, body: dict[str, Any]) -> tuple[int, dict[str, Any], float]:
        system, user = (message["content"] for message in body["messages"][-2:])
        key = system + user.partition("\n\nYour last answer was:")[0].partition("\n\nIt was ")[0]
        with self._lock:
            attempt = self._seen[key]
            self._seen[key] += 1
            self.requests.append(body)
            kind = self.script(key, attempt)
            self.played[kind] += 1
        if kind == "broken":
            return 500, {"error": {"message": "it is broken"}}, 0
        text = {"refuse": "I'm sorry, but I can't help with that.", "empty": ""}.get(kind)
        if text is None:
            text = self.answer(system, user)
        if kind == "malformed":
            text = text.replace('":', '"', 1)
        if kind == "fenced":
            text = f"Here you are:\n```json\n{text}\n```\nAnything else?"
        reason = "length" if kind == "truncated" else "stop"
        if kind == "truncated":
            text = text[: len(text) // 2]
        message = {"role": "assistant", "content": text}
        choices = [{"index": 0, "message": message, "finish_reason": reason}]
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        made = {"id": "x", "object": "chat.completion", "model": "m", "choices": choices}
        return 200, {**made, "usage": usage}, self.slow if kind == "slow" else 0


@contextmanager
def scripted_model(
    answer: Answer, script: Script = lambda _, __: "good", slow: float = 1.0
) -> Iterator[Scripted]:
    """The server, on loopback, until the block ends."""
    played = Scripted(answer, script, slow)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            status, made, seconds = played.play(json.loads(self.rfile.read(length)))
            time.sleep(seconds)
            data = json.dumps(made).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    played.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield played
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
