"""An MCP server (2025-11-25, standard library only) that misbehaves in every way.

Each tool is a way to break the protocol during a call; the first argument on the command line is a
way to break it at the start (see `START`), or `http`: then the same tools answer over streamable
HTTP, each with an event stream in which every line that they write is an event. It prints its port.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CANCELLED = []
HELD = []
INBOX = []


START = sys.argv[1] if len(sys.argv) > 1 else ""


class Streams(threading.local):
    """Over HTTP: the event stream that this thread answers with."""

    current = None


STREAMS = Streams()
POSTED = queue.Queue()
"""Over HTTP: what the client posted while a tool waited for it."""


def write(data: bytes) -> None:
    if STREAMS.current is not None:
        STREAMS.current.write(data)
        return
    while data:
        data = data[os.write(1, data) :]


def send(message) -> None:
    write(json.dumps(message).encode() + b"\n")


def notify(method: str, **params) -> None:
    send({"jsonrpc": "2.0", "method": method, "params": params})


def text(said: str):
    return {"content": [{"type": "text", "text": said}]}


def reply(request_id, result) -> None:
    send({"jsonrpc": "2.0", "id": request_id, "result": result})


def receive():
    """The next message, or None at the end of stdin."""
    if STREAMS.current is not None:
        return POSTED.get(timeout=20)
    while not INBOX or b"\n" not in INBOX[0]:
        data = os.read(0, 65_536)
        if not data:
            return None
        INBOX[:] = [b"".join(INBOX) + data]
    line, _, rest = INBOX[0].partition(b"\n")
    INBOX[:] = [rest]
    return json.loads(line)


def echo(i, a):
    reply(i, text(a.get("text", "")))


def pid(i, a):
    reply(i, text(str(os.getpid())))


def wrong_id(i, a):
    reply(i + 100_000, text("for somebody else"))


def string_id(i, a):
    reply(str(i), text("ok"))


def float_id(i, a):
    reply(float(i), text("ok"))


def object_id(i, a):
    reply({"id": i}, text("ok"))


def null_id(i, a):
    send({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "what?"}})


def double(i, a):
    reply(i, text("first"))
    reply(i, text("second"))


def hold(i, a):
    HELD.append((i, STREAMS.current))
    wait_for_the_client()


def release(i, a):
    """Answer this call first, then those held, latest first, in one write."""
    ids = [(i, STREAMS.current), *reversed(HELD)]
    HELD.clear()
    lines = []
    for one, stream in ids:
        line = {"jsonrpc": "2.0", "id": one, "result": text(f"answer {one - i}")}
        lines.append(json.dumps(line).encode() + b"\n")
        if stream is not None:
            stream.write(lines.pop())
            stream.done.set()
    if lines:
        write(b"".join(lines))


def wait_for_the_client() -> None:
    """Over HTTP the stream of a call stays open: until somebody else answers, or for long."""
    if STREAMS.current is not None:
        STREAMS.current.done.wait(20)


def coalesced(i, a):
    """A notification, an answer to nobody and the answer, glued together."""
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info"}}
    stray = {"jsonrpc": "2.0", "id": i + 100_000, "result": text("for nobody")}
    answer = {"jsonrpc": "2.0", "id": i, "result": text("ok")}
    write(b"".join(json.dumps(line).encode() + b"\n" for line in (note, stray, answer)))


def chatty(i, a):
    for number in range(20):
        notify("notifications/message", level="info", data=number)
    notify("notifications/unheard_of")
    reply(i, text("ok"))


def flood(i, a):
    line = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info"}}
    write((json.dumps(line).encode() + b"\n") * 5000)
    reply(i, text("ok"))


def split(i, a):
    line = json.dumps({"jsonrpc": "2.0", "id": i, "result": text("in pieces")}).encode() + b"\n"
    for at in range(0, len(line), 7):
        write(line[at : at + 7])
        time.sleep(0.001)


def garbage(i, a):
    write(b"Listening on port 3000...\n\n\x1b[31mDEBUG\x1b[0m {not json}\n[1, 2\n\xff\xfe\n")
    reply(i, text("ok"))


def crlf(i, a):
    line = json.dumps({"jsonrpc": "2.0", "id": i, "result": text("ok")}).encode()
    write(b"\r\n \r\n" + line + b"\r\n")


def batch(i, a):
    said = {"jsonrpc": "2.0", "method": "notifications/message"}
    send([said, {"jsonrpc": "2.0", "id": i, "result": text("ok")}])


def invalid_utf8(i, a):
    body = b'{"content":[{"type":"text","text":"caf\xe9"}]}'
    write(b'{"jsonrpc":"2.0","id":%d,"result":%b}\n' % (i, body))


def truncated_json(i, a):
    write(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[\n' % i)


def huge(i, a):
    result = text("x" * a["size"])
    message = {"result": result, "jsonrpc": "2.0", "id": i} if a.get("id_last") else None
    send(message or {"jsonrpc": "2.0", "id": i, "result": result})


def deep(i, a):
    write(b'{"jsonrpc":"2.0","id":%d,"result":' % i + b"[" * 100_000 + b"]" * 100_000 + b"}\n")


def half_line(i, a):
    write(b'{"jsonrpc":"2.0","id":%d,"resu' % i)
    os._exit(0)


def whole_line_without_end(i, a):
    write(json.dumps({"jsonrpc": "2.0", "id": i, "result": text("last words")}).encode())
    os._exit(0)


def crash(i, a):
    os.write(2, b"Traceback: something terrible\n")
    os._exit(3)


def abort(i, a):
    os.abort()


def close_stdout(i, a):
    os.close(1)


def close_stdin(i, a):
    os.close(0)
    time.sleep(60)


def silent(i, a):
    wait_for_the_client()


def late(i, a):
    """Answer as soon as the call is cancelled."""
    while (message := receive()) is not None:
        if message["method"] == "notifications/cancelled":
            if STREAMS.current is None:
                CANCELLED.append(message["params"]["requestId"])
            reply(i, text("too late"))
            return


def cancelled(i, a):
    reply(i, {"content": [], "structuredContent": {"ids": CANCELLED}})


def no_content(i, a):
    reply(i, {"isError": False})


def bad_content(i, a):
    reply(i, {"content": [{"type": "hologram", "data": "..."}]})


def content_object(i, a):
    reply(i, {"content": {"type": "text", "text": "not in a list"}})


def result_list(i, a):
    reply(i, ["result"])


def result_null(i, a):
    reply(i, None)


def both(i, a):
    send({"jsonrpc": "2.0", "id": i, "result": text("yes"), "error": {"code": 1, "message": "no"}})


def neither(i, a):
    send({"jsonrpc": "2.0", "id": i})


def bad_error(i, a):
    send({"jsonrpc": "2.0", "id": i, "error": "no"})


def error(i, a):
    send({"jsonrpc": "2.0", "id": i, "error": {"code": a["code"], "message": "because"}})


def no_version(i, a):
    send({"id": i, "result": text("ok")})


def never_ending(i, a):
    """Says for ever how far it is, and never gets there."""
    for number in range(60):
        notify("notifications/progress", progressToken=i, progress=number)
        time.sleep(0.01)


def bad_progress(i, a):
    notify("notifications/progress", progressToken=987_654, progress=1)
    notify("notifications/progress", progressToken=[], progress="much")
    notify("notifications/progress", progressToken=i, progress=1, total=2)
    reply(i, text("ok"))


def breaks_schema(i, a):
    reply(i, text("ok") | {"structuredContent": {"total": "three"}})


def ask(i, a):
    """Ask the client something, and return its answer."""
    send({"jsonrpc": "2.0", "id": "q1", "method": a["method"], "params": a.get("params", {})})
    while (message := receive()) is not None:
        if message.get("id") == "q1":
            reply(i, {"content": [], "structuredContent": message})
            return


def withdraw(i, a):
    """Ask the client something, take it back, and return the ids of what was answered."""
    params = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
    send({"jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": params})
    time.sleep(0.2)
    notify("notifications/cancelled", requestId="q1", reason="never mind")
    time.sleep(0.2)
    send({"jsonrpc": "2.0", "id": "q2", "method": "ping"})
    answered = []
    while "q2" not in answered:
        answered.append((receive() or sys.exit()).get("id"))
    reply(i, {"content": [], "structuredContent": {"answered": answered}})


def interrogate(i, a):
    """A hundred questions at once, and a malformed one."""
    for number in range(100):
        send({"jsonrpc": "2.0", "id": f"q{number}", "method": "ping"})
    send({"jsonrpc": "2.0", "id": "bad", "method": "ping", "params": [1, 2]})
    answers = {}
    while len(answers) < 101:
        message = receive() or sys.exit()
        answers[message["id"]] = "result" if "result" in message else "error"
    reply(i, {"content": [], "structuredContent": answers})


def list_changed(i, a):
    notify("notifications/tools/list_changed")
    reply(i, text("ok"))


def stderr(i, a):
    for number in range(2000):
        os.write(2, b"%04d " % number + b"noise " * 100 + b"\n")
    reply(i, text("ok"))


def grandchild(i, a):
    """Leave a process behind that holds our pipes open and ignores SIGTERM."""
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-S", "-c", code])
    reply(i, text(str(child.pid)))


def deaf(i, a):
    """Read nothing for a while."""
    time.sleep(a["seconds"])
    reply(i, text("ok"))


TOOLS = {
    name: function
    for name, function in list(globals().items())
    if getattr(function, "__code__", None) is not None
    and function.__code__.co_varnames[:2] == ("i", "a")
}


def listing(cursor):
    if START == "endless_cursor":
        return {"tools": [], "nextCursor": "again"}
    names = sorted(TOOLS)
    page = int(cursor or 0)
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in names[page : page + 20]]
    for tool in tools:
        if tool["name"] == "breaks_schema":
            total = {"total": {"type": "integer"}}
            tool["outputSchema"] = {"type": "object", "properties": total}
    more = page + 20 < len(names)
    return {"tools": tools} | ({"nextCursor": str(page + 20)} if more else {})


def handle(message) -> None:
    method, request_id = message.get("method"), message.get("id")
    params = message.get("params") or {}
    if method == "notifications/cancelled":
        CANCELLED.append(params["requestId"])
    elif method == "server/discover" and START == "discover_kills":
        sys.exit(1)
    elif method == "server/discover" and START == "ignores_discover":
        pass
    elif method == "initialize" and START == "nonsense":
        reply(request_id, 5)
    elif method == "initialize":
        version = "1999-01-01" if START == "bad_version" else "2025-11-25"
        info = {"name": "misbehave", "version": "1"}
        capabilities = {} if START == "no_tools" else {"tools": {"listChanged": True}}
        reply(
            request_id,
            {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info},
        )
    elif method == "tools/list":
        reply(request_id, listing(params.get("cursor")))
    elif method == "ping":
        reply(request_id, {})
    elif method == "tools/call" and params["name"] in TOOLS:
        TOOLS[params["name"]](request_id, params.get("arguments") or {})
    elif request_id is not None:
        unknown = method == "tools/call"
        code, said = (-32602, "no such tool") if unknown else (-32601, "no such method")
        send({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": said}})


class Stream:
    """An answer over HTTP: each line becomes an event, cut where it was cut."""

    def __init__(self, handler) -> None:
        self.handler = handler
        self.at_line_start = True
        self.done = threading.Event()
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()

    def write(self, data: bytes) -> None:
        out = b""
        for line in data.splitlines(keepends=True):
            out += b"data: " + line if self.at_line_start else line
            self.at_line_start = line.endswith(b"\n")
            out += b"\n" if self.at_line_start else b""
        self.chunk(out)

    def chunk(self, data: bytes) -> None:
        try:
            self.handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.handler.wfile.flush()
        except OSError:
            self.handler.close_connection = True


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_) -> None:
        pass

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "method" not in message or message["method"] == "notifications/cancelled":
            POSTED.put(message)
        if message.get("method") and message.get("id") is not None:
            STREAMS.current = stream = Stream(self)
            handle(message)
            stream.chunk(b"")
            return
        if message.get("method") == "notifications/cancelled":
            CANCELLED.append(message["params"]["requestId"])
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_error(405)


def serve_http() -> None:
    ThreadingHTTPServer.request_queue_size = 256
    server = ThreadingHTTPServer(("127.0.0.1", 0), Http)
    server.daemon_threads = True
    os.write(1, b"%d\n" % server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    if START == "http":
        serve_http()
    if START == "exits":
        sys.exit("no API key\n" * 3)
    if START == "killed":
        os.kill(os.getpid(), 9)
    if START == "mute":
        time.sleep(600)
    if START == "banner":
        write(b"Usage: something else entirely\n")
        time.sleep(600)
    if START == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while (message := receive()) is not None:
        handle(message)
    if START == "stubborn":
        time.sleep(600)
