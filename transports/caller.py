"""Calls to tools: past the official session, except where one request is not enough."""

from collections.abc import Callable, Mapping
from typing import Any

import anyio
import msgspec
from mcp import ClientSession
from mcp.client.session import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import ErrorData, InputRequiredResult
from msgspec import Raw, Struct
from pydantic import ValidationError

from nexau.transports.caps import Caps
from nexau.transports.jsonrpc import JsonRpc
from nexau.transports.listing import Stamp, Tool, list_tools
from nexau.transports.pending import Lost, Outcome
from nexau.transports.protocol import Progress, Result, failure
from nexau.transports.toolcall import (
    HEADER_MISMATCH,
    error_result,
    is_error,
    lost_result,
    read_result,
    to_result,
)
from nexau.transports.vetting import ListingError, Vetting
from nexau.transports.wire import ABSENT, BAD, encode_request

_MAX_ROUNDS = 10
"""Times that a server may answer one call with a request for input."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.25

OnProgress = Callable[[Progress], None]


class Caller:
    """Calls the tools of one session."""

    def __init__(
        self,
        rpc: JsonRpc,
        session: ClientSession,
        max_result_bytes: int,
        caps: Caps,
        pins: Mapping[str, str] | None,
        *,
        modern: bool,
    ) -> None:
        self.tools: dict[str, Tool] = {}
        self._rpc = rpc
        self._session = session
        self._stamp = Stamp({}, {}, modern=modern)
        self._max = max_result_bytes
        self._caps = caps
        self._pins = pins
        self.refused: Mapping[str, str] = {}
        """Tools that the server lists and that are left out, with the reason."""

    async def refresh(self) -> None:
        """List the tools again. Raises MCPError, ValidationError, ListingError."""
        vetting = Vetting(self._caps, self._pins)
        await list_tools(self._session, vetting)
        meta, headers = self._rpc.stamp
        self._stamp = Stamp(meta, headers, modern=self._stamp.modern)
        self.tools = {tool.name: Tool(tool, self._stamp) for tool in vetting.kept}
        self.refused = vetting.refused

    async def ping(self, timeout: float) -> Outcome:
        """Any request that every server answers."""
        method = "server/discover" if self._stamp.modern else "ping"
        request_id = self._rpc.mint()
        params = {"_meta": self._stamp.meta} if self._stamp.meta else None
        return await self._rpc.exchange(
            request_id,
            method,
            encode_request(request_id, method, params),
            timeout=timeout,
            headers=self._stamp.headers(method),
        )

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        call_id: str,
        timeout: float | None,
        on_progress: OnProgress | None,
    ) -> Result:
        """One call, whatever becomes of it."""
        call = _Call(name, arguments, call_id, timeout, _named(on_progress, call_id))
        started = self._rpc.clock() if self._stamp.modern else 0.0
        try:
            outcome = await self._send(call)
        except (TypeError, ValueError, RecursionError) as error:
            return failure(call_id, "invalid_arguments", f"The arguments are not JSON: {error}")
        answer = self._read(outcome, call)
        if isinstance(answer, Result):
            return answer
        return await self._go_on(call, answer, started)

    async def _send(self, call: "_Call", extra: Mapping[str, Any] | None = None) -> Outcome:
        """Raises TypeError, ValueError or RecursionError for arguments that JSON cannot hold."""
        tool = self.tools.get(call.name)
        if tool is None:
            template = self._stamp.template(call.name)
            headers = template.headers
        else:
            template = tool.template
            headers = tool.headers(call.arguments)
        request_id = self._rpc.mint()
        progress = call.on_progress is not None
        return await self._rpc.exchange(
            request_id,
            "tools/call",
            template.encode(request_id, call.arguments, progress=progress, extra=extra),
            timeout=call.timeout,
            on_progress=call.on_progress,
            headers=headers,
        )

    def _read(self, outcome: Outcome, call: "_Call") -> "Result | _Again":
        if isinstance(outcome, Lost):
            return lost_result(call.id, call.name, outcome, call.timeout)
        tool = self.tools.get(call.name)
        if outcome.error is not ABSENT or outcome.result is ABSENT:
            if outcome.result is not ABSENT:
                return failure(call.id, "protocol", "The server's answer is a result and an error.")
            if self._stamp.modern and is_error(outcome, HEADER_MISMATCH):
                return _Again(outcome.error, relist=True)
            return error_result(call.id, outcome.error, listed=tool is not None)
        try:
            answer = read_result(outcome.result)
        except BAD as error:
            return failure(call.id, "protocol", f"The server's answer is malformed: {error}")
        if answer.result_type != "complete" and self._stamp.modern:
            if answer.result_type == "input_required":
                return _Again(outcome.result, relist=False)
            return failure(call.id, "protocol", f"A result of type {answer.result_type!r}.")
        schema = None if tool is None else tool.output
        size = len(memoryview(outcome.result))
        result = to_result(call.id, answer, schema, size, self._max, self._caps.nesting)
        if tool is None and result.error_class == "tool_error":
            return msgspec.structs.replace(result, error_class="unknown_tool")
        return result

    async def _go_on(self, call: "_Call", again: "_Again", started: float) -> Result:
        """The exchanges of 2026-07-28 that take more than one request."""
        left = None if call.timeout is None else call.timeout - (self._rpc.clock() - started)
        relisted = False
        with anyio.move_on_after(left):
            for round_ in range(_MAX_ROUNDS):
                extra: Mapping[str, Any] | None = None
                try:
                    if not again.relist:
                        extra = await self._answer(again.raw, round_)
                    elif relisted:
                        return error_result(call.id, again.raw, listed=call.name in self.tools)
                    else:
                        relisted = True
                        await self.refresh()
                except (MCPError, ValidationError, ListingError) as error:
                    return failure(call.id, "tool_error", f"{call.name} cannot go on: {error}")
                answer = self._read(await self._send(call, extra), call)
                if isinstance(answer, Result):
                    return answer
                again = answer
            return failure(call.id, "protocol", f"{call.name} asked for input again and again.")
        return lost_result(call.id, call.name, Lost("timeout", ""), call.timeout)

    async def _answer(self, raw: Raw, round_: int) -> Mapping[str, Any]:
        """The input that the server asks for, from the session's handlers.

        Raises MCPError where a handler refuses, ValidationError.
        """
        asked = InputRequiredResult.model_validate(msgspec.json.decode(raw))
        extra: dict[str, Any] = {}
        if asked.request_state is not None:
            extra["requestState"] = asked.request_state
        if not asked.input_requests:
            await anyio.sleep(min(_FIRST_PAUSE * 2**round_, _LONGEST_PAUSE))
            return extra
        responses: dict[str, Any] = {}
        for key, request in asked.input_requests.items():
            meta = None if request.params is None else request.params.meta
            context = ClientRequestContext(session=self._session, request_id=key, meta=meta)
            response = await self._session.dispatch_input_request(context, request)
            if isinstance(response, ErrorData):
                raise MCPError.from_error_data(response)
            responses[key] = response.model_dump(by_alias=True, mode="json", exclude_none=True)
        return extra | {"inputResponses": responses}


class _Call(Struct, frozen=True):
    name: str
    arguments: Mapping[str, Any]
    id: str
    timeout: float | None
    on_progress: OnProgress | None


class _Again(Struct, frozen=True):
    """The server wants another request: with input, or (`relist`) after a look at its tools."""

    raw: Raw
    relist: bool


def _named(on_progress: OnProgress | None, call_id: str) -> OnProgress | None:
    """`on_progress`, which gets the caller's id for the call."""
    if on_progress is None:
        return None
    return lambda said: on_progress(msgspec.structs.replace(said, id=call_id))
