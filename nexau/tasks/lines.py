"""JSON lines to tasks: the synchronous core of `nexau.tasks.stream`."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from nexau.definitions.values import DefinitionError, Task
from nexau.files.forms import read
from nexau.files.problems import cut, show
from nexau.files.yamlnodes import Node

MAX_LINE = 16_000_000
"""Bytes of one line."""

_BOM = b"\xef\xbb\xbf"
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Task | str)


class Batch(Struct):
    tasks: list[Task] = []
    error: DefinitionError | None = None
    """Comes after `tasks`, and is the end."""
    end: bool = False


def make_task(value: object, number: int, where: str) -> Task:
    """A task from what an iterable may hold; `number` is its id where it has none.

    Raises `DefinitionError`, which begins with `where`.
    """
    if isinstance(value, Task):
        task = value
    elif isinstance(value, str):
        task = Task(value)
    else:
        try:
            task = msgspec.convert(value, Task, from_attributes=False)
        except (msgspec.ValidationError, TypeError) as error:
            plain = dict(value) if isinstance(value, Mapping) else value
            raise DefinitionError(f"{where}: {_explain(plain, error)}") from None
    return task if task.id else _numbered(task, number)


def _numbered(task: Task, number: int) -> Task:
    return replace(task, id=str(number))


class TaskLines:
    """Takes bytes as they come, gives back the tasks of the lines that are complete."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._number = 0
        self._rest: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Batch:
        """The tasks up to the last line end in `data`; no data is the end of the file."""
        lines = data.split(b"\n")
        if len(lines) == 1 and data:
            self._rest.append(data)
            self._size += len(data)
            if self._size > MAX_LINE:
                return Batch([], self._fault(self._number + 1, _TOO_LONG), end=True)
            return Batch([])
        lines[0] = b"".join((*self._rest, lines[0]))
        rest = lines.pop() if data else b""
        self._rest, self._size = [rest], len(rest)
        return self._decode(lines, end=not data)

    def _decode(self, lines: list[bytes], *, end: bool) -> Batch:
        tasks: list[Task] = []
        for line in lines:
            self._number += 1
            if self._number == 1:
                line = line.removeprefix(_BOM)
            if not line.strip():
                continue
            try:
                tasks.append(self._task(line))
            except DefinitionError as error:
                return Batch(tasks, error, end=True)
        return Batch(tasks, end=end)

    def _task(self, line: bytes) -> Task:
        if len(line) > MAX_LINE:
            raise self._fault(self._number, _TOO_LONG)
        try:
            made = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._fault(self._number, _why(line, error)) from None
        task = Task(made) if isinstance(made, str) else made
        return task if task.id else _numbered(task, self._number)

    def _fault(self, number: int, message: str) -> DefinitionError:
        return DefinitionError(f"{self._name}:{number}: {message}")


_TOO_LONG = f"the line is longer than {MAX_LINE:,} bytes"


def _why(line: bytes, error: Exception) -> str:
    try:
        return _explain(msgspec.json.decode(line), error)
    except msgspec.DecodeError as malformed:
        if "truncated" in str(malformed):
            return "a task is one JSON value on one line; here the line ends before the value does"
        return f"not JSON: {malformed}"
    except UnicodeDecodeError:
        return "not valid UTF-8"
    except RecursionError:
        return "nested too deeply"


def _explain(value: object, error: Exception) -> str:
    """Every fault of a task, with the nearest valid names."""
    if not isinstance(value, Mapping):
        return f"expected an object with `input`, or a text, got {cut(repr(value), 60)}"
    said: list[str] = []

    def complain(trail: tuple[str | int, ...], message: str, _: object) -> None:
        said.append(f"{show(trail)}: {message}" if trail else message)

    try:
        read(_node(value), Task, (), complain)
    except RecursionError:
        return "nested too deeply"
    return "; ".join(said) or cut(str(error), 300)


def _node(value: Any) -> Node:
    if isinstance(value, Mapping):
        items = {str(key): _node(item) for key, item in value.items()}
        return Node(items, 0, 0, keys=dict.fromkeys(items, (0, 0)))
    if isinstance(value, list | tuple):
        return Node([_node(item) for item in value], 0, 0)
    return Node(value, 0, 0)
