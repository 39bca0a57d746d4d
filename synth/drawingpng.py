"""Pictures as PNG, by matplotlib: the extra `synth`."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Shape

from nexau.synth.drawing import Picture

DPI = 100


def write_png(picture: Picture, path: Path) -> None:
    """One pixel for each unit, twice as many for small pictures. Raises OSError."""
    scale = 2 if picture.width * picture.height < 4_000_000 else 1
    figure = Figure(figsize=(picture.width / DPI, picture.height / DPI), dpi=DPI * scale)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    axes.axis("off")
    for curve in picture.curves:
        middle = (curve.x1 + curve.x2) / 2
        points = [
            (curve.x1, curve.y1),
            (middle, curve.y1),
            (middle, curve.y2),
            (curve.x2, curve.y2),
        ]
        codes = [Shape.MOVETO, Shape.CURVE4, Shape.CURVE4, Shape.CURVE4]
        shape = Shape(points, codes)
        axes.add_patch(
            PathPatch(shape, fill=False, edgecolor=curve.color, linewidth=curve.width * 0.72)
        )
    for box in picture.boxes:
        style = f"round,pad=0,rounding_size={box.round}"
        axes.add_patch(
            FancyBboxPatch(
                (box.x, box.y), box.width, box.height, boxstyle=style,
                facecolor=box.fill, edgecolor=box.stroke, linewidth=0.72,
            )
        )  # fmt: skip
    sides = {"start": "left", "middle": "center", "end": "right"}
    for text in picture.texts:
        axes.text(
            text.x, text.y, text.text, fontsize=text.size * 0.72, color=text.color,
            fontweight="bold" if text.bold else "normal", ha=sides[text.anchor],
            va="baseline", parse_math=False,
        )  # fmt: skip
    figure.savefig(path, dpi=DPI * scale)
