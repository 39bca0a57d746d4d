"""The tool graph of a world as a picture: tools that give keys, the entities, tools that ask."""

from nexau.synth.drawing import Box, Curve, Picture, Text, wrapped
from nexau.synth.worlds.compiled import World
from nexau.synth.worlds.graph import ToolNode, tool_graph

WIDTH, HEIGHT, STEP, GAP, MARGIN = 210.0, 24.0, 32.0, 150.0, 24.0
READS, WRITES, KEYS = "#dbeafe", "#fed7aa", "#e2e8f0"
COLORS = ("#2563eb", "#16a34a", "#d97706", "#db2777", "#7c3aed", "#0891b2", "#65a30d", "#dc2626",
          "#4f46e5", "#0d9488", "#a16207", "#9333ea")  # fmt: skip
"""Of the edges, by entity."""


def draw_world(world: World) -> Picture:
    graph = tool_graph(world)
    picture = Picture(title=f"{world.name}: tool graph")
    entities = [
        name
        for name in world.entities
        if any(name in tool.gives or name in tool.asks for tool in graph.tools)
    ]
    gives = _sorted([tool for tool in graph.tools if tool.gives], entities, gives=True)
    asks = _sorted([tool for tool in graph.tools if tool.asks], entities, gives=False)
    rows = max(len(gives), len(asks), len(entities), 1)
    picture.width = 2 * MARGIN + 3 * WIDTH + 2 * GAP
    top = MARGIN + 62
    picture.height = top + rows * STEP + MARGIN
    columns = [MARGIN + place * (WIDTH + GAP) for place in range(3)]
    _head(picture, columns)
    places = _column(picture, columns[1], top, rows, [(name, KEYS) for name in entities])
    left = _column(picture, columns[0], top, rows, [(t.name, _fill(t)) for t in gives])
    right = _column(picture, columns[2], top, rows, [(t.name, _fill(t)) for t in asks])
    for number, entity in enumerate(entities):
        color = COLORS[number % len(COLORS)]
        for tool in gives:
            if entity in tool.gives:
                end = columns[0] + WIDTH
                line = Curve(end, left[tool.name], columns[1], places[entity], color)
                picture.curves.append(line)
        for tool in asks:
            if entity in tool.asks:
                end = columns[1] + WIDTH
                line = Curve(end, places[entity], columns[2], right[tool.name], color)
                picture.curves.append(line)
    return picture


def _head(picture: Picture, columns: list[float]) -> None:
    picture.texts.append(Text(MARGIN, MARGIN + 4, picture.title, 15, bold=True))
    for x, text in zip(columns, ("gives", "keys of", "asks for"), strict=True):
        picture.texts.append(Text(x, MARGIN + 48, text, 12, "#475569", bold=True))
    for place, (fill, text) in enumerate(((READS, "reads"), (WRITES, "writes"))):
        x = MARGIN + place * 80
        picture.boxes.append(Box(x, MARGIN + 16, 14, 12, fill, "#64748b", 2))
        picture.texts.append(Text(x + 20, MARGIN + 26, text, 11))


def _sorted(tools: list[ToolNode], entities: list[str], *, gives: bool) -> list[ToolNode]:
    """Near the entities that they are about, so that few lines cross."""

    def mean(tool: ToolNode) -> float:
        named = tool.gives if gives else tool.asks
        return sum(entities.index(name) for name in named) / len(named)

    return sorted(tools, key=lambda tool: (mean(tool), tool.name))


def _column(
    picture: Picture, x: float, top: float, rows: int, names: list[tuple[str, str]]
) -> dict[str, float]:
    """Boxes spread over the height; returns their middles."""
    step = rows * STEP / max(len(names), 1)
    found: dict[str, float] = {}
    for place, (name, fill) in enumerate(names):
        middle = top + step * (place + 0.5)
        picture.boxes.append(Box(x, middle - HEIGHT / 2, WIDTH, HEIGHT, fill, "#64748b"))
        line = wrapped(name, WIDTH - 16, 12, 1)[0]
        picture.texts.append(Text(x + WIDTH / 2, middle + 4, line, 12, anchor="middle"))
        found[name] = middle
    return found


def _fill(tool: ToolNode) -> str:
    return WRITES if tool.writes else READS
