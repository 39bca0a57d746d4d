"""Fills the tables of the docs from the Structs they describe.

    python docs/tables.py            rewrites what stands between `<!-- fields: X -->` and its end
    python docs/tables.py --check    exits with 1 where a page differs

X is `module.Struct`.
"""

import argparse
import importlib
import re
import sys
import typing
from pathlib import Path

import msgspec

from nexau.definitions.attribute_docs import attribute_docs, class_doc

DOCS = Path(__file__).parent
REGION = re.compile(r"(<!-- fields: ([\w.]+) -->\n).*?(<!-- -->)", re.DOTALL)

FUNCTIONS = re.compile(r"(<!-- functions -->\n).*?(<!-- /functions -->)", re.DOTALL)


def table(name: str) -> str:
    """The fields of one Struct as Markdown."""
    module, _, attribute = name.rpartition(".")
    struct = getattr(importlib.import_module(module), attribute)
    docs = attribute_docs(struct)
    head = class_doc(struct)
    tag = struct.__struct_config__.tag
    lines = [head, ""] if head else []
    lines += ["| field | type | |", "|---|---|---|"]
    if isinstance(tag, str) and struct.__struct_config__.tag_field:
        lines.append(f"| `{struct.__struct_config__.tag_field}` | `{tag!r}` | |")
    for field in msgspec.structs.fields(struct):
        optional = "" if field.required else " (optional)"
        kind = spell(field.type).replace("|", "\\|")
        lines.append(f"| `{field.encode_name}` | {kind}{optional} | {docs.get(field.name, '')} |")
    return "\n".join(lines) + "\n"


def spell(kind: object) -> str:
    """A type as its reader thinks of it: JSON's types, and the names of Structs."""
    if kind in NAMES:
        return NAMES[kind]  # type: ignore[index]
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return ", ".join(f"`{arg}`" for arg in args)
    if origin in (tuple, list):
        return f"list of {spell(args[0])}"
    if origin is dict:
        return f"object of {spell(args[1])}" if args[1] is not typing.Any else "object"
    if args:
        shared = frozenset(args)
        if shared in UNIONS:
            return UNIONS[shared]
        return " or ".join(spell(arg) for arg in args)
    return f"`{getattr(kind, '__name__', kind)}`"


def _unions() -> dict[frozenset[object], str]:
    base = importlib.import_module("nexau.models.base")
    protocol = importlib.import_module("nexau.transports.protocol")
    return {
        frozenset(typing.get_args(base.Message)): "`Message`",
        frozenset(typing.get_args(protocol.Content)): "`Content`",
    }


NAMES: dict[object, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    typing.Any: "any JSON",
    msgspec.Raw: "JSON",
}
UNIONS = _unions()


def functions() -> str:
    """The functions of the expression language of worlds."""
    module = importlib.import_module("nexau.synth.worlds.functions")
    lines = ["| function | takes | gives | |", "|---|---|---|---|"]
    for name, each in module.FUNCTIONS.items():
        takes = ", ".join("any" if len(kinds) == 6 else " or ".join(kinds) for kinds in each.takes)
        more = ", ..." if each.more else ""
        gives = "that of the arguments" if each.gives == "same" else each.gives
        lines.append(f"| `{name}` | {takes}{more} | {gives} | {each.doc} |")
    return "\n".join(lines) + "\n"


def filled(text: str) -> str:
    text = FUNCTIONS.sub(lambda m: f"{m[1]}{functions()}{m[2]}", text)
    return REGION.sub(lambda m: f"{m[1]}{table(m[2])}{m[3]}", text)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fill the tables of the docs.")
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args(argv).check
    stale = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        made = filled(text)
        if made != text:
            stale.append(page.name)
            if not check:
                page.write_text(made, encoding="utf-8")
    if stale and check:
        sys.stderr.write(f"stale: {', '.join(stale)}; run python docs/tables.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
