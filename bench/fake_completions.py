"""What the fake model server answers: chat completions, decided by the request alone.

A request is checked as a strict endpoint would check it: roles, tool calls with parsable
arguments, every call answered once, names that OpenAI accepts. The turn is the number of assistant
messages. A message that holds `<plan>{"turns": [[{"name", "arguments"}]], "answer": ""}</plan>`
says what to play; without one, all turns but the last call the first tool, with arguments made from
its schema.
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

_PLAN = re.compile(r"<plan>(.*?)</plan>", re.DOTALL)
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_SAMPLES = {"string": "x", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}


class Refused(Exception):
    """An invalid request: status 400."""


class Function(Struct):
    name: str
    arguments: str


class ToolCall(Struct):
    id: str
    function: Function
    type: str = "function"


class Message(Struct):
    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class ToolFunction(Struct):
    name: str
    description: str = ""
    parameters: dict[str, Any] = {}


class Tool(Struct):
    function: ToolFunction
    type: str = "function"


class StreamOptions(Struct):
    include_usage: bool = False


class Directives(Struct):
    """Rides in `extra_body`: faults for the attempts of one conversation, told apart by `id`."""

    id: str = ""
    faults: list[str] = []
    """Of the first, second, ... request with this id and this turn; none after the last."""


class Request(Struct):
    model: str
    messages: list[Message]
    tools: list[Tool] = []
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    logprobs: bool = False
    return_token_ids: bool = False
    fake: Directives | None = None


class PlannedCall(Struct, frozen=True):
    name: str
    arguments: dict[str, Any] = {}


class Plan(Struct, frozen=True):
    """What a conversation plays."""

    turns: tuple[tuple[PlannedCall, ...], ...]
    answer: str = ""


class Options(Struct, frozen=True):
    turns: int = 5
    """Turns of a conversation, the last of which answers."""
    calls: int = 1
    """Parallel calls in each of the others."""
    answer: str = "The answer is 42."
    cached_share: float = 0.0
    plan: Plan | None = None


_decode = msgspec.json.Decoder(Request).decode
_encode = msgspec.json.Encoder().encode


class Answer(Struct):
    """One turn, before it is put into JSON or into events."""

    request: Request
    content: str
    calls: list[ToolCall]
    usage: dict[str, Any]
    ids: list[int]
    turn: int

    @property
    def finish_reason(self) -> str:
        limit = self.request.max_completion_tokens or self.request.max_tokens
        if limit is not None and self.usage["completion_tokens"] >= limit:
            return "length"
        return "tool_calls" if self.calls else "stop"


def read(body: bytes) -> Request:
    """Raises `Refused`."""
    try:
        request = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"invalid request: {error}") from None
    _check(request)
    return request


def turn_of(request: Request) -> int:
    return sum(message.role == "assistant" for message in request.messages)


def _check(request: Request) -> None:
    if not request.messages:
        raise Refused("messages is empty")
    for tool in request.tools:
        if not _NAME.fullmatch(tool.function.name):
            raise Refused(f"invalid tool name {tool.function.name!r}")
    open_calls: set[str] = set()
    for index, message in enumerate(request.messages):
        where = f"messages[{index}]"
        if message.role == "tool":
            _close(message, open_calls, where)
            continue
        if open_calls:
            raise Refused(f"{where}: calls without a result: {sorted(open_calls)}")
        if message.role == "assistant":
            open_calls = _calls(message, where)
        elif message.role not in ("system", "user", "developer") or message.content is None:
            raise Refused(f"{where}: an unknown role {message.role!r}, or no content")
    if open_calls:
        raise Refused(f"calls without a result: {sorted(open_calls)}")


def _close(message: Message, open_calls: set[str], where: str) -> None:
    if message.tool_call_id is None or message.tool_call_id not in open_calls:
        raise Refused(f"{where}: no open call {message.tool_call_id!r}")
    if not isinstance(message.content, str):
        raise Refused(f"{where}: the content of a tool message is a string")
    open_calls.discard(message.tool_call_id)


def _calls(message: Message, where: str) -> set[str]:
    calls = message.tool_calls or []
    if not calls and message.content is None:
        raise Refused(f"{where}: neither content nor tool_calls")
    for call in calls:
        try:
            arguments = msgspec.json.decode(call.function.arguments)
        except msgspec.DecodeError:
            arguments = None
        if not isinstance(arguments, dict) or not _NAME.fullmatch(call.function.name):
            raise Refused(f"{where}: a bad call of {call.function.name!r}")
    ids = {call.id for call in calls}
    if len(ids) != len(calls):
        raise Refused(f"{where}: two calls share an id")
    return ids


def answer(request: Request, options: Options, size: int, malformed: bool = False) -> Answer:
    """`size` is the length of the request's body in bytes, from which the usage is made."""
    turn = turn_of(request)
    content, calls = _play(request, options, turn)
    if malformed:
        name = request.tools[0].function.name if request.tools else "lookup"
        calls = [ToolCall(f"call_{turn}_0", Function(name, '{"key": "unfinished'))]
    written = len(content) + sum(len(call.function.arguments) + 16 for call in calls)
    prompt, completion = size // 4, max(1, written // 4)
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": int(prompt * options.cached_share)},
    }
    wants_ids = request.logprobs or request.return_token_ids
    return Answer(request, content, calls, usage, [*range(completion)] if wants_ids else [], turn)


