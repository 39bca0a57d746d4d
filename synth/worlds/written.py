"""Worlds that a model writes, in stages: domain and rules, entities, tools, data, profile.

Each stage is a rollout of an author (`nexau.synth.authoring`), checked as soon as it is written, and
sent back with what is wrong at most three times. The whole is tried as any other world, and what
does not behave is sent back in the same way.
"""

import re
from collections.abc import AsyncGenerator, Callable
from importlib import resources
from pathlib import Path
from typing import Any

import anyio
import msgspec

from nexau.definitions.values import OpenAIModel
from nexau.runtime import Runtime
from nexau.synth.authoring import Written, author, write
from nexau.synth.streams import seed_of, stream
from nexau.synth.worlds.drafts import Draft, Request, examine
from nexau.synth.worlds.emit import world_yaml
from nexau.synth.worlds.kinds import is_date
from nexau.synth.worlds.outline import Form
from nexau.synth.worlds.reader import world_of_value
from nexau.synth.worlds.state import Template
from nexau.synth.worlds.trial import lost_rows, try_tools

BESIDE = 4
"""Worlds that are written side by side."""
LEAST_TOOLS = 8
LEAST_WRITES = 3
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_SEED = 2**31
_WEIGHTS = ("approvals and limits", "deadlines and windows", "stock and capacity", "ownership",
            "life cycles with several states", "tiers and privileges", "money and balances",
            "schedules", "disputes and corrections", "audits and records")  # fmt: skip
_PROBE: Form = {"probe": {"description": "stands for the tools", "result": {"x": 1}}}


class Unreached(ConnectionError):
    """The model does not answer at all."""


class ByModel:
    """Candidates that a model writes: the same for any number that is wanted."""

    def __init__(self, request: Request, runtime: Runtime, model: OpenAIModel, kept: Path) -> None:
        """What the author did is appended to `kept`, a trajectory a line."""
        self._request = request
        self._runtime = runtime
        self._model = model
        self._kept = kept

    async def drafts(self, first: int) -> AsyncGenerator[Draft, None]:
        """Raises `Unreached`."""
        start = first
        while True:
            made: dict[int, tuple[Draft, list[Written]]] = {}

            async def one(index: int, made: dict[int, Any]) -> None:
                made[index] = await self._write(index)

            async with anyio.create_task_group() as tasks:
                for index in range(start, start + BESIDE):
                    tasks.start_soon(one, index, made)
            for index in range(start, start + BESIDE):
                draft, done = made[index]
                self._keep(done)
                if not any(each.reached for each in done):
                    raise Unreached(f"the model that writes cannot be had: {draft.reasons[0]}")
                yield draft
            start += BESIDE

    def _keep(self, done: list[Written]) -> None:
        lines = [msgspec.json.encode(each) + b"\n" for one in done for each in one.trajectories]
        with self._kept.open("ab") as file:
            file.writelines(lines)

    async def _write(self, index: int) -> tuple[Draft, list[Written]]:
        return await _Author(self._request, self._runtime, self._model, index).draft()


