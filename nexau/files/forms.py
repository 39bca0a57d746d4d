"""Located values to Structs, with every problem instead of the first.

msgspec stops at the first fault, and refuses unions of several untagged Structs, which is how a
file tells `mcp:` from `python:`. So the few shapes that our files use are read here; the Structs
stay the only description of them.
"""

import re
import types
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from nexau.definitions.structs import MARKS, bounds
from nexau.files.nearest import hint
from nexau.files.problems import Trail, clip
from nexau.files.yamlnodes import Node

INVALID: Any = object()
"""What a value that was reported becomes."""

Complain = Callable[[Trail, str, tuple[int, int] | None], None]
"""Path, message, and the place where it is not simply the path's."""


class FieldShape(Struct, frozen=True):
    """A field of a Struct, as a file sees it."""

    name: str
    key: str
    type: Any
    default: Any
    """What it becomes when absent; `NODEFAULT` where it must be given."""


@lru_cache(maxsize=256)
def fields(cls: type[Struct]) -> tuple[FieldShape, ...]:
    hints = get_type_hints(cls)
    return tuple(
        FieldShape(
            each.name,
            each.encode_name,
            hints[each.name],
            each.default_factory() if each.default_factory is not NODEFAULT else each.default,
        )
        for each in msgspec.structs.fields(cls)
    )


@lru_cache(maxsize=256)
def options(kind: Any) -> tuple[Any, ...]:
    """The members of a union; of anything else, itself."""
    if get_origin(kind) in (Union, types.UnionType):
        return tuple(member for part in get_args(kind) for member in options(part))
    return (kind,)


def structs(kind: Any) -> tuple[type[Struct], ...]:
    return tuple(
        member
        for member in options(kind)
        if isinstance(member, type) and issubclass(member, Struct)
    )


def read(node: Node, kind: Any, trail: Trail, complain: Complain, meta: Meta | None = None) -> Any:
    """`node` as a value of the type `kind`, or `INVALID` after at least one complaint.

    A Struct comes back even when some of its fields are bad: those have their default, or are
    empty text where they have none. Bad items of lists and mappings stay in them as `INVALID`, so
    that what is left keeps its place.
    """
    if node.broken:
        return INVALID
    value = node.value
    if isinstance(value, dict):
        return _read_mapping(node, kind, trail, complain, meta)
    if isinstance(value, list):
        return _read_list(value, kind, trail, complain, meta)
    result = _scalar(value, options(kind))
    if result is INVALID:
        complain(trail, _expected(kind, value), None)
    elif meta is not None and (fault := _broken_bound(result, meta)):
        complain(trail, f"expected {fault}, got {describe(result)}", None)
        return INVALID
    return result


def _scalar(value: Any, kinds: Sequence[Any]) -> Any:
    if Any in kinds:
        return value
    for kind in kinds:
        if get_origin(kind) is Literal:
            if any(value == each and type(value) is type(each) for each in get_args(kind)):
                return value
        elif type(value) is kind:
            return value
    return float(value) if type(value) is int and float in kinds else INVALID


def _read_list(
    items: list[Node], kind: Any, trail: Trail, complain: Complain, meta: Meta | None
) -> Any:
    for member in options(kind):
        if member is Any:
            return [item.plain() for item in items]
        if get_origin(member) in (tuple, list):
            inner = get_args(member)[0]
            if meta is not None and meta.min_length is not None and len(items) < meta.min_length:
                complain(trail, "expected at least one item", None)
                return INVALID
            made = [
                read(item, inner, (*trail, index), complain) for index, item in enumerate(items)
            ]
            return get_origin(member)(made)
    complain(trail, _expected(kind, items), None)
    return INVALID


def _read_mapping(
    node: Node, kind: Any, trail: Trail, complain: Complain, meta: Meta | None
) -> Any:
    candidates = structs(kind)
    if candidates:
        chosen = _choose(node, candidates, trail, complain)
        return INVALID if chosen is None else read_struct(node, chosen, trail, complain)
    for member in options(kind):
        if member is Any:
            return node.plain()
        if get_origin(member) in (dict, Mapping):
            return _read_dict(node, get_args(member)[1], trail, complain, meta)
    complain(trail, _expected(kind, node.value), None)
    return INVALID


