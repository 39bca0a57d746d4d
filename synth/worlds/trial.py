"""Worlds and tasks tried out: what only running them can tell.

A world is accepted when its seeded rows keep its constraints, each tool can succeed, refuses what
it has to refuse with the code it declares, gives what its output schema says and changes nothing
when it fails, every write shows in some read, and no tool asks for a key that none gives.
"""

from collections.abc import Container, Sequence
from typing import Any

import msgspec

from nexau.definitions.values import Task
from nexau.synth.streams import stream
from nexau.synth.worlds.checks import compile_check
from nexau.synth.worlds.compiled import Tool, World
from nexau.synth.worlds.engine import Answer, call
from nexau.synth.worlds.evaluate import evaluate
from nexau.synth.worlds.graph import given_entities
from nexau.synth.worlds.play import play
from nexau.synth.worlds.state import State, Template
from nexau.synth.worlds.trialargs import Drawer, invalid

LOST = 0.1
"""The share of an entity's seeded rows that may break constraints."""
TRIES = 3000
"""Calls of a tool until one succeeds."""
FEW_TRIES = 90
"""The same, where making another world costs less than looking for long."""
_SHOWN = 16
"""Successes of a write until one shows in a read."""
_COMMON = frozenset({"duplicate", "in_use", "missing_value", "too_large"})
"""Codes that any write may give without declaring them."""


def try_world(world: World) -> list[str]:
    """What is wrong with a world beyond its file."""
    template = Template(world)
    try:
        return lost_rows(template) + try_tools(template)
    finally:
        template.close()


def lost_rows(template: Template) -> list[str]:
    return [
        f"entities.{each.entity}: {each.dropped} of {each.made} seeded rows break a constraint"
        for each in template.dropped
        if each.dropped > LOST * each.made
    ]


def try_tools(template: Template, tries: int = TRIES) -> list[str]:
    """Faults of the tools, by their names."""
    state, untouched = template.state(), template.state()
    try:
        before = {name: state.raw(name) for name in template.world.entities}
        trial = _Trial(template, state, untouched, tries)
        faults = [f"tools.{tool.name}: {fault}" for tool in template.world.tools.values()
                  for fault in trial.tool(tool)]  # fmt: skip
        if any(state.raw(name) != rows for name, rows in before.items()):
            faults.append("tools: a call that was refused or undone has changed the state")
        return faults + unreachable(template.world)
    finally:
        state.close()
        untouched.close()


def unreachable(world: World) -> list[str]:
    """Tools that ask for a key which no tool that can be reached gives."""
    given: set[str] = set()
    left = dict(world.tools)
    while True:
        ready = [name for name, tool in left.items() if _asked(tool) <= given]
        if not ready:
            break
        for name in ready:
            given |= given_entities(left.pop(name).body.output)
    return [
        f"tools.{name}: no tool gives the key of {', '.join(sorted(_asked(tool) - given))}"
        for name, tool in left.items()
    ]


def _asked(tool: Tool) -> set[str]:
    parameters = tool.body.parameters.values()
    return {each.kind.entity for each in parameters if each.required} - {""}


