"""Parts of a world as MCP describes them."""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from nexau.synth.worlds.compiled import Prompt, Tool, World

_NAME = re.compile(r"\{([^{}]*)\}")


def tool(each: Tool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": each.name,
        "description": each.description,
        "inputSchema": each.input_schema,
        "outputSchema": each.output_schema,
        "annotations": {
            "readOnlyHint": each.read_only,
            "destructiveHint": each.destructive,
            "idempotentHint": each.idempotent,
            "openWorldHint": each.open_world,
        },
    }
    return {**made, "title": each.title} if each.title else made


def resources(world: World) -> dict[str, list[dict[str, Any]]]:
    """`resources`, and those with parameters as `resourceTemplates`."""
    made: dict[str, list[dict[str, Any]]] = {"resources": [], "resourceTemplates": []}
    for each in world.resources.values():
        template = bool(each.body.parameters)
        made["resourceTemplates" if template else "resources"].append(
            {
                "name": each.name,
                "uriTemplate" if template else "uri": each.uri,
                "description": each.description,
                "mimeType": each.mime_type,
            }
        )
    return made


def prompt(each: Prompt) -> dict[str, Any]:
    arguments = [
        {
            "name": name,
            "description": parameter.schema.get("description", ""),
            "required": parameter.required,
        }
        for name, parameter in each.body.parameters.items()
    ]
    return {"name": each.name, "description": each.description, "arguments": arguments}


def match(template: str, uri: str) -> dict[str, str] | None:
    """The parameters with which a URI template (RFC 6570, level 1) gives `uri`."""
    found = _pattern(template).fullmatch(uri)
    if found is None:
        return None
    return {name: unquote(value) for name, value in found.groupdict().items()}


@lru_cache(maxsize=1024)
def _pattern(template: str) -> re.Pattern[str]:
    parts: list[str] = []
    end = 0
    for found in _NAME.finditer(template):
        parts += [re.escape(template[end : found.start()]), f"(?P<{found[1]}>[^/?#]+)"]
        end = found.end()
    return re.compile("".join(parts) + re.escape(template[end:]))
