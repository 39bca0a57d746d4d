"""The sinks of a run in several processes: its own process has them, and gives them workers' lines.

So each sees every line once and in one order, that of completion, and its policy holds for the
run as a whole.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from nexau.actors import ActorSystem
from nexau.group import Group
from nexau.output.outlets import OpenOutlet, open_outlet
from nexau.output.sinks import Emits, Flush, Item, Sink, Written
from nexau.trajectory import Event, Step, Trajectory

TOGETHER = 1 << 16
"""Bytes of lines from which on no more are given to a sink in one piece."""

_decode: dict[Emits, Callable[[bytes], Any]] = {
    "trajectories": msgspec.json.Decoder(Trajectory).decode,
    "steps": msgspec.json.Decoder(Step).decode,
    "events": msgspec.json.Decoder(Event).decode,
}


class Merging:
    """Takes lines as they come from any worker."""

    def __init__(
        self, system: ActorSystem, sinks: Sequence[Sink], broken: Callable[[Exception], None]
    ) -> None:
        group = Group()
        system.spawn(lambda: group, name="sinks")
        self._outlets = [
            open_outlet(group.context, sink, f"sink-{index + 1}", broken)
            for index, sink in enumerate(sinks)
        ]
        self._kinds = kinds(sinks)

    async def take(self, lines: Sequence[bytes]) -> None:
        """Waits for sinks that are slower, as far as their policies say."""
        for kind in self._kinds:
            some = lines if len(self._kinds) == 1 else [each for each in lines if _is(each, kind)]
            for piece in _pieces(some):
                for outlet in self._outlets:
                    if outlet.emits == kind:
                        await _give(outlet, kind, piece)

    async def flush(self) -> None:
        """Returns when all is where it belongs."""
        for outlet in self._outlets:
            await outlet.ref.ask(Flush())

    def statistics(self) -> list[dict[str, Any]]:
        return [outlet.statistics() for outlet in self._outlets]


def kinds(sinks: Iterable[Sink]) -> tuple[Emits, ...]:
    """What they want, each once."""
    return tuple(dict.fromkeys(sink.emits for sink in sinks))


def _is(line: bytes, kind: Emits) -> bool:
    """By the tag, which comes first."""
    if line.startswith(b'{"type":"trajectory"'):
        return kind == "trajectories"
    return kind == ("steps" if line.startswith(b'{"type":"step"') else "events")


def _pieces(lines: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    start = size = 0
    for index, line in enumerate(lines):
        size += len(line)
        if size >= TOGETHER:
            yield lines[start : index + 1]
            start, size = index + 1, 0
    if start < len(lines):
        yield lines[start:]


async def _give(outlet: OpenOutlet, kind: Emits, lines: Sequence[bytes]) -> None:
    items: Sequence[Item | None] = ()
    if not outlet.actor.takes_lines:
        items = [_decode[kind](line) for line in lines]
    message = Written(b"\n".join([*lines, b""]), len(lines), items)
    if kind == "trajectories":
        await outlet.ref.tell(message)
    else:
        await outlet.give(message)
