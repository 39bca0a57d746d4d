"""Every reader of bytes from outside, as a function that fuzzers call: it returns, or the reader is
at fault.

A reader may raise its clean error, and nothing else. Some are asked for more: that what they give
back can be written again, that a line stays a line.
"""

import asyncio
import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct

from nexau.definitions.agentfile import check_agent
from nexau.definitions.prompts import render
from nexau.definitions.values import DefinitionError, Prompt
from nexau.files.placeholders import expand_env
from nexau.files.yamlnodes import Unreadable, parse
from nexau.fold import fold
from nexau.imports.framework import import_framework
from nexau.imports.original import import_original
from nexau.journal.ranges import Ranges
from nexau.journal.reading import read_journal, read_trajectories as read_segment
from nexau.journal.records import Events, Kept, Progress, encoder, seal_batch
from nexau.journal.recovery import Recovered, _take_events, before_interruption
from nexau.latency.profiles import read_profile
from nexau.models.check_plan import check_plan
from nexau.models.openai_stream import EventData, StreamedAnswer
from nexau.models.openai_wire import Context, NotAChatCompletion, decode_answer, turn_of
from nexau.models.replay import read_trajectories
from nexau.models.script import read_script
from nexau.pins import read_pins
from nexau.secrets.redaction import Secrets
from nexau.synth.agents.catalog import encode_catalog, read_catalog
from nexau.synth.data.checks.rules import Checker
from nexau.synth.data.convert import Options
from nexau.synth.data.export import Exporter
from nexau.synth.data.formats.registry import FORMATS, ROLLOUT_FORMATS, format_of
from nexau.synth.data.stream import trajectories
from nexau.synth.worlds.reader import parse_world
from nexau.tasks.lines import TaskLines
from nexau.transports._http_answer import Answer
from nexau.transports.guard import Guard
from nexau.transports.jsonrpc import JsonRpc
from nexau.transports.pending import Pending
from nexau.transports.schemaguard import compile_schema
from nexau.transports.sse import EventParser, TooLong
from nexau.transports.stdio import LineSplitter
from nexau.transports.toolcall import OutputSchema, error_result, read_result, to_result
from nexau.transports.visible import visible, visible_json
from nexau.transports.wire import BAD

_MEMORY = "/dev/shm"
_FOLDER = Path(
    tempfile.mkdtemp(prefix="nexau-fuzz-", dir=_MEMORY if Path(_MEMORY).is_dir() else None)
)


def _remove(owner: int = os.getpid()) -> None:
    """Not at the end of a forked child, which the tests of other modules make."""
    if os.getpid() == owner:
        shutil.rmtree(_FOLDER, ignore_errors=True)


atexit.register(_remove)
ROOT = Path(__file__).parents[2]
MAX = 4096


class Reader(Struct, frozen=True):
    name: str
    read: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    """Inputs that it takes, or that went wrong once."""


def _file(data: bytes, name: str) -> Path:
    path = _FOLDER / name
    path.write_bytes(data)
    return path


def agent_files(data: bytes) -> None:
    for problem in check_agent(_file(data, "agent.yaml"), environ={}):
        assert str(problem)


def yaml(data: bytes) -> None:
    for json in (False, True):
        try:
            node = parse(data, lambda *_: None, json=json)
        except Unreadable:
            continue
        msgspec.json.encode(node.plain())


