"""Pictures as a list of shapes, written as SVG (or as PNG by `nexau.synth.drawingpng`)."""

from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from msgspec import Struct, field

CHARACTER = 0.56
"""Mean width of a character, as a share of the font's size."""
Anchor = Literal["start", "middle", "end"]


class Box(Struct, frozen=True):
    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str
    round: float = 5.0


class Text(Struct, frozen=True):
    x: float
    y: float
    """Of the base line."""
    text: str
    size: float = 12.0
    color: str = "#1f2933"
    bold: bool = False
    anchor: Anchor = "start"


class Curve(Struct, frozen=True):
    """From one point to another, leaving and arriving horizontally."""

    x1: float
    y1: float
    x2: float
    y2: float
    color: str
    width: float = 1.2


class Picture(Struct):
    width: float = 0.0
    height: float = 0.0
    curves: list[Curve] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    title: str = ""

    def svg(self) -> str:
        """Curves lie below boxes, boxes below texts."""
        lines = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:.0f}"'
                f' height="{self.height:.0f}" viewBox="0 0 {self.width:.0f} {self.height:.0f}"'
                ' font-family="Helvetica, Arial, sans-serif">'
            ),
            f"<title>{escape(self.title)}</title>",
            f'<rect width="{self.width:.0f}" height="{self.height:.0f}" fill="#ffffff"/>',
            *(_curve(each) for each in self.curves),
            *(_box(each) for each in self.boxes),
            *(_text(each) for each in self.texts),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def _curve(each: Curve) -> str:
    middle = (each.x1 + each.x2) / 2
    path = (
        f"M{each.x1:.1f} {each.y1:.1f}"
        f" C{middle:.1f} {each.y1:.1f} {middle:.1f} {each.y2:.1f} {each.x2:.1f} {each.y2:.1f}"
    )
    return f'<path d="{path}" fill="none" stroke="{each.color}" stroke-width="{each.width:.2g}"/>'


def _box(each: Box) -> str:
    return (
        f'<rect x="{each.x:.1f}" y="{each.y:.1f}" width="{each.width:.1f}"'
        f' height="{each.height:.1f}" rx="{each.round:.0f}" fill="{each.fill}"'
        f' stroke="{each.stroke}"/>'
    )


def _text(each: Text) -> str:
    weight = ' font-weight="bold"' if each.bold else ""
    return (
        f'<text x="{each.x:.1f}" y="{each.y:.1f}" font-size="{each.size:.0f}"'
        f" fill={quoteattr(each.color)}{weight}"
        f' text-anchor="{each.anchor}">{escape(_plain(each.text))}</text>'
    )


def _plain(text: str) -> str:
    """Without the characters that XML does not have."""
    return "".join(c if c.isprintable() else " " for c in text)


def wrapped(text: str, width: float, size: float, most: int) -> list[str]:
    """Lines of `text` that fit into `width`; the last of `most` says that there was more."""
    room = max(4, int(width / (size * CHARACTER)))
    lines: list[str] = []
    line = ""
    for word in text.split():
        word = word if len(word) <= room else f"{word[: room - 1]}\u2026"
        if line and len(line) + 1 + len(word) > room:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    lines.append(line)
    if len(lines) > most:
        last = lines[most - 1]
        lines = [*lines[: most - 1], f"{last[: room - 2].rstrip(',')} \u2026"]
    return lines
