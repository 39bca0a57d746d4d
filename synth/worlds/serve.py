"""A world as an MCP server, on the official SDK's low-level server.

Handlers give plain dicts where the SDK lets them: its models would be built only to be taken apart
again. `Overlay` adds tools, resources and prompts of a host's own to a world's.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any, Protocol

import mcp_types as types
import msgspec
import uvicorn
from mcp.server import ServerRequestContext
from mcp.server.context import HandlerResult
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from starlette.types import ASGIApp

from nexau.latency.replayed import Replay, clock, pause_until
from nexau.servers import WORLD
from nexau.synth.worlds import describe, engine
from nexau.synth.worlds.compiled import World
from nexau.synth.worlds.engine import Answer
from nexau.synth.worlds.refusals import Refusal
from nexau.synth.worlds.sessions import (
    IDLE,
    OneState,
    Seat,
    Seats,
    StatePerSession,
    States,
    refuse_stateless,
    without_streams,
)
from nexau.synth.worlds.state import State, Template
from nexau.transports.guard import Guard, GuardedApp

Context = ServerRequestContext[Any, Any]
VERSION = f"{WORLD}/1"
"""Which tells a runtime that what answers is a world."""
RESET = "world_reset"
"""A tool that makes the state as new: callable, never listed."""
_CLOSED: dict[str, Any] = {"resultType": "complete"}
_CACHED: dict[str, Any] = {"ttlMs": 0, "cacheScope": "private", **_CLOSED}
"""What lists and contents say as well, since revision 2026-07-28."""
_RESOURCE_NOT_FOUND = -32002


class Overlay(Protocol):
    """What a host serves beside a world. Each gives None for what is not its own."""

    def listed(self, what: str) -> list[dict[str, Any]]:
        """`tools`, `resources`, `resourceTemplates` or `prompts`."""
        ...

    async def answer(self, context: Context, method: str, params: Any) -> HandlerResult | None: ...

    def install(self, server: Server[Any]) -> None:
        """Handlers of other methods."""
        ...


class Service:
    """Answers requests for one world; its server may be run over any transport."""

    def __init__(
        self,
        world: World,
        states: States,
        *,
        latency: bool = True,
        expose_state: bool = False,
        overlay: Overlay | None = None,
    ) -> None:
        """`latency` plays the world's profile. `expose_state` lets `world://state`,
        `world://changes` and `world://hash` be read; they are never listed.
        """
        self._world = world
        self._states = states
        self._replay = Replay(world.profile) if latency and world.profile is not None else None
        self._expose = expose_state
        self._overlay = overlay
        self._listings = {
            "tools": [describe.tool(each) for each in world.tools.values()],
            **describe.resources(world),
            "prompts": [describe.prompt(each) for each in world.prompts.values()],
        }
        if overlay is not None:
            for what, listed in self._listings.items():
                listed += overlay.listed(what)

    def server(self) -> Server[Any]:
        server = Server[Any](
            self._world.name, version=VERSION, instructions=self._world.description,
            on_list_tools=_never, on_list_resources=_never, on_list_resource_templates=_never,
            on_list_prompts=_never,
        )  # fmt: skip
        page = types.PaginatedRequestParams
        handlers: tuple[tuple[str, type[Any], Callable[..., Awaitable[HandlerResult]]], ...] = (
            ("tools/list", page, partial(self._list, "tools")),
            ("tools/call", types.CallToolRequestParams, self._call),
            ("resources/list", page, partial(self._list, "resources")),
            ("resources/templates/list", page, partial(self._list, "resourceTemplates")),
            ("resources/read", types.ReadResourceRequestParams, self._read),
            ("prompts/list", page, partial(self._list, "prompts")),
            ("prompts/get", types.GetPromptRequestParams, self._prompt),
        )
        for method, params, handler in handlers:
            server.add_request_handler(method, params, handler)
        if self._overlay is not None:
            self._overlay.install(server)
        return server

    async def _list(self, what: str, _: Context, __: Any) -> HandlerResult:
        return {what: self._listings[what], **_CACHED}

    async def _call(self, context: Context, params: types.CallToolRequestParams) -> HandlerResult:
        if self._overlay is not None and params.name not in self._world.tools:
            answer = await self._overlay.answer(context, "tools/call", params)
            if answer is not None:
                return answer
        session = _session_of(context)
        if params.name == RESET:
            self._states.reset(session)
            return _tool_result(Answer({"reset": True}))
        seat = self._states.of(session)
        if self._replay is None or params.name not in self._world.tools:
            return _tool_result(engine.call(seat.state, params.name, params.arguments))
        return _tool_result(await self._late(self._replay, seat, params))

    async def _late(
        self, replay: Replay, seat: Seat, params: types.CallToolRequestParams
    ) -> Answer:
        """As long, and failing as often, as the world's profile says."""
        now = clock()
        began = now()
        number, seat.calls = seat.calls, seat.calls + 1
        replay.in_flight += 1
        try:
            drawn = replay.draw(self._world.seed, self._world.name, str(number), params.name)
            if drawn.error_class is not None:
                code = drawn.error_class
                answer = Answer({"code": code, "message": drawn.text or code}, is_error=True)
            else:
                answer = engine.call(seat.state, params.name, params.arguments)
            await pause_until(began + drawn.seconds, now)
        finally:
            replay.in_flight -= 1
        return answer

    async def _read(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> HandlerResult:
        uri = str(params.uri)
        if uri.startswith("world://") and self._expose:
            seat = self._states.of(_session_of(context))
            return _contents(uri, "application/json", own_resource(seat, uri))
        for resource in self._world.resources.values():
            arguments = describe.match(resource.uri, uri)
            if arguments is not None:
                seat = self._states.of(_session_of(context))
                try:
                    text = engine.read(seat.state, resource, arguments)
                except Refusal as refusal:
                    raise MCPError(types.INVALID_PARAMS, refusal.message) from None
                return _contents(uri, resource.mime_type, text)
        if self._overlay is not None:
            answer = await self._overlay.answer(context, "resources/read", params)
            if answer is not None:
                return answer
        raise MCPError(_RESOURCE_NOT_FOUND, f"no resource {uri}", {"uri": uri})

    async def _prompt(
        self, context: Context, params: types.GetPromptRequestParams
    ) -> HandlerResult:
        form = self._world.prompts.get(params.name)
        if form is None:
            if self._overlay is not None:
                answer = await self._overlay.answer(context, "prompts/get", params)
                if answer is not None:
                    return answer
            raise MCPError(types.INVALID_PARAMS, f"no prompt {params.name}")
        seat = self._states.of(_session_of(context))
        try:
            text = engine.prompt(seat.state, form, params.arguments or {})
        except Refusal as refusal:
            raise MCPError(types.INVALID_PARAMS, refusal.message) from None
        message = {"role": "user", "content": {"type": "text", "text": text}}
        return {"description": form.description, "messages": [message], **_CLOSED}


def own_resource(seat: Seat, uri: str) -> str:
    """`world://state`, `world://changes` or `world://hash`, as JSON. Raises MCPError."""
    what = uri.removeprefix("world://")
    body: Any
    if what == "state":
        body = seat.state.dump()
    elif what == "changes":
        body = {} if seat.state.untouched else seat.state.changes_since(seat.before)
    elif what == "hash":
        body = {"hash": seat.state.digest(), "before": seat.before.digest()}
    else:
        raise MCPError(_RESOURCE_NOT_FOUND, f"no resource {uri}", {"uri": uri})
    return msgspec.json.encode(body).decode()


async def _never(*_: Any) -> Any:
    """Stands for handlers that are installed after; their presence tells the capabilities."""
    raise NotImplementedError


def _session_of(context: Context) -> str | None:
    headers: Mapping[str, str] = getattr(context.request, "headers", {})
    return headers.get("mcp-session-id")


def _contents(uri: str, mime_type: str, text: str) -> dict[str, Any]:
    return {"contents": [{"uri": uri, "mimeType": mime_type, "text": text}], **_CACHED}


def _tool_result(answer: Answer) -> dict[str, Any]:
    return {
        "content": [{"type": "text", "text": answer.json.decode()}],
        "structuredContent": answer.body,
        "isError": answer.is_error,
        **_CLOSED,
    }


async def serve_stdio(template: Template, **options: Any) -> None:
    """Over stdin and stdout, until stdin ends; one state. On asyncio or trio."""
    seats = Seats(template)
    states = OneState(seats)
    with closing(seats), closing(states):
        server = Service(template.world, states, **options).server()
        async with stdio_server() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())


