"""Several sources as one desk: their tools as agents see them, and states of one's own."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from random import Random
from typing import Any, Protocol, Self

from msgspec.structs import replace

from nexau.prepare import seen_names
from nexau.synth.tasks.source import Session, Source
from nexau.synth.tasks.structs import Attempt, Reply, Tool
from nexau.synth.worlds.state import Changes


class Sources:
    """All that tasks are made of: one source or several, by name."""

    def __init__(self, sources: Sequence[Source]) -> None:
        """The names of sources are all different. Where tools of two could be taken for one
        another, both get their server's name before them, as a runtime does it.
        """
        self.by_name: Mapping[str, Source] = {source.name: source for source in sources}
        self.tools: dict[str, Tool] = {}
        """By the name that agents see. The sources' own tools learn it as well."""
        tools = [tool for source in sources for tool in source.tools.values()]
        names = seen_names([(tool.name, tool.server) for tool in tools], self.by_name)
        for seen, tool in zip(names, tools, strict=True):
            self.tools[seen] = replace(tool, seen=seen)
        for source in sources:
            own = (tool for tool in self.tools.values() if tool.server == source.name)
            source.tools = {tool.name: tool for tool in own}

    def __len__(self) -> int:
        return len(self.by_name)

    def of(self, tool: Tool) -> Source:
        return self.by_name[tool.server]

    def tools_of(self, server: str) -> list[Tool]:
        return [tool for tool in self.tools.values() if tool.server == server]

    def sit(self) -> "Sitting":
        return Sitting(self)


class Sitting:
    """A state of one's own of every source, opened when something is first written there: until
    then its initial state is read, whose answers are kept.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._open: dict[str, Session] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing.close()

    async def call(self, tool: Tool, arguments: Mapping[str, Any]) -> Reply:
        session = self._open.get(tool.server)
        if session is None:
            source = self._sources.of(tool)
            if tool.reads:
                return await source.look(tool.name, arguments)
            session = self._open[tool.server] = source.open()
            self._closing.callback(session.close)
        return await session.call(tool.name, arguments)

    @property
    def opened(self) -> Mapping[str, Session]:
        """The sources in which something was, or may have been, written."""
        return self._open

    def changes(self) -> dict[str, Mapping[str, Changes]]:
        """What differs from the initial states, by source; nothing of sources left as they were."""
        found = {name: session.changes() for name, session in self._open.items()}
        return {name: changes for name, changes in found.items() if changes}


class Prober(Protocol):
    """Finds calls of a source's tools that succeed."""

    async def succeed(
        self,
        session: Sitting,
        tool: Tool,
        chance: Random,
        known: Mapping[str, Any],
        fixed: Mapping[str, Any] | None = None,
    ) -> Attempt | None: ...

    async def refused(self, session: Sitting, tool: Tool, chance: Random) -> Attempt | None: ...