def prompts(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    variables = {"name": "Ada", "items": [1, 2, {"a": "b"}], "n": 3}
    with contextlib.suppress(DefinitionError):
        render(Prompt(text), "a task", variables)


def tasks(data: bytes) -> None:
    lines = TaskLines("t")
    for at in range(0, len(data) + 1, 97):
        batch = lines.feed(data[at : at + 97])
        for task in batch.tasks:
            msgspec.json.encode(task)
        if batch.end:
            return


def plans(data: bytes) -> None:
    try:
        plan = msgspec.json.decode(data)
    except BAD:
        return
    for problem in check_plan(plan):
        assert problem.message


def replays(data: bytes) -> None:
    with contextlib.suppress(DefinitionError):
        read_trajectories(_file(data, "trajectories.jsonl"))


def scripts(data: bytes) -> None:
    with contextlib.suppress(DefinitionError):
        read_script(_file(data, "script.yaml"))


def profiles(data: bytes) -> None:
    for name in ("profile.yaml", "profile.json"):
        with contextlib.suppress(DefinitionError):
            read_profile(_file(data, name))


def pins(data: bytes) -> None:
    with contextlib.suppress(DefinitionError):
        read_pins(_file(data, "pins.json"))


def catalogs(data: bytes) -> None:
    for name in ("tools.yaml", "tools.json"):
        with contextlib.suppress(DefinitionError):
            encode_catalog(read_catalog(_file(data, name)), json=True)


def imports(data: bytes) -> None:
    """Agent files of other projects. Modules that their tools name are imported: none is here."""
    path = _file(data, "foreign.yaml")
    for convert in (import_original, import_framework):
        with contextlib.suppress(DefinitionError):
            for file in convert(path, _FOLDER / "imported").files:
                assert file.text


def datasets(data: bytes) -> None:
    """Trajectories from anywhere, through every check and every format: quarantined at worst."""
    with contextlib.suppress(DefinitionError):
        lines = list(trajectories([_file(data, "rollouts.jsonl")]))
        checker = Checker()
        for line in lines:
            for finding in checker.check(line.trajectory):
                msgspec.json.encode(finding)
        for name in (*FORMATS, *ROLLOUT_FORMATS):
            exporter = Exporter(format_of(name), Options())
            for record in exporter.run(lines, msgspec.json.encode):
                msgspec.json.decode(record)


def worlds(data: bytes) -> None:
    _, problems = parse_world(data, "world.yaml")
    for problem in problems:
        assert str(problem)


def journals(data: bytes) -> None:
    kept: list[Any] = []
    found = read_journal(data, kept.append)
    assert 0 <= found.whole <= len(data)
    # As if a checksum vouched for it, too.
    read_journal(seal_batch(data, data.count(b"\n")), kept.append)
    recovered = Recovered(Ranges(), {}, {}, {}, Progress(0, 0, False), [], 1)
    for record in kept:
        encoder.encode(record)
        if isinstance(record, Events | Kept):
            _take_events(record, recovered)
    for unfinished in recovered.unfinished.values():
        fold(before_interruption(unfinished.events))


def segments(data: bytes) -> None:
    lines, _, index = data.partition(b"\xff\n")
    found = read_segment(lines, index)
    assert 0 <= found.end <= len(lines)


class _Deaf:
    """A channel from which nothing is sent."""

    kind = "stdio"
    can_send_request = True

    async def send(self, data: bytes, headers: object = None) -> None: ...


async def _json_rpc(data: bytes) -> None:
    splitter = LineSplitter(1000)
    splitter.rpc = rpc = JsonRpc(cast("Any", _Deaf()))
    rpc._pending[1] = Pending(1, "tools/call", None)
    for at in range(0, len(data), 61):
        splitter.feed(data[at : at + 61])
    splitter.finish()


_LOOP = asyncio.Runner()


def json_rpc(data: bytes) -> None:
    _LOOP.run(_json_rpc(data))


def events(data: bytes) -> None:
    parser = EventParser(1000)
    with contextlib.suppress(TooLong):
        for at in range(0, len(data), 53):
            parser.feed(data[at : at + 53])


def http(data: bytes) -> None:
    answer = Answer()
    answer._expect()
    for at in range(0, len(data), 71):
        if answer.failure is not None or answer.complete:
            break
        answer._feed(data[at : at + 71])
    answer._broke_off(cleanly=True)
    assert answer.complete or answer.failure is not None
    answer._taken()


_CONTEXT = Context("m", None, {}, lambda: "id")


def completions(data: bytes) -> None:
    with contextlib.suppress(NotAChatCompletion):
        msgspec.json.encode(turn_of(decode_answer(data), _CONTEXT))


def completion_streams(data: bytes) -> None:
    feed, answer = EventData(), StreamedAnswer()
    try:
        for at in range(0, len(data), 67):
            for event in feed.feed(data[at : at + 67]):
                answer.add(event)
        for event in feed.flush():
            answer.add(event)
        msgspec.json.encode(turn_of(answer.whole(), _CONTEXT))
    except NotAChatCompletion:
        pass


_SCHEMA = OutputSchema({"type": "object", "properties": {"a": {"type": "string"}}})


def tool_results(data: bytes) -> None:
    raw = msgspec.Raw(data)
    error_result("c", raw, listed=True)
    try:
        answer = read_result(raw)
    except BAD:
        return
    for limit in (100, 100_000):
        msgspec.json.encode(to_result("c", answer, _SCHEMA, len(data), limit, 64))


def schemas(data: bytes) -> None:
    try:
        schema, _, value = data.partition(b"\n")
        decoded = msgspec.json.decode(schema, type=dict[str, Any])
        validator = compile_schema(decoded)
    except (ValueError, TypeError, RecursionError):
        return
    try:
        instance = msgspec.json.decode(value)
    except BAD:
        instance = decoded
    try:
        if not validator.is_valid(instance):
            next(iter(validator.iter_errors(instance)))
    except ValueError:
        pass


_SECRETS = Secrets(["open sesame", 'quo"te and \\', "00000000", "\u00e9clair key"])


def redaction(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert "open sesame" not in _SECRETS.text(text)
    _SECRETS.line(data)
    clean = text.encode("utf-8", "replace").decode()
    line = msgspec.json.encode({"a": clean, clean: [clean]})
    msgspec.json.decode(_SECRETS.line(line))


def terminals(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    assert not any((c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f" for c in visible(text))
    assert msgspec.json.decode(visible_json(msgspec.json.encode(text).decode())) == text


_GUARD = Guard(origins=["https://o.example"], token="t" * 16)


def request_heads(data: bytes) -> None:
    assert _GUARD.of_head(data) is not None or b"t" * 16 in data


def placeholders(data: bytes) -> None:
    with contextlib.suppress(DefinitionError):
        expand_env(data.decode("utf-8", "replace"), {"A": "b", "HOME": "/h"}, "x")


_CHUNK = (
    b'data: {"choices":[{"delta":{"content":"a","tool_calls":[{"index":0,"id":"c","function":'
    b'{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}\n\n'
    b"data: [DONE]\n\n"
)
_TURN = (
    b'{"choices":[{"message":{"content":"a","tool_calls":[{"id":"c","function":{"name":"f",'
    b'"arguments":"{\\"a\\":1}"}}]},"finish_reason":"tool_calls","logprobs":{"content":['
    b'{"token":"token_id:5","logprob":-1}]}}],"usage":{"prompt_tokens":1},"model":"m"}'
)
_RESULT = (
    b'{"content":[{"type":"text","text":"a"},{"type":"image","data":"","mimeType":"image/png"},'
    b'{"type":"resource","resource":{"uri":"u","text":"t"}},{"type":"resource_link","uri":"u"}],'
    b'"structuredContent":{"a":"b"},"isError":false}'
)
_CALL = b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}\n{"jsonrpc":"2.0","method":"x"}\n'
_TASK = (
    b'{"id":"a","input":"x","variables":{"a":1},"plan":{"turns":[[{"id":"b","name":"n",'
    b'"arguments":{"c":{"$result":"b","pointer":"/a/0"}}}]],"answer":"{{b/a}}"},"metadata":{}}\n'
)
_TRAJECTORY = (
    b'{"type":"trajectory","schema":"nexau/1","id":"a/0","task":"a","input":"x","agent":"n",'
    b'"status":"completed","steps":[{"type":"step","rollout":"a/0","index":0,"agent":"root",'
    b'"turn":0,"prompt":[{"role":"user","content":"x"}],"response":"y"}]}\n'
)
_AGENT = (
    b"name: a\nmodel: {kind: openai, name: m, base_url: 'http://h'}\nsystem_prompt: Hi {{ task }}"
    b"\ntools: [{mcp: s, include: ['*']}]\nagents: [{name: b, model: plan}]\nmcp_servers:\n  s: "
    b"{command: c, env: {A: '${B}'}, confine: {sandbox: auto}, caps: {tools: 5}}\nlimits: {}"
)
_PROMPT = (
    b"{% macro m(x) %}{{ x }}{% endmacro %}{% for i in items %}{{ loop.index ~ i }}{% endfor %}"
    b"{{ name | upper | default('x') }}{% if n > 2 %}{{ m(n * 2) }}{% endif %}{{ items[2].a }}"
)
_PROFILE = (ROOT / "examples" / "profiles" / "time.profile.yaml").read_bytes()[:MAX]
_WORLD = (ROOT / "examples" / "worlds" / "library.yaml").read_bytes()
_JOURNAL = (
    b'["event",0,0,0,{"type":"limit","rollout":"a","seq":0,"at":1,"agent":"root"}]\n["sum",1,2]\n'
)


_EVENTS = (
    b'["events",0,0,0,[{"type":"started","rollout":"a","seq":0,"at":1,"agent":"root",'
    b'"definition":"d","prompt":[]},{"type":"model_turn","rollout":"a","seq":1,"at":1,'
    b'"agent":"root","turn":0,"response":"","calls":[{"id":"c","name":"n","arguments":{}}]},'
    b'[2.0,2,"root","c"],[3.0,3,"root",{"call_id":"c","content":[]}]]]\n'
)


def _seed(name: str) -> bytes:
    return (Path(__file__).parent / "seeds" / name).read_bytes()


READERS = tuple(
    Reader(read.__name__, read, tuple(seeds))
    for read, seeds in (
        (agent_files, (_AGENT, b"a: &a [*a]", b"{}", b"name: a\nmodel: script:x")),
        (yaml, (_AGENT, _WORLD[:MAX], b"a: &a [1]\nb: {<<: *a}\n", b'"\\ud800"', b"!!python/x y")),
        (prompts, (_PROMPT, b"{{ 'a' * 9 }}", b"{% set x = 1 %}", b"{{ '%s' | format(n) }}")),
        (tasks, (_TASK, b'"text"\n', b'{"input": 1}\n', b"\xef\xbb\xbf\n")),
        (plans, (b'{"turns":[[{"id":"b","name":"n","arguments":{"$result":"b"}}]]}', _TASK)),
        (replays, (_TRAJECTORY, b'{"type":"step"}\n')),
        (scripts, (b"root:\n - {content: a, calls: [{name: f, arguments: {a: 1}}]}\n - error: b",)),
        (profiles, (_PROFILE,)),
        (pins, (b'{"schema":"nexau-pins/1","servers":{"s":{"t":"sha256:%b"}}}' % (b"0" * 64),)),
        (worlds, (_WORLD, _WORLD[:MAX])),
        (catalogs, (_seed("catalog.yaml"), _seed("catalog.json"))),
        (imports, (_seed("original.yaml"), _seed("framework.yaml"))),
        (datasets, (_seed("rollout.jsonl"), _TRAJECTORY)),
        (journals, (_JOURNAL, _EVENTS, b'["sum",0,0]\n')),
        (segments, (b'{"a":1}\n\xff\n[0,7,1,0,0,true,"completed","",""]\n',)),
        (json_rpc, (_CALL, b'[{"jsonrpc":"2.0","id":"1","error":{"code":1}}]\n', _RESULT + b"\n")),
        (events, (b"event: message\nid: 1\nretry: 5\ndata: {}\n\n", b"data:a\r\rdata:b\r\n\r\n")),
        (http, (
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00",
        )),
        (completions, (_TURN, b'{"error":{"message":"no"}}')),
        (completion_streams, (_CHUNK, b"data: [DONE]\n\n")),
        (tool_results, (_RESULT, b'{"code":1,"message":"no"}')),
        (schemas, (
            (b'{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"pattern":"^a"}}}'
            b'\n{"a":"b"}'),
            b'{"allOf":[{"$ref":"#"}],"unevaluatedProperties":false}\n{}',
        )),
        (redaction, (b"sk-proj-aB3dE6gH9jK2mN5pQ8sT1vW4yZ7", b"open sesame", b"://a:b@c")),
        (terminals, (b"\x1b[31m\xc2\x9b\xe2\x80\xae",)),
        (request_heads, (b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n",)),
        (placeholders, (b"a ${A} $${B} ${", b"${HOME}")),
    )
)  # fmt: skip
BY_NAME = {reader.name: reader for reader in READERS}
