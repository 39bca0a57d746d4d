"""MCP servers of a runtime: started, supervised, and lent to rollouts as sessions."""

import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
from msgspec import to_builtins

from nexau.actors import (
    ActorRef,
    ActorStopped,
    Backoff,
    ChildSpec,
    Down,
    SupervisorRef,
    SupervisorSpec,
)
from nexau.boundary import describe
from nexau.definitions.targets import locate
from nexau.definitions.values import Server, StdioServer, Supervision
from nexau.group import Group
from nexau.latency.replayed import Replay, replays_of
from nexau.resilience import Care
from nexau.sessions import Link, Session, SessionActor, Target, answering
from nexau.spill import Spill
from nexau.trajectory import Served
from nexau.transports.adaptive import START, Adaptive, Gate
from nexau.transports.connection import Connection
from nexau.transports.http import HttpClient
from nexau.transports.log import get_logger
from nexau.transports.protocol import ToolSpec

CALLS_PER_SESSION = 4096
RESET_SECONDS = 30.0

log = get_logger("nexau.servers")


class ToolsUnavailable(Exception):
    """A server could not be started or reached, or lacks a tool that an agent names."""


class Servers(Group):
    """Parent of every server's supervisor; learns of it when one gives up."""

    def __init__(self) -> None:
        self.pools: dict[str, ServerPool] = {}

    async def receive(self, message: object) -> None:
        if not isinstance(message, Down):
            self.unhandled(message)
            return
        pool = self.pools.pop(message.ref.path, None)
        if pool is not None:
            why = describe(_root_cause(message.reason)) if message.reason else "it was stopped"
            pool.fail(f"server {pool.name!r} is down for good: {why}")

    def add(self, pool: "ServerPool") -> SupervisorRef:
        spec = pool.supervision
        backoff = Backoff(spec.backoff.min, spec.backoff.max, spec.backoff.jitter)
        ref = self.context.supervise(
            SupervisorSpec("rest_for_one", spec.intensity, spec.period, backoff),
            name=self.free_name(pool.name),
            restart="temporary",
        )
        self.context.monitor(ref)
        self.pools[ref.path] = pool
        return ref


