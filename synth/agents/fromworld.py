"""A world as a source of tools: read from its file, without a server being started."""

from pathlib import Path

from nexau.definitions.values import HttpServer
from nexau.files.paths import is_file
from nexau.files.yamlnodes import MAX_BYTES
from nexau.synth.agents.catalog import CatalogServer, CatalogTool, moved
from nexau.synth.agents.collect import Listed, Source, with_latency
from nexau.synth.worlds.compiled import Tool
from nexau.synth.worlds.reader import load_world

RESET = "world_reset"
"""The tool of a served world that makes its state as new."""
_MARKS = ("entities:", '"entities"')


def is_world(path: Path) -> bool:
    """Whether a file looks like a world, and not like an agent."""
    if not is_file(path) or path.suffix not in (".yaml", ".yml", ".json"):
        return False
    with path.open("rb") as file:
        text = file.read(MAX_BYTES).decode("utf-8", "replace")
    return any(line.lstrip(" {").startswith(_MARKS) for line in text.splitlines())


def list_world(path: Path, target: Path) -> Listed:
    """The tools of a world, with the server that `nexau world serve` makes of it, for a catalog in
    `target`. Raises `WorldFileError`, a `DefinitionError`."""
    world = load_world(path)
    server = HttpServer(
        url="http://127.0.0.1:{port}/mcp",
        command="{python}",
        args=("-m", "nexau.cli.main", "world", "serve", path.name, "--http", "--port", "{port}"),
        sessions="rollout",
        reset=RESET,
    )
    source = Source(world.name.replace(" ", "_"), server, path.parent)
    entry = CatalogServer(
        moved(server, path.parent, target), world.name, instructions=world.description
    )
    tools = tuple(
        with_latency(_tool(source.name, tool), world.profile) for tool in world.tools.values()
    )
    return Listed(source, entry, tools)


def _tool(server: str, tool: Tool) -> CatalogTool:
    hints = {
        "readOnlyHint": tool.read_only,
        "destructiveHint": tool.destructive,
        "idempotentHint": tool.idempotent,
        "openWorldHint": tool.open_world,
    }
    return CatalogTool(
        server=server,
        name=tool.name,
        input=tool.input_schema,
        title=tool.title or "",
        description=tool.description,
        output=tool.output_schema,
        annotations=hints,
    )
