"""`tools/call` on the short path: one template to send, one decoding pass to receive."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import msgspec
from msgspec import Raw, Struct

from nexau.transports.log import get_logger
from nexau.transports.pending import Lost, Outcome
from nexau.transports.protocol import (
    Audio,
    ErrorClass,
    Image,
    Resource,
    ResourceLink,
    Result,
    Sent,
    Text,
    failure,
)
from nexau.transports.schemaguard import SchemaRefused, compile_schema
from nexau.transports.wire import ABSENT, BAD, decode_error, within

log = get_logger(__name__)

UNKNOWN_METHOD = -32601
INVALID_PARAMS = -32602
HEADER_MISMATCH = -32020

MAX_ERROR_TEXT = 10_000
"""Characters of a server's error that reach a model."""
_SHOWN = 1_000

_LOST: dict[str, ErrorClass] = {
    "closed": "unavailable",
    "timeout": "timeout",
    "too_large": "too_large",
    "garbled": "protocol",
    "broken": "unavailable",
}
_BROKEN_ENVELOPE = (-32700, -32600)


class ToolResult(Struct, rename="camel"):
    """`CallToolResult` of the MCP specification, and `InputRequiredResult` of 2026-07-28."""

    content: tuple[Sent, ...] | None = None
    structured_content: Any = None
    is_error: bool = False
    result_type: str = "complete"
    input_requests: Raw = ABSENT
    request_state: str | None = None


_decoder = msgspec.json.Decoder(ToolResult)


class Template:
    """All of a `tools/call` but its id and arguments, encoded once for each tool."""

    def __init__(self, name: str, meta: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self.headers = headers
        self._meta = dict(meta)
        self._head = b',"method":"tools/call","params":{"name":' + msgspec.json.encode(name)
        self._tail = b',"_meta":' + msgspec.json.encode(self._meta) + b"}}" if meta else b"}}"

    def encode(
        self,
        request_id: int,
        arguments: Mapping[str, Any],
        *,
        progress: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> bytes:
        """The request. `progress` asks for notifications; `extra` are further params.

        Raises TypeError or ValueError for arguments that JSON cannot hold.
        """
        tail = self._tail
        if progress:
            meta = self._meta | {"progressToken": request_id}
            tail = b',"_meta":' + msgspec.json.encode(meta) + b"}}"
        if extra:
            tail = b"," + msgspec.json.encode(extra)[1:-1] + tail
        encoded = msgspec.json.encode(arguments)
        return b'{"jsonrpc":"2.0","id":%d%b,"arguments":%b%b' % (
            request_id,
            self._head,
            encoded,
            tail,
        )


class OutputSchema:
    """The schema that a tool's structured content keeps to, compiled when first needed.

    Under one that asks for too much (`schemaguard`), anything goes.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._validator: jsonschema_rs.Validator | None = None
        self._refused = False

    def complaint(self, structured: Any) -> str | None:
        """Why `structured` does not keep to it; None when it does."""
        if self._refused:
            return None
        try:
            if self._validator is None:
                self._validator = compile_schema(self._schema)
            if self._validator.is_valid(structured):
                return None
            self._validator.validate(structured)
        except SchemaRefused as refused:
            self._refused = True
            log.warning("output schema not usable; results go unchecked", reason=str(refused))
        except jsonschema_rs.ValidationError as error:
            return error.message[:_SHOWN]
        except ValueError as error:  # ReferencingError included
            return f"the tool's output schema is invalid: {error}"[:_SHOWN]
        return None


def read_result(raw: Raw) -> ToolResult:
    """Raises what `wire.BAD` names."""
    return _decoder.decode(raw)


def to_result(
    call_id: str,
    answer: ToolResult,
    schema: OutputSchema | None,
    size: int,
    limit: int,
    nesting: int,
) -> Result:
    """What the caller gets for a complete answer of `size` bytes."""
    content = answer.content
    if content is None:
        return failure(call_id, "protocol", "The server's answer has no content.")
    if size > limit:
        return _cut(call_id, content, size, limit)
    structured = answer.structured_content
    if structured is not None and not within(structured, nesting):
        text = f"The server's structured content is nested deeper than {nesting} levels."
        return failure(call_id, "protocol", text)
    if schema is not None and not answer.is_error:
        complaint = schema.complaint(structured)
        if complaint is not None:
            text = f"The server's structured content breaks its own schema: {complaint}"
            return failure(call_id, "protocol", text)
    if answer.is_error:
        return Result(call_id, content, True, "tool_error", structured)
    return Result(call_id, content, False, None, structured)


def lost_result(call_id: str, name: str, lost: Lost, timeout: float | None) -> Result:
    """What the caller gets when no answer came."""
    if lost.kind == "timeout":
        text = f"{name} gave no answer within {timeout:g} s."
    elif lost.kind == "closed":
        text = f"The server went away: {lost.text}."
    else:
        text = f"{name}: {lost.text}"
    return failure(call_id, _LOST[lost.kind], text)


def error_result(call_id: str, error: Raw, *, listed: bool) -> Result:
    """What the caller gets for a JSON-RPC error; `listed` says whether the server has the tool."""
    if error is ABSENT:
        return failure(call_id, "protocol", "The server's answer is empty.")
    try:
        found = decode_error(error)
    except BAD as bad:
        return failure(call_id, "protocol", f"The server's error is malformed: {bad}")
    text = found.message[:MAX_ERROR_TEXT] or f"error {found.code}"
    error_class: ErrorClass = "tool_error"
    if found.code in (UNKNOWN_METHOD, INVALID_PARAMS):
        error_class = "invalid_arguments" if listed else "unknown_tool"
    elif found.code in _BROKEN_ENVELOPE:
        error_class = "protocol"
    return failure(call_id, error_class, text)


def _cut(call_id: str, content: tuple[Sent, ...], size: int, limit: int) -> Result:
    """The beginning of a result that is too long; what is no text is kept whole or not at all."""
    kept: list[Sent] = []
    left = limit
    for part in content:
        length = _size_of(part)
        if length <= left:
            kept.append(part)
        elif isinstance(part, Text):
            kept.append(Text(part.text.encode()[:left].decode(errors="ignore")))
        left -= min(length, left)
        if not left:
            break
    kept.append(Text(f"[cut: the result has {size} bytes, {limit} are kept]"))
    return Result(call_id, tuple(kept), True, "too_large")


def _size_of(part: Sent) -> int:
    match part:
        case Text(text):
            return len(text.encode())
        case Image(data) | Audio(data):
            return len(data)
        case Resource(contents):
            return len(contents.text or "") + len(contents.blob or "")
        case ResourceLink(uri):
            return len(uri)


def is_error(outcome: Outcome, code: int) -> bool:
    """Whether it is a JSON-RPC error with this code."""
    if isinstance(outcome, Lost) or outcome.error is ABSENT:
        return False
    try:
        return decode_error(outcome.error).code == code
    except BAD:
        return False
