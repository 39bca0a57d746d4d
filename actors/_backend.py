"""The seam: what the kernel needs of an event loop, on asyncio (uvloop or not) and on trio.

The one module of the package that names them. anyio stays the common language elsewhere; these
few primitives are where its generality costs more than the work itself (an anyio event costs some
20 times a bare future).
"""

import asyncio
import contextvars
import sys
import time
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

import anyio
import trio

from nexau.actors.errors import Interrupt

T = TypeVar("T")
Fatal = Callable[[BaseException], None]


class Future(Protocol):
    """A parked waiter. Ask `done` before `set_result`: on asyncio a second one is an error."""

    def done(self) -> bool: ...
    def set_result(self, value: Any, /) -> None: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...


class Backend(Protocol):
    """One for each system. Tasks that it spawns see the context it was opened in, and no other."""

    name: str
    current_task: Callable[[], Any]
    tasks: Mapping[Any, Any]
    """`tasks[tasks_key]` is the current task too: a third of the price of a call, at each ask."""
    tasks_key: Any
    future: Callable[[], Future]
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    tick: Callable[[], float]
    """A clock that runs on within a turn of the loop, as uvloop's does not."""
    cancelled: type[BaseException]
    context: contextvars.Context
    """That of the place that opened the system."""
    inline_scopes: bool
    """Whether a handler that suspends can be interrupted anywhere in another's task."""

    async def open(self) -> None: ...
    async def close(self) -> None:
        """Wait for every spawned task."""
        ...

    async def leave(self) -> None:
        """Undo `open`; the same task, and scopes opened since are closed."""
        ...

    call_soon: Callable[[Callable[[], None]], Any]

    def call_threadsafe(self, function: Callable[[], None]) -> None: ...
    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None: ...
    def turn(self) -> Awaitable[None]:
        """Give the loop one turn: a checkpoint, as cheap as the loop has it."""
        ...

    def when_done(self, task: Any, function: Callable[[Any], None], /) -> None:
        """Call `function(task)` when the task has ended, on loops that tell."""
        ...

    def is_cancelled(self, task: Any, /) -> bool:
        """Whether somebody wants `task` cancelled, now that a cancellation came out of it."""
        ...

    def interrupt(self, task: Any, token: Any, /) -> Any:
        """Break off what `task` awaits, again if there is a `token` from before; a new token, or
        the old one (None) if that cannot be done now."""
        ...

    def absorb(self, task: Any, token: Any, /) -> bool:
        """Take interrupts back once they have unwound; True if a cancellation came besides."""
        ...

    async def drain(self, task: Any, token: Any, /) -> None:
        """Take interrupts back that may not have been delivered yet."""
        ...