def _play(request: Request, options: Options, turn: int) -> tuple[str, list[ToolCall]]:
    for message in request.messages:
        if isinstance(message.content, str) and "<plan>" in message.content:
            return _from_plan(message.content, turn)
    if options.plan is not None:
        return _played(options.plan, turn)
    if turn >= options.turns - 1 or not request.tools:
        return options.answer, []
    function = request.tools[0].function
    arguments = _encode(_sample(function.parameters)).decode()
    return "", [
        ToolCall(f"call_{turn}_{i}", Function(function.name, arguments))
        for i in range(options.calls)
    ]


def _from_plan(text: str, turn: int) -> tuple[str, list[ToolCall]]:
    found = _PLAN.search(text)
    try:
        plan = msgspec.json.decode(found[1] if found else "", type=Plan)
    except msgspec.DecodeError as error:
        raise Refused(f"the plan in the prompt cannot be played: {error!r}") from None
    return _played(plan, turn)


def _played(plan: Plan, turn: int) -> tuple[str, list[ToolCall]]:
    if turn >= len(plan.turns):
        return plan.answer, []
    return "", [
        ToolCall(f"call_{turn}_{i}", Function(call.name, _encode(call.arguments).decode()))
        for i, call in enumerate(plan.turns[turn])
    ]


def _sample(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    names = schema.get("required", list(properties))
    return {name: _value(properties.get(name, {})) for name in names}


def _value(schema: dict[str, Any]) -> Any:
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "string")
    return _SAMPLES.get(kind[0] if isinstance(kind, list) else kind)


def whole(given: Answer) -> bytes:
    """As one JSON object."""
    message: dict[str, Any] = {"role": "assistant", "content": given.content or None}
    if given.calls:
        message["tool_calls"] = given.calls
    choice: dict[str, Any] = {
        "index": 0,
        "message": message,
        "finish_reason": given.finish_reason,
        **_token_data(given.request, given.ids),
    }
    body = _envelope(given, "chat.completion") | {"choices": [choice], "usage": given.usage}
    if given.request.return_token_ids:
        body["prompt_token_ids"] = [*range(given.usage["prompt_tokens"])]
    return _encode(body)


def events(given: Answer) -> list[bytes]:
    """As server-sent events, the last of which is `[DONE]`."""
    envelope = _envelope(given, "chat.completion.chunk")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in re.findall(r"\s*\S+", given.content)]
    for index, call in enumerate(given.calls):
        function = {"name": call.function.name, "arguments": ""}
        deltas.append(_call_delta(index, function, id=call.id, type="function"))
        text = call.function.arguments
        for at in range(0, len(text), 12):
            deltas.append(_call_delta(index, {"arguments": text[at : at + 12]}))
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    last = {"index": 0, "delta": {}, "finish_reason": given.finish_reason}
    chunks.append({"choices": [last | _token_data(given.request, given.ids)]})
    if given.request.return_token_ids:
        chunks[0]["prompt_token_ids"] = [*range(given.usage["prompt_tokens"])]
    options = given.request.stream_options
    if options is not None and options.include_usage:
        chunks.append({"choices": [], "usage": given.usage})
    return [
        *(b"data: " + _encode(envelope | chunk) + b"\n\n" for chunk in chunks),
        b"data: [DONE]\n\n",
    ]


def _call_delta(index: int, function: dict[str, str], **more: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": function, **more}]}


def _envelope(given: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{given.turn}",
        "object": kind,
        "created": 0,
        "model": given.request.model,
    }


def _token_data(request: Request, ids: list[int]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if request.logprobs:
        data["logprobs"] = {"content": [{"token": f"t{i}", "logprob": -i / 100} for i in ids]}
    if request.return_token_ids:
        data["token_ids"] = ids
    return data


def error_body(message: str, kind: str = "invalid_request_error") -> bytes:
    return _encode({"error": {"message": message, "type": kind, "code": None}})