class ServerPool:
    """One MCP server and its sessions: one shared by all, or one for each rollout while it lasts.

    Rollouts wait for a session in the order in which they ask.
    """

    def __init__(
        self,
        key: int,
        name: str,
        config: Server,
        supervision: Supervision,
        base: Path | None,
        http: HttpClient,
        seed: int,
        files: Path | None = None,
    ) -> None:
        self.key = key
        self.name = name
        self.config = config
        self.supervision = supervision
        self.http = http
        self.tools: tuple[ToolSpec, ...] = ()
        self.served = Served(name)
        """What trajectories say of who answers its calls."""
        self._base = base
        self._spill = spill_of(config, base, files)
        self._random = random.Random(f"{seed}/{name}")
        self._care = Care(
            name,
            config.resilience,
            breaks=config.sessions == "shared",
            chance=self._random,
        )
        self._servers: Servers
        self._supervisor: SupervisorRef | None = None
        self._target: Target | None = None
        self._replays: Callable[[], Replay | None] = lambda: None
        self._gates: Callable[[], Gate | None] = lambda: None
        self._shared: Session | None = None
        self._idle: deque[tuple[Session, ActorRef]] = deque()
        self._held: dict[Session, ActorRef] = {}
        self._failed: str | None = None
        self._opened = 0
        self._opening = 0
        """Spares that are about to be idle."""
        self._news = anyio.Event()
        """One of them is, or will not be."""
        self._served = 0
        self._waiting = 0
        self._room = anyio.CapacityLimiter(self._bound())

    async def open(self, servers: Servers) -> None:
        """Starts the server and its first session, and lists its tools.

        Raises `ToolsUnavailable`, with the end of the server's stderr, and `DefinitionError` for
        what it is said to replay.
        """
        self._replays = replays_of(self.config, self._base)
        self._gates = gates_of(self.config)
        self._servers = servers
        self._supervisor = servers.add(self)
        self._target, process = locate(self.name, self.config, self._base)
        if process is not None:
            spec = ChildSpec("process", process, restart="permanent", shutdown=10.0)
            try:
                await self._supervisor.start_child(spec).ready()
            except ActorStopped as error:
                raise ToolsUnavailable(describe(_root_cause(error.reason or error))) from None
        if self.config.sessions == "shared":
            session, _ = await self._start("session", lasting=True)
            self._shared = session
        else:
            session, ref = await self._start(self._next_id(), lasting=False)
            self._idle.append((session, ref))
        connection = session.link.connection
        if connection is None:
            raise ToolsUnavailable(session.link.failed or f"server {self.name!r} did not start")
        self.tools = connection.tools
        self._care.know(self.tools)
        # The first session was opened before anything was known of its tools.
        session.care = None if self._care.idle else self._care
        self.served = _served(self.name, self.config, connection)
        await self._warm_up()

    async def acquire(self) -> Session:
        """A session of one's own until `release`, or the shared one.

        Raises `ToolsUnavailable`.
        """
        if self._shared is not None:
            if self._shared.link.failed is not None:
                raise ToolsUnavailable(self._shared.link.failed)
            return self._shared
        session = object()
        self._waiting += 1
        try:
            await self._room.acquire_on_behalf_of(session)
        finally:
            self._waiting -= 1
        try:
            held, ref = await self._fresh()
        except BaseException:
            self._room.release_on_behalf_of(session)
            raise
        held.lease = session
        self._held[held] = ref
        self._refill()
        return held

    async def release(self, session: Session) -> None:
        """Gives a session back: reset and kept, or closed."""
        ref = self._held.pop(session, None)
        if ref is None:
            return
        try:
            if await self._reusable(session):
                self._idle.append((session, ref))
            else:
                await self._end(session, ref)
        finally:
            self._room.release_on_behalf_of(session.lease)
        self._refill()

    def fail(self, reason: str) -> None:
        self._failed = reason
        if self._shared is not None:
            self._shared.link.fail(reason)

    def statistics(self) -> dict[str, Any]:
        return {
            "sessions": self.config.sessions,
            "opened": self._opened,
            "held": len(self._held),
            "idle": len(self._idle),
            "opening": self._opening,
            "waiting": self._waiting,
            "served": self._served,
            "in_flight": [to_builtins(gate.statistics()) for gate in self._gated()],
            "resilience": self._care.statistics(),
        }

    def _gated(self) -> list[Gate]:
        """The gates of the sessions that are open, each once."""
        shared = () if self._shared is None else (self._shared,)
        found = (*shared, *self._held, *(session for session, _ in self._idle))
        return list(dict.fromkeys(each.gate for each in found if each.gate is not None))

    def _bound(self) -> float:
        bound = self.config.pool.max
        if bound is not None:
            return bound
        return 8 if isinstance(self.config, StdioServer) else float("inf")

    async def _warm_up(self) -> None:
        """Opens the sessions that the pool is to have in stock, side by side."""
        async with anyio.create_task_group() as group:
            for _ in range(self._missing()):
                self._opening += 1
                group.start_soon(self._open_spare)

    def _refill(self) -> None:
        """As `_warm_up`, beside what the caller does."""
        for _ in range(self._missing()):
            self._opening += 1
            with suppress(ActorStopped):
                self._servers.context.start_soon(self._open_spare, name=f"{self.name}.spare")

    def _missing(self) -> int:
        """Sessions that are not in stock: up to `min` in all, `spares` of them idle."""
        if self._shared is not None or self._failed is not None:
            return 0
        pool, idle = self.config.pool, len(self._idle) + self._opening
        wanted = max(pool.min - self._room.borrowed_tokens - idle, pool.spares - idle)
        return int(min(wanted, self._bound() - self._total()))

    def _total(self) -> int:
        return self._room.borrowed_tokens + len(self._idle) + self._opening

    async def _open_spare(self) -> None:
        """One that does not open is left to the rollout that needs it, which says why."""
        try:
            self._idle.append(await self._start(self._next_id(), lasting=False))
        except (ToolsUnavailable, ActorStopped) as error:
            log.warning("spare session did not open", server=self.name, reason=str(error))
        finally:
            self._opening -= 1
            news, self._news = self._news, anyio.Event()
            news.set()

    def _next_id(self) -> str:
        self._opened += 1
        return f"session-{self._opened}"

    async def _fresh(self) -> tuple[Session, ActorRef]:
        """An idle session that lives, or a new one; tries again with the supervision's backoff."""
        while self._idle or (self._opening and self._total() > self._bound()):
            if not self._idle:
                await self._news.wait()
                continue
            session, ref = self._idle.popleft()
            if session.link.connection is not None:
                return session, ref
            await self._end(session, ref)
        delay = self.supervision.backoff.min
        for attempt in range(self.supervision.intensity + 1):
            if self._failed is not None:
                raise ToolsUnavailable(self._failed)
            try:
                return await self._start(self._next_id(), lasting=False)
            except ToolsUnavailable as error:
                if attempt == self.supervision.intensity:
                    raise
                log.warning("session did not open", server=self.name, reason=str(error))
            jitter = self.supervision.backoff.jitter * self._random.random()
            await anyio.sleep(delay * (1 - jitter))
            delay = min(delay * 2, self.supervision.backoff.max)
        raise AssertionError("unreachable")

    async def _start(self, name: str, *, lasting: bool) -> tuple[Session, ActorRef]:
        """One session, open. Raises `ToolsUnavailable`; leaves nothing behind when cancelled."""
        assert self._supervisor is not None
        assert self._target is not None
        link = Link(self.name)
        target, config = self._target, self.config

        def actor() -> SessionActor:
            return SessionActor(
                link,
                target,
                self.http,
                start_timeout=config.start_timeout,
                max_result_bytes=config.max_result_bytes,
                health=config.health,
                lasting=lasting,
            )

        restart = self.supervision.restart if lasting else "temporary"
        spec = ChildSpec(name, actor, restart=restart, shutdown=10.0)
        ref = self._supervisor.start_child(spec)
        try:
            await link.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await ref.kill()
            raise
        if link.connection is None:
            await ref.stop()
            raise ToolsUnavailable(link.failed or f"server {self.name!r} did not start")
        replay = self._replays()
        callers = self._servers.add_pool(
            f"{self._supervisor.name}.{name}",
            answering(link, config.timeout, replay, self._spill),
            CALLS_PER_SESSION,
        )
        care = None if self._care.idle else self._care
        return Session(link, callers, self._gates(), replay=replay, care=care), ref

    async def _end(self, session: Session, ref: ActorRef) -> None:
        await session.callers.stop()
        await ref.stop()

    async def _reusable(self, session: Session) -> bool:
        """Whether the next rollout may have this session; resets it."""
        session.uses += 1
        self._served += 1
        uses, reset = self.config.pool.uses, self.config.reset
        if session.link.connection is None or reset is None or (uses and session.uses >= uses):
            return False
        result = await session.link.connection.call(
            reset, {}, call_id="reset", timeout=min(self.config.timeout, RESET_SECONDS)
        )
        if result.is_error:
            log.warning("reset failed; the session is closed", server=self.name, reset=reset)
        return not result.is_error


