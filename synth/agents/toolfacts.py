"""What a tool takes, gives and does, read from its name, its texts and its schemas."""

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct

from nexau.synth.agents.catalog import CatalogTool
from nexau.synth.words import STOP, raw_words, stem

READS = frozenset(
    "get list find search read look fetch show view query describe check count lookup retrieve "
    "status compare calculate compute convert verify validate browse inspect summarize preview "
    "diff log directory tree info schema open".split()
)
WRITES = frozenset(
    "create add update set write delete remove cancel send move edit insert issue approve close "
    "reset commit put post book schedule assign transfer pay refund modify rename append submit "
    "register record start stop open drop restock ship return grant revoke make mark place "
    "reserve release publish archive merge adjust change upload reschedule enroll renew".split()
)
PAGING = frozenset(
    "limit offset page cursor per_page page_size max_results head tail start end verbose format "
    "dry_run timeout sort order_by direction".split()
)
"""Parameters that say nothing of a tool's subject."""
MAX_SLOTS = 60

Does = Literal["reads", "writes"]


class Slot(Struct, frozen=True):
    """A parameter, or a field of a result."""

    name: str
    type: str
    text: str
    """Its description."""
    required: bool = False
    given: bool = True
    """Whether a schema says so; otherwise it is guessed from the tool's name."""


class ToolFacts(Struct, frozen=True):
    """A tool of a catalog, understood as far as that goes without running it."""

    tool: CatalogTool
    does: Does
    verb: str
    subject: tuple[str, ...]
    """The words of its name but the verb: what it is about."""
    takes: tuple[Slot, ...]
    gives: tuple[Slot, ...]

    @property
    def text(self) -> str:
        """All that a search goes by."""
        tool = self.tool
        names = " ".join(slot.name for slot in self.takes)
        return f"{tool.name} {tool.title} {tool.description[:600]} {names}"


def facts_of(tool: CatalogTool) -> ToolFacts:
    found = raw_words(tool.name)
    verb, subject = _parts(found, tool.server)
    takes = tuple(slots(tool.input))
    gives = tuple(slots(tool.output)) if tool.output is not None else ()
    does = _does(tool, verb)
    if not gives and subject:
        gives = tuple(_guessed(subject))
    return ToolFacts(tool, does, verb, subject, takes, gives)


def _parts(found: list[str], server: str) -> tuple[str, tuple[str, ...]]:
    """The verb and the subject: `git_diff_staged` of the server `git` is `diff`, `staged`."""
    if len(found) > 1 and stem(found[0]) == stem(server.casefold()):
        found = found[1:]
    for place, word in enumerate(found):
        if word in READS or word in WRITES:
            rest = found[:place] + found[place + 1 :]
            return word, tuple(each for each in rest if each not in STOP)
    verb = found[0] if len(found) > 1 else "use"
    rest = found[1:] if len(found) > 1 else found
    return verb, tuple(each for each in rest if each not in STOP)


def _does(tool: CatalogTool, verb: str) -> Does:
    hinted = tool.annotations.get("readOnlyHint")
    if isinstance(hinted, bool):
        return "reads" if hinted else "writes"
    if verb in WRITES and verb not in READS:
        return "writes"
    return "reads" if verb in READS else "writes"


def _guessed(subject: tuple[str, ...]) -> Iterator[Slot]:
    """A tool about customers most likely gives a customer, with an id."""
    noun = _singular(subject[-1])
    about = " ".join(subject)
    yield Slot(f"{noun}_id", "string", about, given=False)
    yield Slot(noun, "object", about, given=False)


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def slots(schema: dict[str, Any] | None) -> Iterator[Slot]:
    """The properties of a schema, and those of the objects and lists inside it."""
    for count, slot in enumerate(_slots(schema or {}, schema or {}, 4)):
        if count >= MAX_SLOTS:
            return
        yield slot


def _slots(schema: Any, root: dict[str, Any], levels: int) -> Iterator[Slot]:
    schema = resolve(schema, root)
    if not levels or not isinstance(schema, dict):
        return
    required = schema.get("required")
    required = required if isinstance(required, list) else []
    properties = schema.get("properties")
    if isinstance(properties, dict):
        for name, given in properties.items():
            inner = resolve(given, root)
            kind = type_of(inner)
            text = inner.get("description", "") if isinstance(inner, dict) else ""
            yield Slot(name, kind, text if isinstance(text, str) else "", name in required)
            if kind in ("object", "array"):
                yield from _slots(inner, root, levels - 1)
    if "items" in schema:
        yield from _slots(schema["items"], root, levels - 1)


def resolve(schema: Any, root: dict[str, Any]) -> Any:
    """`schema`, with a local `$ref` followed and the first real choice of `anyOf` taken."""
    for _ in range(8):
        if not isinstance(schema, dict):
            return schema
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            schema = _at(root, reference)
            continue
        choices = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(choices, list) and choices and "type" not in schema:
            real = [it for it in choices if not (isinstance(it, dict) and it.get("type") == "null")]
            rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
            first = resolve(real[0] if real else choices[0], root)
            schema = {**first, **rest} if isinstance(first, dict) else rest
            continue
        return schema
    return {}


def _at(root: dict[str, Any], reference: str) -> Any:
    node: Any = root
    for step in reference[2:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or key not in node:
            return {}
        node = node[key]
    return node


def type_of(schema: Any) -> str:
    """The JSON type that a resolved schema names first; `any` where it names none."""
    if not isinstance(schema, dict):
        return "any"
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "enum" in schema:
        return "string"
    return "object" if "properties" in schema else "any"