class _Author:
    """One world in the making."""

    def __init__(self, request: Request, runtime: Runtime, model: OpenAIModel, index: int) -> None:
        self._request = request
        self._runtime = runtime
        self._index = index
        self._agent = author(model, _guide())
        self._writer = f"model {model.name}"
        self._done: list[Written] = []
        self.world: Form = {}

    async def draft(self) -> tuple[Draft, list[Written]]:
        for stage in (self._domain, self._entities, self._tools, self._data, self._profile):
            if not await stage():
                return self._failed(), self._done
        if self._faults(self.world) and not await self._mend():
            return self._failed(), self._done
        return examine(self._request, self._index, self._final(), self._writer), self._done

    def _final(self) -> Form:
        """Without what was for the author only, under a name that no other candidate has."""
        made = {key: value for key, value in self.world.items() if key != "rules"}
        made["world"] = f"{made['world'][:50]}-{self._index:05}"
        made["seed"] = seed_of(self._request.seed, "rows", self._index) % 1_000_000
        return made

    def _failed(self) -> Draft:
        last = self._done[-1]
        stage = last.trajectories[-1].task.rpartition("/")[0] if last.trajectories else "the author"
        data = world_yaml(self._final()) if self.world else b""
        return Draft(self._index, data, tuple(f"{stage}: {each}" for each in last.problems))

    async def _ask(self, stage: str, what: str, check: Callable[[Any], list[str]]) -> Any:
        """The answer of a stage, None where no attempt was good."""
        so_far = msgspec.json.encode(self.world).decode()
        request = (f"The specification: {self._request.specification}\n\n{what}"
                   f"\n\nThe world so far:\n{so_far}")  # fmt: skip
        done = await write(
            self._runtime, self._agent, request, check,
            name=f"world-{self._index:05}/{stage}",
            seed=seed_of(self._request.seed, "written", self._index) % _SEED,
        )  # fmt: skip
        self._done.append(done)
        return done.value

    async def _domain(self) -> bool:
        rng = stream(self._request.seed, "weights", self._index)
        weights = " and ".join(rng.sample(_WEIGHTS, 2))
        what = (
            'Write {"world": a short name in small letters with -, "description": two sentences, "today":'
            ' a date as "2026-03-02", "tags": [domains], "rules": [6 to 12 sentences, each a rule of the'
            f" domain that a tool can enforce]}}. This is variant {self._index}: lay weight on {weights}."
        )
        value = await self._ask("domain", what, _domain_faults)
        self.world = value or {}
        return value is not None

    async def _entities(self) -> bool:
        what = ('Write {"entities": {...}}: 3 to 9 entities with their fields, references, unique sets and'
                " constraints, so that every rule can be told from the rows. Leave make out but for ids.")  # fmt: skip
        value = await self._ask("entities", what, lambda made: self._problems(made, "entities"))
        if value is not None:
            self.world["entities"] = value["entities"]
        return value is not None

    async def _tools(self) -> bool:
        what = (f'Write {{"tools": {{...}}}}: {LEAST_TOOLS} to 24 tools, at least {LEAST_WRITES} of which write.'
                " Every rule bites in some tool; every key that a tool asks for is given by another one; what a"
                " tool writes shows in one that reads.")  # fmt: skip
        value = await self._ask("tools", what, lambda made: self._problems(made, "tools"))
        if value is not None:
            self.world["tools"] = value["tools"]
        return value is not None

    async def _data(self) -> bool:
        what = ('Write {"entities": {NAME: {"rows": ..., "make": {FIELD: ...}}}}: how many rows each entity has'
                " (5 to 60, or per another) and how its fields are made, so that every tool can succeed on"
                " some rows and every rule refuses others.")  # fmt: skip
        value = await self._ask("data", what, self._data_faults)
        if value is not None:
            self.world["entities"] = _with_data(self.world["entities"], value)
        return value is not None

    async def _profile(self) -> bool:
        what = ('Write {"profile": {"latency": {"lognormal": [median ms, sigma]}, "errors": {"rate": 0.01},'
                ' "tools": {NAME: {"latency": {...}}}}}: how long calls take and how often they fail.')  # fmt: skip
        value = await self._ask("profile", what, lambda made: self._problems(made, "profile"))
        if value is not None:
            self.world["profile"] = value["profile"]
        return value is not None

    async def _mend(self) -> bool:
        faults = "\n".join(f"- {each}" for each in self._faults(self.world))
        what = ("The world was tried, and these did not behave:\n" + faults + "\n\nWrite"
                ' {"tools": {...}, "entities": {...}} with the tools and entities that have to be other, whole.')  # fmt: skip
        value = await self._ask("trial", what, lambda made: self._faults(self._mended(made)))
        if value is not None:
            self.world = self._mended(value)
        return value is not None

    def _mended(self, value: Form) -> Form:
        return {
            **self.world,
            **{part: {**self.world[part], **_mapping(value.get(part))} for part in ("entities", "tools")},
        }  # fmt: skip

    def _problems(self, value: Any, part: str) -> list[str]:
        """What is wrong with one part, with the others as they are so far."""
        if not isinstance(value, dict) or not isinstance(value.get(part), dict):
            return [f"expected an object with {part!r}"]
        made = {"tools": _PROBE, **self._final(), part: value[part]}
        _, found = world_of_value(made)
        problems = [f"{each.path}: {each.message}" for each in found]
        if part == "tools" and not problems:
            writes = sum(bool(_mapping(tool).get("effects")) for tool in value[part].values())
            if len(value[part]) < LEAST_TOOLS or writes < LEAST_WRITES:
                problems.append(f"{len(value[part])} tools, {writes} of which write, are too few")
        return problems

    def _data_faults(self, value: Any) -> list[str]:
        given = _mapping(_mapping(value).get("entities"))
        if not given:
            return ["expected an object with 'entities'"]
        known = self.world["entities"]
        strange = [f"no entity {name!r}" for name in given if name not in known]
        strange += [
            f"{name} has no field {field!r}"
            for name, each in given.items()
            if name in known
            for field in _mapping(_mapping(each).get("make"))
            if field not in known[name]["fields"]
        ]
        if strange:
            return strange
        made = {**self._final(), "entities": _with_data(known, value)}
        world, found = world_of_value(made)
        if world is None or found:
            return [f"{each.path}: {each.message}" for each in found]
        return _seeded(lambda: Template(world), lost_rows)

    def _faults(self, value: Form) -> list[str]:
        """What only running the whole can tell."""
        kept, self.world = self.world, value
        made = self._final()
        self.world = kept
        world, found = world_of_value(made)
        if world is None or found:
            return [f"{each.path}: {each.message}" for each in found]
        return _seeded(lambda: Template(world), lambda made: lost_rows(made) + try_tools(made))


