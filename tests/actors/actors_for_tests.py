"""Actors that several test files use."""

from collections.abc import Callable
from typing import Any

import anyio

from nexau.actors import Actor, Down


class Boom(Exception):
    """What the crashing actors raise."""


class Log(list[str]):
    """What happened, in order."""


class Recorder(Actor):
    """Does what the message says, and writes down what it went through."""

    def __init__(self, log: list[Any] | None = None, name: str = "") -> None:
        self.log: list[Any] = log if log is not None else []
        self.name = name
        self.at_once = 0
        self.most_at_once = 0

    def note(self, what: Any) -> None:
        self.log.append(f"{self.name}:{what}" if self.name else what)

    async def receive(self, message: Any) -> Any:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.handle(message)
        finally:
            self.at_once -= 1

    async def handle(self, message: Any) -> Any:
        match message:
            case "boom":
                raise Boom("boom")
            case "hang":
                try:
                    await anyio.sleep_forever()
                finally:
                    self.note("cancelled")
            case "turn":
                await anyio.lowlevel.checkpoint()
            case ("do", action):
                return await action(self)
            case Down():
                self.note(("down", message.ref.name, message.reason))
            case "log":
                return list(self.log)
            case "most":
                return self.most_at_once
            case _:
                self.note(message)
        return message


class Hooked(Recorder):
    """Notes its hooks too."""

    async def started(self) -> None:
        self.note("started")

    async def stopped(self) -> None:
        self.note("stopped")


def factory(cls: type[Recorder], log: list[Any], name: str = "") -> Callable[[], Recorder]:
    return lambda: cls(log, name)
