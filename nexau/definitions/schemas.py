"""JSON Schema (draft 2020-12) of what people write and read: `nexau schema KIND`."""

import types
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta, Raw, Struct

from nexau.definitions.attribute_docs import attribute_docs, class_doc
from nexau.definitions.structs import BINDING_PATTERN, AgentFile, bounds
from nexau.definitions.values import Task
from nexau.files.forms import FieldShape, fields, options
from nexau.latency.profiles import Profile
from nexau.trajectory import SCHEMA, AgentRecord, Event, Step, Trajectory
from nexau.transports.protocol import ToolSpec

Kind = Literal["agent", "task", "trajectory", "event", "step", "profile"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_ROOTS: dict[Kind, Any] = {
    "agent": AgentFile,
    "task": Task | str,
    "trajectory": Trajectory,
    "event": Event,
    "step": Step,
    "profile": Profile,
}
_TITLES: dict[Kind, str] = {
    "agent": "A nexau agent file",
    "task": "One line of a nexau tasks file",
    "trajectory": "A nexau trajectory: one line of output",
    "event": "A nexau event: one line of output",
    "step": "A nexau step: one line of output",
    "profile": "A nexau latency profile of an MCP server",
}
_MODEL_TEXT = {
    "type": "string",
    "pattern": r"^(plan|(openai|script|replay):.*\S.*)$",
    "description": "plan, openai:NAME, script:FILE or replay:FILE",
}
_PYTHON_TEXT = {"type": "string", "pattern": BINDING_PATTERN, "description": "module:function"}
_PATH_TEXT = {"type": "string", "minLength": 1, "description": "The path of an agent file"}
_TEXTS: dict[str, dict[str, Any]] = {
    "model": _MODEL_TEXT,
    "tools": _PYTHON_TEXT,
    "agents": _PATH_TEXT,
}
"""Shorthands of an agent file, by key."""


def json_schema(kind: Kind) -> dict[str, Any]:
    """The schema of a whole file (`agent`) or of one line (the others).

    What people write admits no other keys; what nexau writes does, since minor versions add some.
    """
    return schema_of(_ROOTS[kind], kind, _TITLES[kind], closed=kind in {"agent", "task"})


def schema_of(root: Any, kind: str, title: str, *, closed: bool) -> dict[str, Any]:
    """The schema of the type `root`; `closed` ones admit no other keys."""
    made = _Schemas(closed=closed)
    schema = made.of(root)
    identity = f"urn:nexau:schema:{kind}:{SCHEMA.rpartition('/')[2]}"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": identity,
            "title": title}  # fmt: skip
    return {**head, **schema, "$defs": dict(sorted(made.definitions.items()))}


class _Schemas:
    """Types to schemas; each Struct is a definition of its own."""

    def __init__(self, *, closed: bool) -> None:
        self._closed = closed
        self.definitions: dict[str, Any] = {}

    def of(self, kind: Any, meta: Meta | None = None, text: dict[str, Any] | None = None) -> Any:
        """`text` stands for `str` in a union, where a shorthand is more than any text."""
        members = options(kind)
        simple = [self._simple(member, meta, text) for member in members]
        if len(simple) == 1:
            return simple[0]
        if text is None and all(isinstance(each.get("type"), str) for each in simple):
            # A bound speaks of values of its own type, so a union may have them side by side.
            names = [each["type"] for each in simple]
            return {key: value for each in simple for key, value in each.items()} | {"type": names}
        return {"anyOf": simple}

    def _simple(self, kind: Any, meta: Meta | None, text: dict[str, Any] | None) -> dict[str, Any]:
        if kind is str and text is not None:
            return text
        words = {str: "string", int: "integer", float: "number", bool: "boolean",
                 types.NoneType: "null"}  # fmt: skip
        if kind in words:
            limits = {} if kind is types.NoneType or meta is None else _limits(kind, meta)
            return {"type": words[kind], **limits}
        if kind is Any or kind is Raw:
            return {}
        if isinstance(kind, type) and issubclass(kind, Struct):
            return self._reference(kind)
        return self._container(kind, meta, text)

    def _container(
        self, kind: Any, meta: Meta | None, text: dict[str, Any] | None
    ) -> dict[str, Any]:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (dict, Mapping):
            named = {"propertyNames": {"pattern": meta.pattern}} if meta and meta.pattern else {}
            inner = self.of(arguments[1])
            values = {"additionalProperties": inner} if inner else {}
            return {"type": "object", **named, **values}
        least = {"minItems": meta.min_length} if meta and meta.min_length else {}
        return {"type": "array", "items": self.of(arguments[0], None, text), **least}

    def _reference(self, cls: type[Struct]) -> dict[str, Any]:
        name = cls.__name__
        if name not in self.definitions:
            self.definitions[name] = {}  # taken, so that a recursive one comes to an end
            self.definitions[name] = self._struct(cls)
        return {"$ref": f"#/$defs/{name}"}

    def _struct(self, cls: type[Struct]) -> dict[str, Any]:
        docs = attribute_docs(cls)
        config = cls.__struct_config__
        properties: dict[str, Any] = {}
        required: list[str] = []
        if config.tag_field is not None and config.tag is not None:
            properties[config.tag_field] = {"const": config.tag}
            required.append(config.tag_field)
        for each in fields(cls):
            properties[each.key] = self._property(cls, each, docs.get(each.name))
            if each.default is NODEFAULT:
                required.append(each.key)
        made: dict[str, Any] = {"type": "object", "properties": properties}
        if doc := class_doc(cls):
            made = {"description": doc, **made}
        if required:
            made["required"] = required
        if self._closed or config.forbid_unknown_fields:
            made["additionalProperties"] = False
        return made

    def _property(self, cls: type[Struct], each: FieldShape, doc: str | None) -> dict[str, Any]:
        if cls is AgentRecord and each.type is Raw:
            made = {"type": "array", "items": self._reference(ToolSpec)}
        else:
            text: dict[str, Any] | None = _TEXTS.get(each.key) if cls is AgentFile else None
            made = self.of(each.type, bounds(cls, each.name), text)
        described = {"description": doc, **made} if doc else dict(made)
        if each.default not in (NODEFAULT, None) and not isinstance(each.default, Struct):
            described["default"] = msgspec.to_builtins(each.default)
        return described


def _limits(kind: Any, meta: Meta) -> dict[str, Any]:
    pairs: dict[str, Any]
    if kind is str:
        pairs = {"pattern": meta.pattern, "minLength": meta.min_length}
    else:
        pairs = {"minimum": meta.ge, "exclusiveMinimum": meta.gt, "maximum": meta.le}
    return {key: value for key, value in pairs.items() if value is not None}
