"""`nexau measure`: a set of trajectories on the three axes."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.table import Table

import nexau
from nexau.cli.exits import FAILED, emit, say, stop
from nexau.cli.passes import Workers, bar, check_writable, with_numpy
from nexau.cli.screen import console
from nexau.latency.profiles import read_profile
from nexau.synth.data.jobs import MeasureJob, whole
from nexau.synth.data.parallel import ProcessDied, in_order
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
    workers: Workers = 1,
    progress: Annotated[bool, typer.Option("--progress/--no-progress")] = True,
) -> None:
    """Measure complexity, diversity and fidelity, and say what is lacking."""
    check_writable(html)
    module, pages = with_numpy("nexau.synth.data.measure", "nexau.synth.data.page")
    tune_gc()
    try:
        profiles = tuple(read_profile(file) for file in profile or ())
        meter: Meter = module.Meter(seed=seed, profiles=profiles)
        _run(meter, expand(places), workers=workers, shown=progress)
    except nexau.DefinitionError as error:
        stop(str(error))
    except ProcessDied as error:
        stop(str(error), FAILED)
    made = meter.result()
    if not made.trajectories:
        stop(f"{', '.join(map(str, places))}: holds no trajectory")
    if html is not None:
        title = f"Trajectories of {', '.join(place.name or str(place) for place in places)}"
        html.write_text(pages.page(made, title), encoding="utf-8")
    _show(made)
    emit(msgspec.json.encode(made).decode())


def _run(meter: "Meter", files: list[Path], *, workers: int, shown: bool) -> None:
    strict = len(files) == 1
    with bar(files, "measured", shown=shown) as advance:
        if workers == 1:
            for line in trajectories(files, advance, strict=strict):
                meter.add(line.trajectory)
            return
        job = partial(MeasureJob, strict=strict)
        for outlines in whole(in_order(job, files, workers, advance), files, strict=strict):
            for outline in outlines:
                meter.take(outline)


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