class AsyncioBackend:
    name = "asyncio"
    cancelled: type[BaseException] = asyncio.CancelledError
    inline_scopes = True

    def __init__(self, fatal: Fatal) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._fatal = fatal
        self.context = contextvars.copy_context()
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty: asyncio.Future[None] | None = None
        self.future: Callable[[], Future] = loop.create_future
        self.call_soon: Callable[[Callable[[], None]], Any] = partial(
            loop.call_soon, context=self.context
        )
        self.now: Callable[[], float] = loop.time
        self.tick: Callable[[], float] = time.perf_counter
        self.current_task: Callable[[], Any] = _asyncio_current_task(loop)
        running = getattr(asyncio.tasks, "_current_tasks", None)
        self.tasks = _task_table(running, loop, self.current_task)
        self.tasks_key: Any = loop

    async def open(self) -> None:
        return

    async def close(self) -> None:
        while self._tasks:
            self._empty = self._loop.create_future()
            await self._empty

    async def leave(self) -> None:
        return

    def call_threadsafe(self, function: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(function, context=self.context)

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        # Task itself, not create_task: a host's eager task factory would run it at once, inside
        # a tell.
        task = asyncio.Task(function(*args), loop=self._loop, context=self.context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal(error)
        if not self._tasks and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    @staticmethod
    @types.coroutine
    def turn() -> Generator[None, None, None]:
        yield

    def when_done(self, task: "asyncio.Task[Any]", function: Callable[[Any], None]) -> None:
        task.add_done_callback(function)

    def is_cancelled(self, task: "asyncio.Task[Any]") -> bool:
        return task.cancelling() > 0

    def interrupt(
        self, task: "asyncio.Task[Any]", token: tuple[int, int] | None
    ) -> tuple[int, int] | None:
        before, times = token or (task.cancelling(), 0)
        return (before, times + 1) if task.cancel() else token

    def absorb(self, task: "asyncio.Task[Any]", token: tuple[int, int]) -> bool:
        before, times = token
        for _ in range(times):
            task.uncancel()
        return task.cancelling() > before

    async def drain(self, task: "asyncio.Task[Any]", token: tuple[int, int]) -> None:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if self.absorb(task, token):
                raise
        else:
            self.absorb(task, token)


class _Lookup(dict[Any, Any]):
    """Stands in where a loop keeps its current task in no dict: calls for it."""

    def __init__(self, current_task: Callable[[], Any]) -> None:
        self._current_task = current_task

    def __missing__(self, _key: Any) -> Any:
        return self._current_task()


def _task_table(table: Any, key: Any, current_task: Callable[[], Any]) -> Mapping[Any, Any]:
    """The loop's own table of current tasks, if that is what `table` is."""
    here = current_task()
    if isinstance(table, dict) and here is not None and table.get(key) is here:
        return table
    return _Lookup(current_task)


def _asyncio_current_task(loop: asyncio.AbstractEventLoop) -> Callable[[], Any]:
    # Until 3.12 current_task is Python code, three times the cost of the look-up it does.
    running: Any = getattr(asyncio.tasks, "_current_tasks", None)
    if sys.version_info[:2] == (3, 11) and running is not None:
        return partial(running.get, loop)
    return partial(asyncio.current_task, loop)


class TrioFuture:
    """A one-shot wake-up for one task."""

    __slots__ = ("_done", "_task", "_value")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._done = False
        self._value: Any = None

    def done(self) -> bool:
        return self._done

    def set_result(self, value: Any, /) -> None:
        self._done = True
        self._value = value
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    def __await__(self) -> Generator[Any, Any, Any]:
        if not self._done:
            self._task = trio.lowlevel.current_task()
            parked = trio.lowlevel.wait_task_rescheduled(self._abort)  # noqa: ASYNC105
            yield from parked.__await__()
        return self._value

    def _abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        self._done = True
        return trio.lowlevel.Abort.SUCCEEDED


class TrioBackend:
    name = "trio"
    cancelled: type[BaseException] = trio.Cancelled
    inline_scopes = False

    def __init__(self, fatal: Fatal) -> None:
        self._fatal = fatal
        self.context = contextvars.copy_context()
        self._outer = trio.open_nursery()
        self._nursery: trio.Nursery
        self._closed = TrioFuture()
        self._soon: deque[Callable[[], None]] = deque()
        self._ticker: TrioFuture | None = None
        self._closing = TrioFuture()
        self._token = trio.lowlevel.current_trio_token()
        self.future: Callable[[], Future] = TrioFuture
        self.call_soon: Callable[[Callable[[], None]], Any] = self._call_soon
        self.now: Callable[[], float] = trio.current_time
        self.tick: Callable[[], float] = trio.current_time
        self.current_task: Callable[[], Any] = trio.lowlevel.current_task
        internals: Any = trio._core._run
        running = getattr(getattr(internals, "GLOBAL_RUN_CONTEXT", None), "__dict__", None)
        self.tasks = _task_table(running, "task", self.current_task)
        self.tasks_key: Any = "task"

    async def open(self) -> None:
        outer = await self._outer.__aenter__()
        opened = TrioFuture()
        outer.start_soon(self._home, opened)
        with trio.CancelScope(shield=True):
            await opened

    async def close(self) -> None:
        self._closing.set_result(None)
        if self._ticker is not None:
            self._ticker.set_result(None)
        await self._closed

    async def leave(self) -> None:
        await self._outer.__aexit__(None, None, None)

    async def _home(self, opened: TrioFuture) -> None:
        # Shielded: the host's cancellation reaches the block, which then stops the system in
        # order; it must not tear the workers out from under that.
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._tick)
                opened.set_result(None)
                await self._closing
        self._closed.set_result(None)

    async def _tick(self) -> None:
        while not self._closing.done() or self._soon:
            if not self._soon:
                self._ticker = TrioFuture()
                await self._ticker
                self._ticker = None
            while self._soon:
                self._soon.popleft()()

    def _call_soon(self, function: Callable[[], None]) -> None:
        self._soon.append(function)
        if self._ticker is not None and not self._ticker.done():
            self._ticker.set_result(None)

    def call_threadsafe(self, function: Callable[[], None]) -> None:
        self._token.run_sync_soon(function)

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        self.context.run(self._nursery.start_soon, self._guard, function, args)

    async def turn(self) -> None:
        await trio.lowlevel.checkpoint()

    def when_done(self, task: trio.lowlevel.Task, function: Callable[[Any], None]) -> None:
        return  # a task that has ended is a small thing there, and holds no result

    async def _guard(self, function: Callable[..., Awaitable[None]], args: tuple[Any, ...]) -> None:
        try:
            await function(*args)
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001 - a fault of the kernel ends the system
            self._fatal(error)

    def is_cancelled(self, _task: trio.lowlevel.Task) -> bool:
        return True  # only trio makes a Cancelled, and only for a cancelled scope

    def interrupt(self, task: trio.lowlevel.Task, token: Any) -> Any:
        # As trio itself delivers KeyboardInterrupt: there is no public way into a parked task
        # without a scope around it, and a scope for each ask costs 4 us.
        if task._abort_func is None:
            return token

        def raise_interrupt() -> Any:
            raise Interrupt

        task._attempt_abort(raise_interrupt)
        return True

    def absorb(self, _task: trio.lowlevel.Task, _token: Any) -> bool:
        return False  # cancellation is a level there: it is raised again at the next checkpoint

    async def drain(self, _task: trio.lowlevel.Task, _token: Any) -> None:
        return


def make_backend(fatal: Fatal) -> Backend:
    """The backend of the running loop. Raises RuntimeError outside of one."""
    if backend_name() == "trio":
        return TrioBackend(fatal)
    return AsyncioBackend(fatal)


def backend_name() -> str:
    """`asyncio` or `trio`: what runs the current task."""
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        asyncio.get_running_loop()
        return "asyncio"
    return "trio"


def run(
    main: Callable[..., Awaitable[T]],
    *args: Any,
    backend: str = "uvloop",
    seed: int | None = None,
    clock: Any = None,
) -> T:
    """Run `main(*args)` to its end on `uvloop` (asyncio where there is none), `asyncio` or `trio`.

    With `seed`, trio's scheduling is a function of it; `clock` is a trio clock, as `MockClock`.
    """
    if backend == "trio":
        if seed is not None:
            _seed_trio(seed)
        options = {"clock": clock} if clock is not None else {}
        return anyio.run(main, *args, backend="trio", backend_options=options)
    use_uvloop = backend == "uvloop" and find_spec("uvloop") is not None
    return anyio.run(main, *args, backend="asyncio", backend_options={"use_uvloop": use_uvloop})


def _seed_trio(seed: int) -> None:
    # What trio offers to hypothesis for the same purpose; it has no public name.
    internals: Any = trio._core._run
    internals._ALLOW_DETERMINISTIC_SCHEDULING = True
    internals._r.seed(seed)
