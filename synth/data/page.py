"""The report of `nexau measure` as one page of HTML: its plots are SVG in it, nothing is loaded."""

from collections.abc import Mapping
from html import escape

from nexau.synth.data.measure import TARGETS, Axis, Measure, Value
from nexau.synth.data.pageplots import bars, interval, rows, stacked

_COLOURS = {"complexity": "#2f6690", "diversity": "#3a7d44", "fidelity": "#b35c1e"}
_SAYS = {
    "complexity": "how much there is to do, and how many agents do it",
    "diversity": "how much of it is different",
    "fidelity": "how much of it really happened",
}
_BY = {
    "live": "#3a7d44",
    "replayed": "#8fb996",
    "simulated": "#e0b050",
    "function": "#b7b7b7",
    "unstated": "#cdbfe3",
    "unanswered": "#b04040",
}
PARTS: dict[str, tuple[str, str]] = {
    "steps": ("steps", "turns of the model in a trajectory, on average"),
    "steps_p90": ("steps, 90th percentile", "nine in ten trajectories have no more"),
    "calls": ("calls", "of tools and of sub-agents, on average"),
    "agents": ("agents", "that took part, on average"),
    "depth": ("depth", "levels of sub-agents below the root, on average"),
    "chain": ("chain", "longest path of calls each of which takes something from the one before"),
    "edges": ("edges", "arguments that come from an earlier result, on average"),
    "vendi": ("Vendi score", "effective number of distinct trajectories among at most 500"),
    "topologies": ("topologies", "different shapes of the tree of agents"),
    "topology_rate": ("topologies, share", "of trajectories"),
    "tool_entropy": ("tool entropy", "100 % where all tools are called as often"),
    "pair_entropy": ("pair entropy", "the same of tools called one after the other"),
    "tool_coverage": ("tool coverage", "share of the tools offered that are called"),
    "distinct_tasks": ("distinct tasks", "share of tasks that are no near-duplicate of another"),
    "distinct_2": ("distinct-2", "share of pairs of words in requests that are different"),
    "grounded": ("grounded", "calls that a server answered: live, replayed or simulated"),
    "live": ("live", "calls that a real server answered"),
    "replayed": ("replayed", "calls of a server with recorded latency and errors before it"),
    "simulated": ("simulated", "calls that a generated world answered"),
    "traceable": ("traceable", "arguments that stand in, or follow from, what the agent had seen"),
    "errors": ("errors", "calls that failed"),
    "latency_d": ("latency D", "Kolmogorov-Smirnov distance to the profiles; 0 is equal"),
}
_RATES = frozenset({
    "topology_rate", "tool_entropy", "pair_entropy", "tool_coverage", "distinct_tasks",
    "distinct_2", "grounded", "live", "replayed", "simulated", "traceable", "errors",
})  # fmt: skip
_STYLE = """
:root{color-scheme:light}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;max-width:1120px;
margin:2.2rem auto;padding:0 1.2rem;color:#1f2328;background:#fff}
h1{font-size:1.5rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}
h3{font-size:1rem;margin:0}p{margin:.3rem 0}
.muted{color:#656d76}.small{font-size:.86rem}.low td{color:#a4262c}
.verdict{border-left:4px solid #a4262c;background:#faf7f2;padding:.7rem 1.1rem;margin:1.2rem 0}
.verdict ul{margin:.3rem 0 0;padding-left:1.2rem}
.scores{display:grid;grid-template-columns:repeat(3,1fr);gap:1rem;margin:1.2rem 0}
.score{border:1px solid #d8dee4;border-radius:6px;padding:.8rem 1rem}
.score b{font-size:1.9rem;font-variant-numeric:tabular-nums;display:block;line-height:1.2}
table{border-collapse:collapse;width:100%}
td,th{padding:.28rem .8rem .28rem 0;text-align:left;vertical-align:middle}
th{font-weight:600;border-bottom:1px solid #d8dee4;color:#656d76;font-size:.86rem}
tr+tr td{border-top:1px solid #f0f2f4}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.plot{width:190px;padding-right:0}section td:first-child{width:10.5rem}
section td.n{width:5rem}section td.n.muted{width:9.5rem}
.plots{display:grid;grid-template-columns:repeat(3,1fr);gap:1.4rem}figure{margin:0}
figcaption{font-size:.9rem;margin-bottom:.3rem}svg{width:100%;height:auto;display:block}
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .35em 0 1.1em}
.key:first-child{margin-left:0}
@media(max-width:820px){.scores,.plots{grid-template-columns:1fr}}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}figure,.score{break-inside:avoid}}
"""


def page(made: Measure, title: str) -> str:
    axes = {"complexity": made.complexity, "diversity": made.diversity, "fidelity": made.fidelity}
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width,initial-scale=1'>",
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1>",
        f"<p class='muted'>{made.trajectories:,} trajectories of {made.tasks:,} tasks, on three",
        "axes. Intervals are 95 %.</p>",
        "<div class='scores'>",
        *(_score(name, axis) for name, axis in axes.items()),
        "</div>",
        _verdict(made),
        *(_axis(name, axis) for name, axis in axes.items()),
        "<h2>Who answered the calls</h2>",
        _answered(made.calls),
        _distributions(made),
        _latency(made),
        _errors(made.errors),
        _notes(made.notes),
        "</html>",
    ]
    return "\n".join(filter(None, parts))


