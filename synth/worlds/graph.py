"""The tool graph of a world: which tool's result gives what another one asks for.

An edge is exact, not guessed: a column of the first tool's result holds keys of an entity, and a
parameter of the second names a row of it.
"""

from msgspec import Struct

from nexau.synth.worlds.compiled import Output, Tool, World


class Edge(Struct, frozen=True, order=True):
    source: str
    target: str
    entity: str


class ToolNode(Struct, frozen=True):
    name: str
    writes: bool
    asks: tuple[str, ...]
    """Entities whose keys its parameters take."""
    gives: tuple[str, ...]
    """Entities whose keys its result has."""
    changes: tuple[str, ...]
    """Entities that it writes."""


class ToolGraph(Struct, frozen=True):
    tools: tuple[ToolNode, ...]
    edges: tuple[Edge, ...]


def tool_graph(world: World) -> ToolGraph:
    nodes = tuple(_node(tool) for tool in world.tools.values())
    edges = {
        Edge(one.name, other.name, entity)
        for one in nodes
        for other in nodes
        if one.name != other.name
        for entity in set(one.gives) & set(other.asks)
    }
    return ToolGraph(nodes, tuple(sorted(edges)))


def _node(tool: Tool) -> ToolNode:
    asks = {each.kind.entity for each in tool.body.parameters.values()} - {""}
    changes = {step.entity for step in tool.body.effects}
    return ToolNode(
        tool.name,
        not tool.read_only,
        tuple(sorted(asks)),
        tuple(sorted(given_entities(tool.body.output))),
        tuple(sorted(changes)),
    )


def given_entities(output: Output) -> set[str]:
    columns = [*output.row_columns, *output.value_columns]
    if output.find is not None:
        columns += output.find.columns
    for _, select in output.lists:
        columns += select.columns
    return {each.kind.entity for each in columns} - {""}


def draw(world: World) -> str:
    """Entities, tools and the tool graph as text."""
    lines = [f"{world.name}: {world.description}", f"today is {world.today}", "", "entities"]
    for entity in world.entities.values():
        fields: list[str] = []
        for name, kind in entity.shape.fields.items():
            mark = "*" if name == entity.shape.key else "?" if kind.null else ""
            refers = f" -> {kind.entity}" if kind.entity and name != entity.shape.key else ""
            fields.append(f"{name}{mark}{refers}")
        lines.append(f"  {entity.name}: {', '.join(fields)}")
    graph = tool_graph(world)
    for title, writes in (("tools that read", False), ("tools that write", True)):
        lines += ["", title]
        for node in graph.tools:
            if node.writes == writes:
                lines += _tool_lines(world, node)
    lines += ["", "tool graph"]
    for node in graph.tools:
        after: dict[str, list[str]] = {}
        for edge in graph.edges:
            if edge.source == node.name:
                after.setdefault(edge.entity, []).append(edge.target)
        lines += [f"  {node.name} -[{key}]-> {', '.join(names)}" for key, names in after.items()]
    return "\n".join(lines)


def _tool_lines(world: World, node: ToolNode) -> list[str]:
    tool = world.tools[node.name]
    given = ", ".join(
        name if each.required else f"[{name}]" for name, each in tool.body.parameters.items()
    )
    lines = [f"  {node.name}({given}): {tool.description}"]
    if node.changes:
        lines.append(f"    changes {', '.join(node.changes)}")
    codes = [step.error for step in tool.body.rule_steps]
    if codes:
        lines.append(f"    refuses {', '.join(codes)}")
    return lines