def _seeded(make: Callable[[], Template], look: Callable[[Template], list[str]]) -> list[str]:
    try:
        template = make()
    except OverflowError as error:
        return [f"entities: {error}"]
    try:
        return look(template)
    finally:
        template.close()


def _guide() -> str:
    text = resources.files("nexau.synth.worlds").joinpath("ontology/guide.md").read_text("utf-8")
    return f"You write worlds for training agents. Answer with one JSON object, nothing else.\n\n{text}"


def _domain_faults(value: Any) -> list[str]:
    made = _mapping(value)
    faults: list[str] = []
    name = made.get("world")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        faults.append('"world": a small letter, then up to 40 of a-z 0-9 -')
    if not isinstance(made.get("description"), str) or not made["description"].strip():
        faults.append('"description": a text')
    if not isinstance(made.get("today"), str) or not is_date(made["today"]):
        faults.append('"today": a date as "2026-03-02"')
    for key in ("tags", "rules"):
        items = made.get(key)
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            faults.append(f'"{key}": a list of texts')
    strange = sorted(set(made) - {"world", "description", "today", "tags", "rules"})
    return faults + [f"unknown key {key!r}" for key in strange]


def _mapping(value: Any) -> Form:
    return value if isinstance(value, dict) else {}


def _with_data(entities: Form, value: Form) -> Form:
    """Entities with the rows and makers of the data stage."""
    made: Form = {}
    for name, entity in entities.items():
        data = _mapping(value["entities"].get(name))
        makes = _mapping(data.get("make"))
        fields = {
            field: {**form, "make": makes[field]} if field in makes else form
            for field, form in entity["fields"].items()
        }
        made[name] = {**entity, "fields": fields}
        if "rows" in data:
            made[name]["rows"] = data["rows"]
    return made