def _score(name: str, axis: Axis) -> str:
    below = len(axis.deficits)
    said = f"{below} below what is wanted" if below else "all as wanted"
    bar = stacked([(axis.score, _COLOURS[name]), (1 - axis.score, "#eaeef2")], height=8)
    return (f"<div class='score'><h3>{name.capitalize()}</h3><b>{axis.score:.0%}</b>{bar}"
            f"<p class='small muted'>{_SAYS[name]}; {said}</p></div>")  # fmt: skip


def _verdict(made: Measure) -> str:
    if not made.trajectories:
        return "<div class='verdict'>There is nothing to measure.</div>"
    listed = "".join(f"<li>{escape(text)}</li>" for text in made.next)
    said = f"<ul>{listed}</ul>" if listed else "<p>Nothing is below what is wanted.</p>"
    return (f"<div class='verdict'><b>In deficit: {escape(made.deficit)}.</b> Make next:{said}"
            "</div>")  # fmt: skip


def _axis(name: str, axis: Axis) -> str:
    wanted = {target.part: target.least for target in TARGETS if target.axis == name}
    listed = "".join(
        _part(part, value, wanted.get(part), _COLOURS[name]) for part, value in axis.parts.items()
    )
    return (f"<section><h2>{name.capitalize()}</h2><table><tr><th>part<th>is<th class='n'>value"
            "<th class='n'>interval<th class='n'>wanted<th></tr>"
            f"{listed}</table></section>")  # fmt: skip


def _part(name: str, value: Value, wanted: float | None, colour: str) -> str:
    label, says = PARTS.get(name, (name.replace("_", " "), ""))
    low = wanted is not None and value.value < wanted
    rate = name in _RATES
    most = 1.0 if rate else max(value.high, wanted or 0.0) * 1.15 or 1.0
    plot = interval(value.value, value.low, value.high, wanted, most, colour)
    return (
        f"<tr{' class=low' if low else ''}><td>{escape(label)}<td class='small muted'>"
        f"{escape(says)}<td class='n'>{_figure(value.value, rate)}<td class='n muted'>"
        f"{_figure(value.low, rate)} to {_figure(value.high, rate)}"
        f"<td class='n'>{'' if wanted is None else _figure(wanted, rate)}"
        f"<td class='plot'>{plot}</tr>"
    )


def _figure(value: float, rate: bool) -> str:
    return f"{100 * value:.3g} %" if rate else f"{value:.3g}"


def _answered(calls: Mapping[str, int]) -> str:
    counts = {name: calls[name] for name in _BY if calls.get(name)}
    total = sum(counts.values())
    if not total:
        return "<p>No calls.</p>"
    bar = stacked([(count / total, _BY[name]) for name, count in counts.items()], height=22)
    keys = "".join(
        f"<span class='key' style='background:{_BY[name]}'></span>{name} {count:,} "
        f"({count / total:.1%})"
        for name, count in counts.items()
    )
    below = calls.get("delegation", 0)
    said = f" <span class='muted'>and {below:,} delegations to sub-agents</span>" if below else ""
    return f"{bar}<p class='small'>{keys}{said}</p>"


def _distributions(made: Measure) -> str:
    titles = {
        "steps": "Steps of a trajectory",
        "chain": "Longest chain of calls that feed each other",
        "agents": "Agents of a trajectory",
    }
    plots = [
        bars(title, made.histograms[name], _COLOURS["complexity"])
        for name, title in titles.items()
        if made.histograms.get(name)
    ]
    tools = made.histograms.get("tools", {})
    if not plots and not tools:
        return ""
    listed = rows(tools, _COLOURS["diversity"])
    return (f"<h2>How they are spread</h2><div class='plots'>{''.join(plots)}</div>"
            f"<h2>Tools that are called most</h2>{listed}")  # fmt: skip


def _latency(made: Measure) -> str:
    if not made.latency:
        return ""
    against = any("d" in row for row in made.latency.values())
    ordered = sorted(made.latency.items(), key=lambda item: -item[1]["calls"])
    listed = "".join(
        f"<tr><td>{escape(tool)}<td class='n'>{row['calls']:,.0f}<td class='n'>{row['p50']:.3g}"
        f"<td class='n'>{row['p95']:.3g}"
        + (f"<td class='n'>{_or_blank(row.get('d'))}<td class='n'>{_or_blank(row.get('distance'))}"
           if against else "")
        + "</tr>"
        for tool, row in ordered[:25]
    )  # fmt: skip
    more = "<th class='n'>D against the profile<th class='n'>distance of log ms" if against else ""
    left = f"<p class='small muted'>and {len(ordered) - 25} more</p>" if len(ordered) > 25 else ""
    return ("<h2>Latency</h2><table><tr><th>tool<th class='n'>calls<th class='n'>median, ms"
            f"<th class='n'>95th percentile, ms{more}</tr>{listed}</table>{left}")  # fmt: skip


def _or_blank(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _errors(errors: Mapping[str, int]) -> str:
    if not errors:
        return ""
    ordered = dict(sorted(errors.items(), key=lambda item: -item[1]))
    return f"<h2>Errors of calls</h2>{rows(ordered, '#a4262c')}"


def _notes(notes: list[str]) -> str:
    if not notes:
        return ""
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<h2>Notes</h2><ul class='small muted'>{listed}</ul>"
