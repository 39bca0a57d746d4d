"""The tables of keys in docs/agents.md are made from the Structs.

`python tests/definitions/test_reference.py` writes them anew; the test fails while they differ.
"""

import re
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct

from nexau.definitions.attribute_docs import attribute_docs, class_doc
from nexau.definitions.schemas import json_schema
from nexau.definitions.structs import (
    AgentFile,
    AgentReference,
    McpEntry,
    PromptFile,
    PythonEntry,
    bounds,
)
from nexau.definitions.values import (
    Backoff,
    Endpoint,
    HttpServer,
    Latency,
    OpenAIModel,
    PlanModel,
    Pool,
    Price,
    ReplayModel,
    Resilience,
    ScriptModel,
    SpillConfig,
    StdioServer,
    Supervision,
    Task,
)
from nexau.files.forms import FieldShape, fields, options
from nexau.transports.caps import Caps
from nexau.transports.confinement import Confinement
from nexau.transports.protocol import Limits

PAGE = Path(__file__).parents[2] / "docs" / "agents.md"
MARKERS = re.compile(r"<!-- keys:(\w+) -->\n.*?<!-- end -->", re.DOTALL)

TITLES: dict[type[Struct], str] = {
    AgentFile: "An agent",
    OpenAIModel: "`model`, `kind: openai`",
    Endpoint: "`endpoints`",
    Price: "`price`",
    PlanModel: "`model`, `kind: plan`",
    ScriptModel: "`model`, `kind: script`",
    ReplayModel: "`model`, `kind: replay`",
    PromptFile: "`system_prompt`, in a file",
    McpEntry: "`tools`, of an MCP server",
    PythonEntry: "`tools`, a Python function",
    AgentReference: "`agents`, in a file",
    StdioServer: "`mcp_servers`, over stdio",
    HttpServer: "`mcp_servers`, over streamable HTTP",
    Pool: "`pool`",
    Latency: "`latency`",
    Confinement: "`confine`",
    Caps: "`caps`",
    SpillConfig: "`spill`",
    Resilience: "`resilience`",
    Limits: "`limits`",
    Supervision: "`supervision`",
    Backoff: "`backoff`",
}
TABLES: dict[str, dict[type[Struct], str]] = {"agent": TITLES, "task": {Task: "A task"}}


def kind_of(kind: Any) -> str:
    words: list[str] = []
    for member in options(kind):
        origin = get_origin(member)
        if origin is Literal:
            words += [f"`{value}`" for value in get_args(member)]
        elif origin in (tuple, list):
            words.append(f"list of ({kind_of(get_args(member)[0])})")
        elif origin in (dict, Mapping):
            words.append(f"mapping to ({kind_of(get_args(member)[1])})")
        elif member is types.NoneType:
            words.append("null")
        elif isinstance(member, type) and issubclass(member, Struct):
            words.append("mapping")
        else:
            names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
            words.append(names.get(member, "anything"))
    return (
        " or ".join(dict.fromkeys(words)).replace("(text)", "text").replace("(mapping)", "mapping")
    )


def bound_of(cls: type[Struct], each: FieldShape) -> str:
    meta = bounds(cls, each.name)
    if meta is None:
        return ""
    parts = [
        f"{sign} {bound:g}"
        for sign, bound in ((">", meta.gt), ("≥", meta.ge), ("≤", meta.le))
        if bound is not None
    ]
    return f", {', '.join(parts)}" if parts else ""


def default_of(each: FieldShape) -> str:
    if each.default is NODEFAULT:
        return "required"
    if each.default is None or each.default in ("", (), {}) or isinstance(each.default, Struct):
        return ""
    return f"`{msgspec.json.encode(each.default).decode()}`"


def table(cls: type[Struct], title: str) -> Iterator[str]:
    docs = attribute_docs(cls)
    doc = class_doc(cls)
    yield f"**{title}.** {doc}".rstrip() if doc else f"**{title}**"
    yield ""
    yield "| key | value | default | |"
    yield "|---|---|---|---|"
    for each in fields(cls):
        value = kind_of(each.type) + bound_of(cls, each)
        yield f"| `{each.key}` | {value} | {default_of(each)} | {docs.get(each.name, '')} |"
    yield ""


def render(match: re.Match[str]) -> str:
    lines = [line for cls, title in TABLES[match[1]].items() for line in table(cls, title)]
    return "\n".join([f"<!-- keys:{match[1]} -->", "", *lines, "<!-- end -->"])


def test_the_page_has_the_tables_of_today() -> None:
    text = PAGE.read_text("utf-8")
    assert {match[1] for match in MARKERS.finditer(text)} == set(TABLES)
    assert MARKERS.sub(render, text) == text, "run: python tests/definitions/test_reference.py"


def test_the_page_names_every_mapping_of_the_schema() -> None:

    assert {cls.__name__ for cls in TITLES} == set(json_schema("agent")["$defs"])


if __name__ == "__main__":
    PAGE.write_text(MARKERS.sub(render, PAGE.read_text("utf-8")), "utf-8")
