"""Runs: candidates are made, checked, tried and written, one after the other, until there are
enough."""

from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import anyio.to_thread
from msgspec import Struct
from msgspec.structs import replace

from nexau.definitions.values import DefinitionError
from nexau.synth.agents.catalog import Catalog, moved, read_catalog
from nexau.synth.agents.crew import crew
from nexau.synth.agents.drafts import Draft, Record
from nexau.synth.agents.novelty import Novelty, told
from nexau.synth.agents.smoke import Smoked, smoke
from nexau.synth.agents.store import Store
from nexau.synth.agents.vetting import vet
from nexau.synth.agents.worker import Assignment

BATCH = 32
"""Hierarchies that are tried together."""
FRUITLESS = 400
"""Refused candidates in a row after which a run gives up."""
DEAD = 4
"""Hierarchies tried together, all of which fail, after which a run gives up."""


class Source(Protocol):
    """Drafts in the order of their numbers."""

    def drafts(self, first: int) -> AsyncGenerator[Draft, None]: ...


class Settings(Struct, frozen=True):
    """How a run is done; none of it changes what a hierarchy looks like."""

    n: int
    smoke: int | None = None
    """How many of the accepted are tried first on their servers; None: all."""


class Judged(NamedTuple):
    """A draft, and why it is refused; no reasons for one that may be tried."""

    draft: Draft
    reasons: tuple[str, ...]


class BuiltIn:
    """Drafts by the grammar, from `workers` processes."""

    def __init__(self, work: Assignment, workers: int) -> None:
        self._work = work
        self._workers = workers

    async def drafts(self, first: int) -> AsyncGenerator[Draft, None]:
        opened = crew(self._work, first, self._workers)
        ranges = await anyio.to_thread.run_sync(opened.__enter__)
        try:
            while True:
                for draft in await anyio.to_thread.run_sync(partial(next, ranges)):
                    yield draft
        finally:
            opened.__exit__(None, None, None)


class Generation:
    """One run into one folder."""

    def __init__(self, store: Store, settings: Settings, model: object) -> None:
        self.store = store
        self.settings = settings
        self._model = model
        self._catalog: Catalog = read_catalog(store.folder / "catalog.json")
        folder, target = store.folder, store.folder / "agents"
        starts = {name: each.start for name, each in self._catalog.servers.items()}
        self._servers = {name: moved(each, folder, target) for name, each in starts.items()}
        self._novelty = Novelty()
        self._fruitless = 0

    async def run(self, source: Source) -> AsyncIterator[Record]:
        """Accepted hierarchies, those first that the folder already holds.

        Raises `DefinitionError` where too many candidates in a row are refused, `ToolsUnavailable`
        where a server does not start.
        """
        for record in self.store.accepted[: self.settings.n]:
            yield record
        self._recall()
        batch: list[Judged] = []
        drafts = source.drafts(self.store.next_index)
        try:
            while len(self.store.accepted) < self.settings.n:
                batch.append(self._judge(await anext(drafts)))
                if self._enough(batch):
                    for record in await self._settle(batch):
                        yield record
                    batch = []
        finally:
            await drafts.aclose()

    def _recall(self) -> None:
        """The novelty of a run that goes on is that of all before."""
        folder = self.store.folder
        known: list[tuple[Record, Path]] = [
            (record, folder / record.file) for record in self.store.accepted
        ]
        known += [
            (each.record, folder / each.file)
            for each in self.store.rejected
            if each.record is not None and each.file is not None
        ]
        for record, path in sorted(known, key=lambda item: item[0].index):
            self._novelty.keep(record, told(path.read_bytes()))

    def _judge(self, draft: Draft) -> Judged:
        """Whether it is whole, new and harmless."""
        reasons = draft.faults
        if not reasons:
            fault = self._novelty.fault(draft.record, told(draft.yaml))
            reasons = (fault,) if fault is not None else ()
        if not reasons and draft.record.writer != "grammar":
            reasons = self._vetted(draft)
        return Judged(draft, reasons)

    def _vetted(self, draft: Draft) -> tuple[str, ...]:
        self.store.place(draft)
        path = self.store.folder / draft.record.file
        found = vet(path, self._catalog, self._servers, (self._model,))
        return tuple(f"vetting: {each.path}: {each.message}" for each in found)

    def _enough(self, batch: list[Judged]) -> bool:
        promising = sum(not each.reasons for each in batch)
        wanted = self.settings.n - len(self.store.accepted)
        most = min(wanted, BATCH if self._tries() else 1)
        return promising >= most or len(batch) >= 2 * BATCH

    def _tries(self) -> int:
        """How many more are to be tried on their servers."""
        limit = self.settings.smoke
        return BATCH if limit is None else max(0, limit - len(self.store.accepted))

    async def _settle(self, batch: list[Judged]) -> list[Record]:
        """Accepts or rejects a batch, in its order, until there are enough.

        Lines are written in the order of the candidates, so that the last one tells where to go on.
        """
        whole = [each.draft for each in batch if not each.reasons]
        tried = whole[: self._tries()]
        for draft in whole:
            self.store.place(draft)
        outcomes = await smoke(self.store.folder, tried, self._servers) if tried else []
        faults = [outcome.faults for outcome in outcomes if outcome.faults]
        if len(faults) == len(tried) >= DEAD:
            raise DefinitionError(
                f"none of {len(tried)} hierarchies lives on the servers; the first: {faults[0][0]}."
                " If the servers have changed since, make the catalog anew"
            )
        outcome_of = {
            draft.record.index: outcome for draft, outcome in zip(tried, outcomes, strict=True)
        }
        made: list[Record] = []
        for draft, reasons in batch:
            outcome = outcome_of.get(draft.record.index, Smoked(None))
            if len(self.store.accepted) >= self.settings.n:
                self.store.discard(draft)
            elif reasons or outcome.faults:
                self._refuse(draft, reasons, outcome)
            else:
                record = replace(draft.record, smoke=outcome.smoke)
                self.store.accept(record)
                self._fruitless = 0
                made.append(record)
        return made

    def _refuse(self, draft: Draft, reasons: tuple[str, ...], outcome: Smoked) -> None:
        self.store.reject(draft, reasons or outcome.faults, counted=not reasons)
        self._fruitless += 1
        if self._fruitless >= FRUITLESS:
            raise DefinitionError(
                f"{FRUITLESS} candidates in a row were refused, the last because:"
                f" {(reasons or outcome.faults)[0]}; {len(self.store.accepted)} hierarchies are in"
                f" {self.store.folder.name}. More tools, or another complexity, give more room"
            )