def http_app(
    template: Template, *, shared: bool = False, json: bool = True, host: str, **options: Any
) -> ASGIApp:
    """An ASGI application that serves `/mcp`.

    `shared` gives all sessions one state, and then the revision without sessions is spoken as well.
    `json` answers in JSON instead of event streams: half the CPU, and all that a world needs.
    """
    seats = Seats(template)
    states: OneState | StatePerSession = OneState(seats) if shared else StatePerSession(seats)
    server = Service(template.world, states, **options).server()
    if isinstance(states, StatePerSession):
        server.middleware.append(refuse_stateless)
    app: ASGIApp = server.streamable_http_app(
        json_response=json, session_idle_timeout=IDLE, host=host
    )
    if isinstance(states, StatePerSession):
        app = states.around(app)
    return without_streams(app) if json else app


def serve_http(app: ASGIApp, guard: Guard, *, host: str, port: int) -> None:
    """Until SIGINT or SIGTERM. On asyncio: uvicorn knows no other."""
    uvicorn.run(
        GuardedApp(app, guard),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        # Clients that keep connections open should not find them closed between two calls.
        timeout_keep_alive=120,
        timeout_graceful_shutdown=1,
    )


__all__ = ["RESET", "Overlay", "Service", "State", "http_app", "serve_http", "serve_stdio"]
