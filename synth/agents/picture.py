"""A hierarchy as a picture: the root on the left, each level to the right of the one above."""

from typing import Any

from nexau.definitions.structs import AgentFile, AgentReference, McpEntry, PythonEntry
from nexau.synth.drawing import Box, Curve, Picture, Text, wrapped

WIDTH, GAP, SPACE, MARGIN = 250.0, 60.0, 14.0, 24.0
FILLS = ("#dbeafe", "#dcfce7", "#fef3c7", "#fce7f3", "#ede9fe", "#e0f2fe")
"""By level."""
LINE = 14.0


def draw_hierarchy(form: AgentFile, title: str) -> Picture:
    """From the file alone: nothing that it names is opened."""
    picture = Picture(title=title)
    picture.texts.append(Text(MARGIN, MARGIN + 4, title, 15, bold=True))
    bottom, _ = _place(picture, form, 0, MARGIN + 24)
    levels = 1 + _depth(form)
    picture.width = 2 * MARGIN + levels * WIDTH + (levels - 1) * GAP
    picture.height = bottom + MARGIN - SPACE
    return picture


def _depth(agent: Any) -> int:
    inner = agent.agents if isinstance(agent, AgentFile) else ()
    return 1 + max((_depth(child) for child in inner), default=-1)


def _place(picture: Picture, agent: Any, level: int, top: float) -> tuple[float, float]:
    """Draws an agent and all below it from `top` down; returns the bottom, and the middle of the
    agent's own box."""
    lines = _lines(agent)
    height = 12 + LINE * len(lines)
    x = MARGIN + level * (WIDTH + GAP)
    children = agent.agents if isinstance(agent, AgentFile) else ()
    middles: list[float] = []
    at = top
    for child in children:
        at, middle = _place(picture, child, level + 1, at)
        middles.append(middle)
    centre = (middles[0] + middles[-1]) / 2 if middles else top + height / 2
    y = max(top, centre - height / 2)
    centre = y + height / 2
    picture.boxes.append(Box(x, y, WIDTH, height, FILLS[level % len(FILLS)], "#64748b"))
    for number, line in enumerate(lines):
        base = y + 17 + LINE * number
        picture.texts.append(
            Text(x + 8, base, line, 12 if number == 0 else 10.5, bold=number == 0,
                 color="#0f172a" if number == 0 else "#334155")
        )  # fmt: skip
    for middle in middles:
        right = x + WIDTH
        picture.curves.append(Curve(right, centre, right + GAP, middle, "#94a3b8"))
    return max(at, y + height + SPACE), centre


def _lines(agent: Any) -> list[str]:
    """The name, what it is said to do, and its tools."""
    if isinstance(agent, AgentReference):
        return [agent.name or agent.path, f"in {agent.path}"]
    if not isinstance(agent, AgentFile):
        return [str(agent)]
    lines = [wrapped(agent.name, WIDTH - 16, 12, 1)[0]]
    if agent.description:
        lines += wrapped(agent.description, WIDTH - 16, 10.5, 2)
    names: list[str] = []
    for tool in agent.tools:
        if isinstance(tool, McpEntry):
            names += [f"{tool.prefix}{name}" if name != "*" else f"all of {tool.mcp}"
                      for name in tool.include]  # fmt: skip
        else:
            names.append(tool.python if isinstance(tool, PythonEntry) else str(tool))
    if names:
        lines += wrapped(f"\u2192 {', '.join(names)}", WIDTH - 16, 10.5, 3)
    return lines
