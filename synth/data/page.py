"""The report of `nexau measure` as one page of HTML: its plots are SVG in it, nothing is loaded."""

from collections.abc import Mapping
from html import escape

from nexau.synth.data.measure import TARGETS, Axis, Measure, Value

_COLOURS = {"complexity": "#3b6ea5", "diversity": "#4c8c5a", "fidelity": "#a5653b"}
_BY = {
    "live": "#4c8c5a",
    "replayed": "#8fb996",
    "simulated": "#e0b050",
    "function": "#b7b7b7",
    "unstated": "#d8c8e8",
    "unanswered": "#b04040",
}
_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem;
color:#222}
h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}
table{border-collapse:collapse;width:100%}td,th{padding:.15rem .6rem .15rem 0;text-align:left;
vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th{font-weight:600;border-bottom:1px solid #ccc}
.axes{display:grid;grid-template-columns:repeat(3,1fr);gap:1.4rem}
.low{color:#b04040}.muted{color:#777}.box{background:#f5f5f2;padding:.6rem .9rem}
.plots{display:grid;grid-template-columns:1fr 1fr;gap:1.2rem}svg{width:100%;height:auto}
@media(max-width:800px){.axes,.plots{grid-template-columns:1fr}}
"""


def page(made: Measure, title: str) -> str:
    axes = {"complexity": made.complexity, "diversity": made.diversity, "fidelity": made.fidelity}
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1>",
        f"<p class='muted'>{made.trajectories:,} trajectories of {made.tasks:,} tasks.",
        "Intervals are 95 %.</p>",
        _verdict(made),
        "<div class='axes'>",
        *(_axis(name, axis) for name, axis in axes.items()),
        "</div><h2>Who answered the calls</h2>",
        _stacked(made.calls),
        "<div class='plots'>",
        *(_bars(name, made.histograms.get(name, {})) for name in ("steps", "chain", "agents")),
        _bars("tools", made.histograms.get("tools", {}), wide=True),
        "</div>",
        _latency(made),
        _errors(made.errors),
        "".join(f"<p class='muted'>{escape(note)}</p>" for note in made.notes),
        "</html>",
    ]
    return "\n".join(filter(None, parts))


def _verdict(made: Measure) -> str:
    if not made.trajectories:
        return "<p class='box'>There is nothing to measure.</p>"
    listed = "".join(f"<li>{escape(text)}</li>" for text in made.next)
    said = f"<ul>{listed}</ul>" if listed else "<p>Nothing is below its target.</p>"
    return (f"<div class='box'><b>In deficit: {escape(made.deficit)}.</b> Generate next:{said}"
            "</div>")  # fmt: skip


def _axis(name: str, axis: Axis) -> str:
    wanted = {target.part: target.least for target in TARGETS if target.axis == name}
    rows = "".join(_part(part, value, wanted.get(part)) for part, value in axis.parts.items())
    width = 300 * axis.score
    bar = (f"<svg viewBox='0 0 300 14' role='img' aria-label='{name} {axis.score:.0%}'>"
           f"<rect width='300' height='14' fill='#e8e8e4'/><rect width='{width:.1f}' height='14' "
           f"fill='{_COLOURS[name]}'/></svg>")  # fmt: skip
    return (f"<section><h2>{name.capitalize()} {axis.score:.0%}</h2>{bar}<table><tr><th>part"
            f"<th>value<th>interval<th>wanted</tr>{rows}</table></section>")  # fmt: skip


def _part(name: str, value: Value, wanted: float | None) -> str:
    low = wanted is not None and value.value < wanted
    return (
        f"<tr{' class=low' if low else ''}><td>{escape(name.replace('_', ' '))}"
        f"<td class='n'>{value.value:.3g}<td class='n'>{value.low:.3g} to {value.high:.3g}"
        f"<td class='n'>{'' if wanted is None else f'{wanted:g}'}</tr>"
    )


def _stacked(calls: Mapping[str, int]) -> str:
    counts = {name: calls.get(name, 0) for name in _BY}
    total = sum(counts.values())
    if not total:
        return "<p>No calls.</p>"
    place = 0.0
    shapes, legend = [], []
    for name, count in counts.items():
        if not count:
            continue
        width = 1000 * count / total
        shapes.append(f"<rect x='{place:.1f}' width='{width:.1f}' height='26' fill='{_BY[name]}'/>")
        legend.append(f"<span style='color:{_BY[name]}'>&#9632;</span> {name} {count:,} "
                      f"({count / total:.1%})")  # fmt: skip
        place += width
    below = f"; beside these {calls['delegation']:,} delegations" if calls.get("delegation") else ""
    return (f"<svg viewBox='0 0 1000 26' preserveAspectRatio='none'>{''.join(shapes)}</svg>"
            f"<p>{' &nbsp; '.join(legend)}{below}</p>")  # fmt: skip


def _bars(name: str, counts: Mapping[str, int], *, wide: bool = False) -> str:
    if not counts:
        return ""
    if wide:
        return _rows(name, counts)
    most, shown = max(counts.values()), list(counts.items())[:40]
    step = 460 / len(shown)
    shapes = []
    for index, (label, count) in enumerate(shown):
        height = 110 * count / most
        x = 20 + index * step
        shapes.append(f"<rect x='{x:.1f}' y='{130 - height:.1f}' width='{max(step - 2, 1):.1f}' "
                      f"height='{height:.1f}' fill='#3b6ea5'><title>{escape(label)}: {count:,}"
                      "</title></rect>")  # fmt: skip
        if len(shown) <= 24 or index % 4 == 0:
            shapes.append(f"<text x='{x + step / 2:.1f}' y='144' font-size='10' "
                          f"text-anchor='middle'>{escape(label)}</text>")  # fmt: skip
    said = f"{escape(name)} of a trajectory; the highest bar is {most:,}"
    return (f"<figure><figcaption>{said}</figcaption>"
            f"<svg viewBox='0 0 500 150'>{''.join(shapes)}</svg></figure>")  # fmt: skip


def _rows(name: str, counts: Mapping[str, int]) -> str:
    most = max(counts.values())
    shapes = []
    for index, (label, count) in enumerate(counts.items()):
        y = index * 18
        shapes.append(
            f"<text x='170' y='{y + 12}' font-size='11' text-anchor='end'>"
            f"{escape(label[:28])}</text><rect x='178' y='{y + 2}' "
            f"width='{250 * count / most:.1f}' height='12' fill='#4c8c5a'/>"
            f"<text x='{184 + 250 * count / most:.1f}' y='{y + 12}' "
            f"font-size='11'>{count:,}</text>"
        )
    return (f"<figure><figcaption>{escape(name)} called</figcaption><svg viewBox='0 0 500 "
            f"{18 * len(counts) + 4}'>{''.join(shapes)}</svg></figure>")  # fmt: skip


def _latency(made: Measure) -> str:
    if not made.latency:
        return ""
    rows = "".join(
        f"<tr><td>{escape(tool)}<td class='n'>{row['calls']:,.0f}<td class='n'>{row['p50']:.3g}"
        f"<td class='n'>{row['p95']:.3g}<td class='n'>{_or_blank(row.get('d'))}"
        f"<td class='n'>{_or_blank(row.get('distance'))}</tr>"
        for tool, row in sorted(made.latency.items(), key=lambda item: -item[1]["calls"])[:40]
    )
    return ("<h2>Latency</h2><table><tr><th>tool<th>calls<th>median ms<th>95 % ms<th>D against the "
            f"profile<th>distance of log ms</tr>{rows}</table>")  # fmt: skip


def _or_blank(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _errors(errors: Mapping[str, int]) -> str:
    if not errors:
        return ""
    listed = ", ".join(f"{escape(name)} {count:,}" for name, count in errors.items())
    return f"<h2>Errors of calls</h2><p>{listed}</p>"
