"""`python -m nexau.synth.agents.worker`: makes candidates by number, for `nexau.synth.agents.crew`.

Reads one line of JSON, the assignment, then a line with two numbers for each range; writes for each
range its drafts as MessagePack after eight bytes of length. Ends with its input, so that it does
not outlive the process that started it.
"""

import gc
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from nexau.synth.agents.candidates import Maker, Options
from nexau.synth.agents.catalog import moved, read_catalog
from nexau.synth.agents.drafts import Draft, Finisher


class Assignment(Struct, frozen=True):
    """All that candidates depend on."""

    folder: str
    """Of the run; `catalog.json` lies in it."""
    options: Options
    ranked: tuple[int, ...]
    model: Any
    parents: tuple[str, ...] = ()


def finisher_of(work: Assignment) -> tuple[Maker, Finisher]:
    folder = Path(work.folder)
    catalog = read_catalog(folder / "catalog.json")
    target = folder / "agents"
    servers = {name: moved(each.start, folder, target) for name, each in catalog.servers.items()}
    maker = Maker(catalog, work.options, ranked=list(work.ranked))
    return maker, Finisher(maker, servers, work.model, work.parents)


def drafts_of(finisher: Finisher, first: int, end: int) -> list[Draft]:
    return [finisher.draft(index) for index in range(first, end)]


def main() -> None:
    work = msgspec.json.decode(sys.stdin.buffer.readline(), type=Assignment)
    _, finisher = finisher_of(work)
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    encode = msgspec.msgpack.Encoder().encode
    for line in sys.stdin.buffer:
        first, end = map(int, line.split())
        data = encode(drafts_of(finisher, first, end))
        try:
            sys.stdout.buffer.write(len(data).to_bytes(8, "big") + data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            return


if __name__ == "__main__":
    main()