WORLD = "nexau-world"
"""How the version begins that a world's server gives: see `Served`."""


def _served(name: str, config: Server, connection: Connection) -> Served:
    info = connection.server_info
    version = info.version if info is not None else ""
    software = f"{info.name} {version}".strip() if info is not None else ""
    if version.startswith(WORLD):
        return Served(name, "simulated", software)
    return Served(name, "live" if config.latency is None else "replayed", software)


def gates_of(config: Server) -> Callable[[], Gate | None]:
    """What bounds the calls in flight: over stdio each session, a process of its own, over HTTP the
    whole server."""
    bound = config.in_flight
    if bound is None:
        return lambda: None

    def gate() -> Gate:
        if bound == "auto":
            return Gate(Adaptive(START, most=CALLS_PER_SESSION))
        return Gate(Adaptive(bound, least=bound, most=bound))

    if isinstance(config, StdioServer):
        return gate
    shared = gate()
    return lambda: shared


def spill_of(config: Server, base: Path | None, files: Path | None) -> Spill | None:
    """Where big results go, if anywhere; `files` comes before what the agent file says."""
    if config.spill is None:
        return None
    directory = files or (base or Path()) / config.spill.directory
    return Spill(directory, config.spill.bytes)


def _root_cause(error: BaseException) -> BaseException:
    """What made a supervisor give up."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