class _Trial:
    """Calls of every kind, each undone: writes on one state, beside one that nothing changes."""

    def __init__(self, template: Template, state: State, untouched: State, tries: int) -> None:
        self._tries = tries
        self._template = template
        self._state = state
        self._untouched = untouched
        self._said: dict[tuple[str, bytes], bytes] = {}
        """What reads say of the untouched state."""
        self._world = template.world
        self._reads = [tool for tool in self._world.tools.values() if tool.read_only]
        rng = stream(template.seed, "trial", self._world.name)
        self._drawer = Drawer(state, rng)

    def tool(self, tool: Tool) -> list[str]:
        if not self._drawer.possible(tool):
            return ["there are no rows that its parameters could name"]
        codes = declared(self._world, tool)
        arguments: dict[str, Any] = {}
        good: dict[str, Any] | None = None
        shown = tool.read_only
        successes = 0
        told: set[str] = set()
        for number in range(self._tries):
            arguments = self._drawer.draw(tool, number)
            answer, visible = self._attempt(tool, arguments, look=not shown, known=told)
            if answer.is_error:
                if answer.code not in codes:
                    return [f"it fails with {answer.code}, undeclared: {answer.body['message']}"]
                told.add(answer.code)
                continue
            if not conforms(answer.body, tool.output_schema):
                return ["its result does not fit its output schema"]
            good, successes = arguments, successes + 1
            shown = shown or visible
            if shown or successes >= _SHOWN:
                break
        if good is None:
            last = self._attempt(tool, arguments)[0]
            seen = f"{last.code}: {last.body['message']}"
            return [f"no call in {self._tries} succeeds; the last: {seen}"]
        faults = [] if shown else ["no read shows what it writes"]
        return faults + self._refusals(tool, good) + self._twice(tool, good)

    def _attempt(
        self,
        tool: Tool,
        arguments: dict[str, Any],
        *,
        look: bool = False,
        known: Container[str] = (),
    ) -> tuple[Answer, bool]:
        """The answer, and, where asked to `look`, whether a read told the state after the write
        from the one before. A write is undone.
        """
        visible = False

        def then() -> None:
            nonlocal visible
            visible = look and self._shows(tool, arguments)

        return call(self._state, tool.name, arguments, then=then, known=known), visible

    def _shows(self, tool: Tool, arguments: dict[str, Any]) -> bool:
        """Asked of the state as `tool` has left it."""
        touched = {(step.entity, field) for step in tool.body.effects for field in step.fields}
        keys = self._keys(tool, arguments)
        for read in self._reads:
            if read.body.output.shows & touched:
                given = self._arguments(read, keys)
                if given is not None and self._differs(read, given):
                    return True
        return any(
            self._finds_inserted(step.entity)
            for step in tool.body.effects
            if step.kind.startswith("insert")
        )

    def _differs(self, read: Tool, given: dict[str, Any]) -> bool:
        """Whether `read` says something else of the two states."""
        asked = read.name, msgspec.json.encode(given)
        before = self._said.get(asked)
        if before is None:
            before = call(self._untouched, read.name, given).json
            self._said[asked] = before
        return call(self._state, read.name, given).json != before

    def _finds_inserted(self, entity: str) -> bool:
        """An inserted row may show where it is asked for by its own key only."""
        key = self._world.entities[entity].shape.key
        old = {row[key] for row in self._drawer.rows[entity]}
        new = [row[key] for row in self._state.rows(entity) if row[key] not in old]
        if not new:
            return False
        asked = ((read, self._arguments(read, {entity: new[0]})) for read in self._reads)
        return any(
            given and not call(self._state, read.name, given).is_error for read, given in asked
        )

    def _keys(self, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
        """The keys that a call is given, and those that the rows so named lead to."""
        found: dict[str, Any] = {}
        ahead = [
            (each, arguments[name]) for name, each in tool.body.references if name in arguments
        ]
        while ahead:
            further: list[tuple[str, Any]] = []
            for entity, key in ahead:
                if key is not None and entity not in found:
                    found[entity] = key
                    further += self._drawer.related(entity, key)
            ahead = further
        return found

    @staticmethod
    def _arguments(read: Tool, keys: dict[str, Any]) -> dict[str, Any] | None:
        """The least that a read can be asked, with `keys`; None where more is needed."""
        made: dict[str, Any] = {}
        for name, parameter in read.body.parameters.items():
            if parameter.kind.entity in keys and not parameter.kind.many:
                made[name] = keys[parameter.kind.entity]
            elif parameter.required and parameter.kind.name == "text" and not parameter.kind.entity:
                made[name] = parameter.kind.values[0] if parameter.kind.values else "a"
            elif parameter.required:
                return None
        return made

    def _refusals(self, tool: Tool, good: dict[str, Any]) -> list[str]:
        faults: list[str] = []
        for arguments, code in invalid(tool, good):
            if code == "invalid_arguments" and not tool.validator.fits(arguments):
                continue  # so a call refuses them, with a sentence that nobody would read here
            answer, _ = self._attempt(tool, arguments)
            if answer.code != code:
                got = answer.code or "success"
                faults.append(f"{arguments} gives {got} instead of {code}")
        return faults[:3]

    def _twice(self, tool: Tool, good: dict[str, Any]) -> list[str]:
        """A write that says it is idempotent, done twice."""
        if tool.read_only or not tool.idempotent:
            return []
        state = self._template.state()
        try:
            call(state, tool.name, good)
            once = state.digest()
            call(state, tool.name, good)
            return [] if state.digest() == once else ["done twice it is not as done once"]
        finally:
            state.close()


def conforms(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a result fits its output schema, of which worlds use these keywords only.

    A compiled validator for each of a thousand worlds' tools would cost more than all their calls.
    """
    return _all_conform([value], schema)


def _all_conform(values: list[Any], schema: dict[str, Any]) -> bool:
    """All rows of a result at once, column by column."""
    kinds = schema.get("type", [])
    allowed = {each for kind in ([kinds] if isinstance(kinds, str) else kinds)
               for each in _TYPES[kind]}  # fmt: skip
    if not set(map(type, values)) <= allowed:
        return False
    if "enum" in schema and not all(value in schema["enum"] for value in values):
        return False
    if "items" in schema:
        items = [item for value in values if value is not None for item in value]
        return _all_conform(items, schema["items"])
    if "properties" in schema:
        known = schema["properties"]
        wanted = set(schema["required"])
        return all(wanted <= value.keys() <= known.keys() for value in values) and all(
            _all_conform([value[name] for value in values if name in value], inner)
            for name, inner in known.items()
        )
    return True


_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,),
    "number": (int, float), "boolean": (bool,), "null": (type(None),),
}  # fmt: skip


def declared(world: World, tool: Tool) -> set[str]:
    """The codes with which calls that fit the schema may fail."""
    codes = {step.error for step in tool.body.rule_steps}
    for step in tool.body.effects:
        entity = world.entities[step.entity]
        codes |= set(entity.errors) | {f"invalid_{field}" for field in step.fields}
    return codes | (set(_COMMON) if tool.body.effects else {"too_large"})


def try_tasks(world: World, tasks: Sequence[Task]) -> list[str]:
    """Tasks whose plan does not pass their check, or that pass it when nothing is done."""
    template = Template(world)
    try:
        return [f"task {task.id}: {fault}" for task in tasks for fault in try_task(template, task)]
    finally:
        template.close()


def try_task(template: Template, task: Task) -> list[str]:
    """What is wrong with one task; nothing for one without a check."""
    if task.check is None:
        return []
    check = compile_check(template.world, task.check)
    before, after = template.state(), template.state()
    try:
        faults: list[str] = []
        if evaluate(check, before, after, "").passed:
            faults.append("the check passes when nothing is done")
        if task.plan is None:
            return faults
        played = play(after, task.plan)
        if played.stuck:
            faults.append(f"the plan cannot go on: {played.stuck}")
        outcome = evaluate(check, before, after, played.answer)
        return faults + [f"the plan fails its check: {each}" for each in outcome.failures()]
    finally:
        before.close()
        after.close()
