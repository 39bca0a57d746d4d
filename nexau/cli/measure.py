"""`nexau measure`: a set of trajectories on the three axes."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.table import Table

import nexau
from nexau.cli.exits import emit, say, stop
from nexau.cli.passes import bar, check_writable
from nexau.cli.screen import console
from nexau.profiles import read_profile
from nexau.synth.data.stream import expand, trajectories
from nexau.tuning import tune_gc

if TYPE_CHECKING:
    from nexau.synth.data.measure import Measure, Meter

EPILOG = """
**Examples**

`nexau measure run/ --html report.html`

`nexau measure trajectories.jsonl --profile examples/profiles/sqlite.profile.yaml | jq .deficit`

Complexity (steps, agents, chains of calls that feed each other), diversity (Vendi score,
topologies, entropy of tools) and fidelity (who answered the calls: live, replayed or simulated;
arguments that can be traced; errors and latency), each part with its 95 % interval, against stated
targets. Says which axis is in deficit and what to generate next.

One line of JSON on stdout, tables on stderr; `--html` writes a page that loads nothing.

**Exit codes.** 0 done · 2 wrong input
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command("measure", epilog=EPILOG)
def measure(
    places: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Trajectories, or folders; - is stdin.")
    ],
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report there, as a page.")
    ] = None,
    profile: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Recorded latency (nexau mcp record); may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of samples and intervals.")] = 0,
    progress: Annotated[bool, typer.Option("--progress/--no-progress")] = True,
) -> None:
    """Measure complexity, diversity and fidelity, and say what is lacking."""
    check_writable(html)
    try:
        module = import_module("nexau.synth.data.measure")
        page = import_module("nexau.synth.data.page").page
    except ModuleNotFoundError:
        stop("measuring needs the extra: pip install 'nexau[synth]'")
    tune_gc()
    try:
        profiles = tuple(read_profile(file) for file in profile or ())
        files = expand(places)
        meter: Meter = module.Meter(seed=seed, profiles=profiles)
        with bar(files, "measured", shown=progress) as advance:
            for line in trajectories(files, advance, strict=len(files) == 1):
                meter.add(line.trajectory, len(line.data))
    except nexau.DefinitionError as error:
        stop(str(error))
    made = meter.result()
    if not made.trajectories:
        stop(f"{', '.join(map(str, places))}: holds no trajectory")
    if html is not None:
        title = f"Trajectories of {', '.join(place.name or str(place) for place in places)}"
        html.write_text(page(made, title), encoding="utf-8")
    _show(made)
    emit(msgspec.json.encode(made).decode())


def _show(made: "Measure") -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("axis", "score", "part", "value", "95 %"):
        table.add_column(name)
    for name, axis in (
        ("complexity", made.complexity),
        ("diversity", made.diversity),
        ("fidelity", made.fidelity),
    ):
        for index, (part, value) in enumerate(axis.parts.items()):
            head = (name, f"{axis.score:.0%}") if not index else ("", "")
            table.add_row(*head, part, f"{value.value:.3g}", f"{value.low:.3g} to {value.high:.3g}")
    console().print(table)
    say(f"in deficit: {made.deficit}")
    for text in made.next:
        say(f"  next: {text}")
