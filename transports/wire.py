"""JSON-RPC 2.0 messages as bytes: encoding, decoding, and what can be saved of broken ones."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from nexau.transports.protocol import Progress

ABSENT = Raw()

RequestId = int | str


class Message(Struct, gc=False):
    """Any JSON-RPC message. `result`, `error` and `params` stay as bytes until somebody asks."""

    jsonrpc: str = ""
    id: int | str | float | None = None
    method: str = ""
    params: Raw = ABSENT
    result: Raw = ABSENT
    error: Raw = ABSENT


class ErrorObject(Struct, gc=False):
    code: int
    message: str = ""
    data: Any = None


class _ProgressParams(Struct, rename="camel", gc=False):
    progress_token: int | str
    progress: float
    total: float | None = None
    message: str | None = None


class _CancelledParams(Struct, rename="camel", gc=False):
    request_id: int | str


_decoder = msgspec.json.Decoder(Message | list[Message])
_error_decoder = msgspec.json.Decoder(ErrorObject)
_progress_decoder = msgspec.json.Decoder(_ProgressParams)
_cancelled_decoder = msgspec.json.Decoder(_CancelledParams)
_params_decoder = msgspec.json.Decoder(dict[str, Any])

_NESTED = frozenset({dict, list})
BAD = (ValueError, RecursionError)
"""What msgspec raises for bytes that are not what they should be (msgspec's own errors and
UnicodeDecodeError are ValueErrors; nesting beyond the interpreter's limit is RecursionError)."""


def decode(data: bytes) -> list[Message]:
    """The messages of one frame: one, or a batch. Raises what `BAD` names."""
    found = _decoder.decode(data)
    return found if isinstance(found, list) else [found]


def decode_lines(data: bytes) -> list[Message]:
    """The messages of newline-delimited frames. Raises what `BAD` names if any is bad."""
    found: list[Message] = []
    for item in _decoder.decode_lines(data):
        if isinstance(item, list):
            found += item
        else:
            found.append(item)
    return found


def within(value: Any, levels: int) -> bool:
    """Whether decoded JSON is nested in at most so many levels of objects and arrays."""
    level = [value] if type(value) in _NESTED else []
    for _ in range(levels):
        if not level:
            return True
        level = [
            inner
            for each in level
            for inner in (each.values() if type(each) is dict else each)
            if type(inner) in _NESTED
        ]
    return not level


def decode_error(raw: Raw) -> ErrorObject:
    """Raises what `BAD` names."""
    return _error_decoder.decode(raw)


def decode_object(raw: Raw) -> dict[str, Any]:
    """Raises what `BAD` names, also for JSON that is not an object."""
    return _params_decoder.decode(raw)


def decode_progress(raw: Raw, call_id: str = "") -> tuple[RequestId, Progress]:
    """The token of a progress notification, and what it says. Raises what `BAD` names."""
    found = _progress_decoder.decode(raw)
    return found.progress_token, Progress(call_id, found.progress, found.total, found.message)


def decode_cancelled(raw: Raw) -> RequestId:
    """The id that `notifications/cancelled` names. Raises what `BAD` names."""
    return same_id(_cancelled_decoder.decode(raw).request_id)


def encode_request(request_id: RequestId, method: str, params: Mapping[str, Any] | None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id, "method": method}
    if params:
        message["params"] = params
    return msgspec.json.encode(message)


def encode_notification(method: str, params: Mapping[str, Any] | None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        message["params"] = params
    return msgspec.json.encode(message)


def encode_result(request_id: RequestId, result: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def encode_error(request_id: RequestId, code: int, message: str, data: Any = None) -> bytes:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "error": error})


def same_id(request_id: RequestId) -> RequestId:
    """The form in which ids are compared: peers exist that answer 7 with "7"."""
    if isinstance(request_id, str) and request_id.isascii() and request_id.isdigit():
        return int(request_id)
    return request_id


_ID_FIRST = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,18})\s*[,}]')
_ID_LAST = re.compile(rb'"id"\s*:\s*(\d{1,18})\s*\}\s*$')


def salvage_id(head: bytes, tail: bytes) -> int | None:
    """The id of an answer that cannot be decoded, from its ends, where servers put it.

    So the one call fails at once, not at its deadline.
    """
    found = _ID_FIRST.match(head) or _ID_LAST.search(tail)
    return int(found[1]) if found else None
