"""How often a schema makes its validator look at one value: what references multiply.

`{"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}`, thirty times in a chain, is 3 KB of
schema and 2**30 visits of the same value. Two subschemas of one property that both lead back to the
whole double with each level of the value.

The arithmetic is saturating: nothing above the limit is told apart. Keywords are those of JSON
Schema 2020-12, sections 10 and 11 of the core, and of the drafts before it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Node = int
"""The `id` of an object of the schema, which lives as long as the schema does."""

_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
_IN_PLACE = ("not", "if", "then", "else")
_IN_PLACE_MAPS = ("dependentSchemas", "dependencies")
_OF_ANY_PROPERTY = ("additionalProperties", "unevaluatedProperties", "propertyNames")
_OF_ANY_ITEM = ("additionalItems", "unevaluatedItems", "contains")
_ITEMS = ("items", "prefixItems")
_PROPERTY = "*property"
_ITEM = "*item"
_LEVELS = 64
"""Of the values that are validated."""
_MAX_EDGES = 200_000


class TooComplex(Exception):
    """A schema whose cost cannot be told: it refers in a way that is not followed."""


def cost(schema: Mapping[str, Any], limit: int) -> int:
    """Visits of one value, at worst; anything above `limit` may be a little more than it.

    Raises `TooComplex`.
    """
    try:
        return _Costs(schema, limit).worst()
    except RecursionError:
        raise TooComplex("its references form too long a chain") from None


class _Costs:
    def __init__(self, schema: Mapping[str, Any], limit: int) -> None:
        self._root = schema
        self._limit = limit
        self._anchors: dict[str, Mapping[str, Any]] = {}
        self._reach: dict[Node, dict[Node, int]] = {}
        self._objects: dict[Node, Mapping[str, Any]] = {}
        self._edges = 0

    def worst(self) -> int:
        self._find_anchors(self._root, top=True)
        steps = self._steps(self._root)
        visits = {node: self._own(node) for node in steps}
        for _ in range(_LEVELS):
            if max(visits.values()) > self._limit:
                break
            after = {
                node: max(self._own(node), *(self._sum(slot, visits) for slot in slots), 0)
                for node, slots in steps.items()
            }
            if after == visits:
                break
            visits = after
        return max(visits.values())

    def _sum(self, slot: Mapping[Node, int], visits: Mapping[Node, int]) -> int:
        return min(sum(n * visits[node] for node, n in slot.items()), self._limit + 1)

    def _own(self, node: Node) -> int:
        return min(sum(self._reach[node].values()), self._limit + 1)

    def _steps(self, root: Mapping[str, Any]) -> dict[Node, list[dict[Node, int]]]:
        """For each schema that a value may meet: those that a property or an item of it meets."""
        steps: dict[Node, list[dict[Node, int]]] = {}
        waiting = [root]
        while waiting:
            schema = waiting.pop()
            if id(schema) in steps:
                continue
            slots: dict[str, dict[Node, int]] = {}
            for node, times in self._in_place(schema).items():
                for slot, child in _children(self._objects[node]):
                    counted = slots.setdefault(slot, {})
                    counted[id(child)] = min(counted.get(id(child), 0) + times, self._limit + 1)
                    waiting.append(child)
                    self._count(1)
            steps[id(schema)] = list(self._merged(slots))
        return steps

    def _merged(self, slots: Mapping[str, dict[Node, int]]) -> Iterator[dict[Node, int]]:
        """What speaks of any property is met by each."""
        for name, slot in slots.items():
            wild = slots.get(_ITEM if name.startswith(_ITEM) else _PROPERTY, {})
            if slot is wild or not wild:
                yield slot
                continue
            self._count(len(wild))
            yield {node: slot.get(node, 0) + wild.get(node, 0) for node in {**slot, **wild}}

    def _in_place(self, schema: Mapping[str, Any]) -> dict[Node, int]:
        """The schemas that look at the same value, each with how often. A circle counts once."""
        node = id(schema)
        known = self._reach.get(node)
        if known is not None:
            return known
        self._objects[node] = schema
        self._reach[node] = {node: 1}
        found = {node: 1}
        for inner in self._beside(schema):
            for other, times in self._in_place(inner).items():
                found[other] = min(found.get(other, 0) + times, self._limit + 1)
                self._count(1)
        self._reach[node] = found
        return found

    def _count(self, edges: int) -> None:
        self._edges += edges
        if self._edges > _MAX_EDGES:
            raise TooComplex("it is too entangled")

    def _beside(self, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        for keyword in _IN_PLACE_LISTS:
            yield from _schemas(schema.get(keyword))
        for keyword in _IN_PLACE:
            yield from _schemas([schema.get(keyword)])
        for keyword in _IN_PLACE_MAPS:
            yield from _schemas(_values(schema.get(keyword)))
        for keyword in ("$ref", "$recursiveRef", "$dynamicRef"):
            if keyword in schema:
                yield from _schemas([self._resolve(schema[keyword])])

    def _resolve(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            shown = str(reference)[:200]
            raise TooComplex(f"{shown} lies outside the schema, and is not fetched")
        pointer = reference[1:]
        if pointer and not pointer.startswith("/"):
            return self._anchors.get(pointer)
        found: Any = self._root
        for step in pointer.split("/")[1:]:
            # Percent-encoding (RFC 6901, section 6) is left to the engine to understand.
            if "%" in step:
                raise TooComplex("it refers to a name in another spelling")
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping):
                found = found.get(name)
            elif isinstance(found, list | tuple) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return None
        return found

    def _find_anchors(self, value: Any, *, top: bool = False) -> None:
        """Raises `TooComplex` for identifiers below the top, which change what `#` means."""
        key = "id" if "draft-04" in str(self._root.get("$schema")) else "$id"
        waiting: list[tuple[Any, bool]] = [(value, top)]
        while waiting:
            value, top = waiting.pop()
            if isinstance(value, Mapping):
                if not top and isinstance(value.get(key), str):
                    raise TooComplex("it holds a schema with an identifier of its own")
                for keyword in ("$anchor", "$dynamicAnchor"):
                    if isinstance(name := value.get(keyword), str):
                        if name in self._anchors:
                            raise TooComplex("it has two anchors of one name")
                        self._anchors[name] = value
                waiting += [(inner, False) for inner in value.values()]
            elif isinstance(value, list | tuple):
                waiting += [(inner, False) for inner in value]


def _children(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The subschemas of what a value holds, each with the slot that it speaks of."""
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        for name, child in properties.items():
            if isinstance(child, Mapping):
                yield f".{name}", child
    wild = [schema.get(keyword) for keyword in _OF_ANY_PROPERTY]
    for each in _schemas([*wild, *_values(schema.get("patternProperties"))]):
        yield _PROPERTY, each
    wild = [schema.get(keyword) for keyword in _OF_ANY_ITEM]
    for each in _schemas([*wild, *(schema.get(keyword) for keyword in _ITEMS)]):
        yield _ITEM, each
    for keyword in _ITEMS:
        given = schema.get(keyword)
        for index, child in enumerate(given if isinstance(given, list | tuple) else ()):
            if isinstance(child, Mapping):
                yield f"{_ITEM}{index}", child


def _values(value: Any) -> Any:
    return list(value.values()) if isinstance(value, Mapping) else ()


def _schemas(values: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(values, list | tuple):
        for value in values:
            if isinstance(value, Mapping):
                yield value
