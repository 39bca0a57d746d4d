"""What a run gives its slots: tasks, each as often as it is to be repeated."""

from typing import Protocol

from msgspec import Struct

from nexau.definitions.values import Task
from nexau.tasks.stream import TaskStream
from nexau.trajectory import Event


class Assignment(Struct, frozen=True, gc=False):
    """A task and which repeat of it; in a run that is kept, also where it stood."""

    task: Task
    repeat: int
    place: int = 0
    """Among all rollouts of the run, by task and repeat."""
    attempt: int = 0
    """To begin with."""
    events: tuple[Event, ...] = ()
    """What that attempt had done before its process died."""
    notes: tuple[str, ...] = ()


class Assignments(Protocol):
    """Where a run takes its work from. One caller at a time."""

    def ready(self) -> Assignment | None:
        """The next one, where it is to be had without waiting."""
        ...

    async def next(self) -> Assignment | None:
        """The next one; None at the end. Raises `DefinitionError`, OSError."""
        ...

    async def aclose(self) -> None:
        """No more will be asked for."""
        ...


class Repeated:
    """Every task of a stream, `repeat` times in a row."""

    def __init__(self, tasks: TaskStream, repeat: int) -> None:
        self._tasks = tasks
        self._repeat = repeat
        self._task: Task | None = None
        self._given = 0

    def ready(self) -> Assignment | None:
        if self._task is None:
            self._task = self._tasks.ready()
        return self._take()

    async def next(self) -> Assignment | None:
        if self._task is None:
            self._task = await anext(self._tasks, None)
        return self._take()

    def _take(self) -> Assignment | None:
        task = self._task
        if task is None:
            return None
        assignment = Assignment(task, self._given)
        self._given += 1
        if self._given == self._repeat:
            self._task, self._given = None, 0
        return assignment

    async def aclose(self) -> None:
        await self._tasks.aclose()