def _read_dict(node: Node, kind: Any, trail: Trail, complain: Complain, meta: Meta | None) -> Any:
    made: dict[str, Any] = {}
    for key, item in _items(node).items():
        if meta is not None and (fault := _broken_bound(key, meta)):
            complain((*trail, key), f"expected a name of {fault}, got {clip(key)}", None)
        made[key] = read(item, kind, (*trail, key), complain)
    return made


def _items(node: Node) -> dict[str, Node]:
    assert isinstance(node.value, dict)
    return node.value


def _choose(
    node: Node, candidates: tuple[type[Struct], ...], trail: Trail, complain: Complain
) -> type[Struct] | None:
    """The Struct that a mapping stands for: by its tag, or by the key that marks it."""
    if len(candidates) == 1:
        return candidates[0]
    items = _items(node)
    tag_field = candidates[0].__struct_config__.tag_field
    if tag_field is not None:
        tags = {str(each.__struct_config__.tag): each for each in candidates}
        if tag_field not in items:
            found = f"missing key {tag_field!r}: one of {', '.join(sorted(tags))}"
            complain(trail, found, None)
            return None
        tag = items[tag_field].value
        if isinstance(tag, str) and tag in tags:
            return tags[tag]
        close = hint(tag, tags, "one of") if isinstance(tag, str) else ""
        complain((*trail, tag_field), f"unknown {tag_field} {clip(tag)}{close}", None)
        return None
    marks = {key: each for each, key in MARKS if each in candidates}
    for key, candidate in marks.items():
        if key in items:
            return candidate
    unmarked = [each for each in candidates if each not in marks.values()]
    if unmarked:
        return unmarked[0]
    wanted = " or ".join(f"`{key}`" for key in sorted(marks))
    close = next((mend for key in items if "mean" in (mend := hint(key, marks))), "")
    complain(trail, f"expected a mapping with {wanted}{close}", None)
    return None


def read_struct(node: Node, cls: type[Struct], trail: Trail, complain: Complain) -> Struct:
    """`node`, a mapping, as `cls`, with defaults in place of what is bad."""
    items = _items(node)
    known = {each.key: each for each in fields(cls)}
    tag_field = cls.__struct_config__.tag_field
    for key in items:
        if key not in known and key != tag_field:
            found = f"unknown key {clip(key)}{hint(key, known, 'valid keys')}"
            complain((*trail, key), found, node.keys[key])
    made: dict[str, Any] = {}
    for key, each in known.items():
        value = INVALID
        if key in items:
            value = read(items[key], each.type, (*trail, key), complain, bounds(cls, each.name))
        elif each.default is NODEFAULT:
            complain(trail, f"missing key {key!r}", None)
        if value is INVALID:
            value = "" if each.default is NODEFAULT else each.default
        made[each.name] = value
    return cls(**made)


def _broken_bound(value: Any, meta: Meta) -> str | None:
    """What `meta` asks for, where `value` does not keep to it."""
    if isinstance(value, str):
        if meta.min_length is not None and len(value) < meta.min_length:
            return "text that is not empty"
        if meta.pattern is not None and not re.fullmatch(meta.pattern, value):
            return meta.description
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if meta.gt is not None and not value > meta.gt:
        return f"a number greater than {meta.gt}"
    if meta.ge is not None and not value >= meta.ge:
        return f"a number not less than {meta.ge}"
    if meta.le is not None and not value <= meta.le:
        return f"a number not greater than {meta.le}"
    return None


def _expected(kind: Any, value: Any) -> str:
    literals = [each for member in options(kind) if get_origin(member) is Literal
                for each in get_args(member)]  # fmt: skip
    if literals and isinstance(value, str):
        return f"unknown value {clip(value)}{hint(value, literals, 'one of')}"
    mend = ""
    if set(options(kind)) <= {str, types.NoneType} and isinstance(value, int | float | bool):
        mend = "; put it in quotes"
    return f"expected {name_of(kind)}, got {describe(value)}{mend}"


_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Any: "any"}


def name_of(kind: Any) -> str:
    """A type, for a message."""
    words: list[str] = []
    for member in options(kind):
        if member in _WORDS:
            words.append(_WORDS[member])
        elif get_origin(member) is Literal:
            words.append(", ".join(map(str, get_args(member))))
        elif get_origin(member) in (tuple, list):
            words.append("a list")
        elif member is not types.NoneType:
            words.append("a mapping")
    return " or ".join(dict.fromkeys(words))


def describe(value: Any) -> str:
    """A value, for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {clip(value)}"
    if isinstance(value, int | float):
        return str(value)
    return "a list" if isinstance(value, list) else "a mapping"
