"""The tree of problem types grows where a model is configured: p = 0.1 before a draw (NexGAP).

What is grown is a situation in which a known type of problem comes up. It is stored with the number
before which it grew, so that a run that goes on draws from the same tree.
"""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from nexau.definitions.values import OpenAIModel
from nexau.runtime import Runtime
from nexau.synth.authoring import Written, author, write
from nexau.synth.similarity import similarity
from nexau.synth.streams import seed_of, stream
from nexau.synth.tasks.acceptance import names_a_tool
from nexau.synth.tasks.generate import Generator
from nexau.synth.tasks.typetree import GROWTH

ALIKE = 0.8
"""Similarity from which on two situations are one."""
_SEED = 2**31
GUIDE = """\
You extend a tree of problem types for an assistant's training. You are given a node of the tree and
the situations that it has already. You propose one more: a short name, and one or two sentences on
who is in which situation when this problem comes up, and why it matters to them. No numbers, no
names of people, no ids: those come from the data. Do not name tools or functions.
Write one JSON object and nothing else: {"name": "two to five words", "situation": "..."}."""


class Grown(Struct, frozen=True):
    """A node that a model proposed."""

    number: int
    """Before whose draw it grew."""
    path: tuple[str, ...]
    situation: str


class Growth:
    """Grows the tree of a generator."""

    def __init__(
        self, generator: Generator, runtime: Runtime, model: OpenAIModel, kept: Path | None
    ) -> None:
        """Grown nodes are stored beside `kept`, and taken from there when a run goes on."""
        self._generator = generator
        self._runtime = runtime
        self._agent = author(model, GUIDE)
        self._file = kept and kept.with_suffix(".types.jsonl")
        if self._file is not None and self._file.exists():
            for line in self._file.read_bytes().splitlines():
                grown = msgspec.json.decode(line, type=Grown)
                generator.grown.setdefault(grown.number, (grown.path, grown.situation))
        self._asked = set(generator.grown)

    async def before(self, number: int) -> list[Written]:
        """Grows a node before the draw of this number, if one is due; what the author did."""
        generator = self._generator
        chance = stream(generator.settings.seed, "growth", number)
        if chance.random() >= GROWTH or number in self._asked:
            return []
        if number:
            generator.type_of(number - 1)  # the tree as it is by then
        self._asked.add(number)
        leaf = chance.choice([each for each in generator.tree.leaves if len(each) == LEAF])
        done = await self._ask(number, leaf)
        if done.value is not None:
            path = (*leaf, done.value["name"].strip().casefold())
            generator.grown[number] = (path, done.value["situation"].strip())
            self._store(Grown(number, path, done.value["situation"].strip()))
        return [done]

    async def _ask(self, number: int, leaf: tuple[str, ...]) -> Written:
        siblings = self._siblings(leaf)
        tool = self._generator.sources.tools[leaf[3]]
        node = {"domain": leaf[0], "about": leaf[1], "problem": leaf[2], "does": tool.description}
        told = {"node": node, "situations": siblings}
        data = msgspec.json.format(msgspec.json.encode(told)).decode()
        return await write(
            self._runtime,
            self._agent,
            f"Type {number}.\n\n{data}",
            lambda value: self._faults(leaf, siblings, value),
            name=f"type-{number:05}",
            seed=seed_of(self._generator.settings.seed, "grown", number) % _SEED,
        )

    def _siblings(self, leaf: tuple[str, ...]) -> dict[str, str]:
        found = self._generator.situations
        return {path[-1]: text for path, text in found.items() if path[:-1] == leaf}

    def _faults(self, leaf: tuple[str, ...], siblings: dict[str, str], value: Any) -> list[str]:
        given = value if isinstance(value, dict) else {}
        found = [
            f'"{key}": expected {least} to {most} characters'
            for key, least, most in (("name", 4, 60), ("situation", 20, 400))
            if not isinstance(given.get(key), str) or not least <= len(given[key].strip()) <= most
        ]
        if found:
            return found
        name, situation = given["name"].strip().casefold(), given["situation"].strip()
        if name in siblings:
            found.append(f'"name": there is a situation {name!r} already')
        for other, text in siblings.items():
            if similarity(situation, text) >= ALIKE:
                found.append(f'"situation": nearly that of {other!r}')
        if any(mark.isdigit() for mark in name + situation):
            found.append('"situation": holds a number; numbers come from the data')
        tools = self._generator.sources.tools
        tool = names_a_tool(f"{name} {situation}", tools, frozenset({leaf[3]}))
        return [*found, f'"situation": gives away the tool {tool}'] if tool else found

    def _store(self, grown: Grown) -> None:
        if self._file is not None:
            with self._file.open("ab") as lines:
                lines.write(msgspec.json.encode(grown) + b"\n")


LEAF = 4
"""Levels of the tree as it is built: domain, noun, kind, tool."""
