"""Plots of the report: SVG, drawn by hand so that the page needs nothing else."""

from collections.abc import Mapping, Sequence
from html import escape

_GREY, _INK, _RULE = "#eaeef2", "#656d76", "#1f2328"


def stacked(shares: Sequence[tuple[float, str]], *, height: int) -> str:
    """One bar of several colours; shares of 1."""
    place = 0.0
    shapes: list[str] = []
    for share, colour in shares:
        width = 1000 * share
        shapes.append(
            f"<rect x='{place:.1f}' width='{width:.1f}' height='{height}' fill='{colour}'/>"
        )
        place += width
    return (f"<svg viewBox='0 0 1000 {height}' style='height:{height}px' "
            f"preserveAspectRatio='none' role='img'>{''.join(shapes)}</svg>")  # fmt: skip


def interval(
    value: float, low: float, high: float, wanted: float | None, most: float, colour: str
) -> str:
    """A bar up to the value, a whisker over its interval, a line where it should be."""
    scale = 180 / most
    x, left, right = (5 + scale * min(max(each, 0.0), most) for each in (value, low, high))
    whisker = f"M{left:.1f} 9H{right:.1f}M{left:.1f} 6V12M{right:.1f} 6V12"
    shapes = [
        f"<rect x='5' y='5' width='180' height='8' fill='{_GREY}'/>",
        f"<rect x='5' y='5' width='{x - 5:.1f}' height='8' fill='{colour}' opacity='.75'/>",
        f"<path d='{whisker}' stroke='{_RULE}' fill='none'/>",
    ]
    if wanted is not None:
        at = 5 + scale * min(wanted, most)
        shapes.append(f"<path d='M{at:.1f} 1V17' stroke='#a4262c' stroke-width='1.6'/>")
    return f"<svg viewBox='0 0 190 18' role='img'>{''.join(shapes)}</svg>"


def bars(title: str, counts: Mapping[str, int], colour: str) -> str:
    """A histogram."""
    total, most = sum(counts.values()), max(counts.values())
    shown = list(counts.items())[:40]
    step = min(46.0, 330 / len(shown))
    every = 1 if len(shown) <= 16 else 4
    shapes = ["<path d='M10 130.5H350' stroke='#d8dee4'/>"]
    for index, (label, count) in enumerate(shown):
        height = 110 * count / most
        x, middle = 12 + index * step, 12 + (index + 0.5) * step
        shapes.append(f"<rect x='{x:.1f}' y='{130 - height:.1f}' width='{max(step - 3, 1):.1f}' "
                      f"height='{height:.1f}' fill='{colour}'><title>{escape(label)}: {count:,}"
                      "</title></rect>")  # fmt: skip
        if index % every == 0:
            shapes.append(_text(middle, 145, label, "middle"))
        if step >= 26:
            shapes.append(_text(middle, 126 - height, f"{count / total:.0%}", "middle"))
    left = f", {len(counts) - 40} more to the right" if len(counts) > 40 else ""
    return (f"<figure><figcaption>{escape(title)}{left}</figcaption>"
            f"<svg viewBox='0 0 360 150' role='img'>{''.join(shapes)}</svg></figure>")  # fmt: skip


def rows(counts: Mapping[str, int], colour: str) -> str:
    """A bar for each, in two columns where there are many."""
    most = max(counts.values())
    half = (len(counts) + 1) // 2 if len(counts) > 8 else len(counts)
    shapes: list[str] = []
    for index, (label, count) in enumerate(counts.items()):
        column, line = divmod(index, half)
        x, y, width = 560 * column, 20 * line, 270 * count / most
        shapes.append(_text(x + 205, y + 14, label[:32], "end", size=12))
        shapes.append(
            f"<rect x='{x + 213}' y='{y + 3}' width='{width:.1f}' height='14' fill='{colour}' "
            "opacity='.85'/>"
        )
        shapes.append(_text(x + 219 + width, y + 14, f"{count:,}", "start", size=12))
    return f"<svg viewBox='0 0 1120 {20 * half + 4}' role='img'>{''.join(shapes)}</svg>"


def _text(x: float, y: float, said: str, anchor: str, *, size: int = 10) -> str:
    return (f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' "
            f"fill='{_INK}' font-family='system-ui,sans-serif'>{escape(said)}</text>")  # fmt: skip
