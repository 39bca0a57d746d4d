"""`nexau curate`: the few that are worth most."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

import nexau
from nexau.cli.exits import FAILED, OK, say, stop
from nexau.cli.passes import bar, check_writable, output, with_numpy
from nexau.files.problems import display
from nexau.synth.data.decontaminate import Decontaminator, evaluation_texts
from nexau.synth.data.stream import Line, expand, trajectories
from nexau.synth.lineage import made_by, record
from nexau.trajectory import Trajectory
from nexau.tuning import tune_gc

if TYPE_CHECKING:
    from nexau.synth.data.curate import Candidate, Curator, Report, Wanted

EPILOG = """
**Examples**

`nexau curate trajectories.jsonl --keep 78 --out kept.jsonl`

`nexau curate run/ --against evaluation.jsonl --against more.txt --out kept.jsonl`

Taken are trajectories that are complete, successful and free of hard faults, and whose task is none
of those in `--against`: no 13 words in a row, no near-duplicate. Of these, those are kept that
together are most like all of them (facility location over task, tools in order, and topology), the
longer ones before the shorter. `OUT.report.json` says why for each, `OUT.lineage.jsonl` what each
was made from. Files are read twice; memory holds a sample of `--sample` candidates.

**Exit codes.** 0 done · 1 none could be kept · 2 wrong input
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command("curate", epilog=EPILOG)
def curate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Trajectories, or folders of them.")
    ],
    keep: Annotated[int, typer.Option("--keep", "-k", min=1, help="How many.")] = 78,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: stdout.")
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Evaluation tasks: JSON lines, or lines of text."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: OUT.report.json.")
    ] = None,
    sample: Annotated[int, typer.Option(min=2, help="Candidates that are compared.")] = 4000,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    least_steps: Annotated[int, typer.Option(min=1, help="Shorter ones are not taken.")] = 2,
    least_reward: Annotated[
        float | None, typer.Option(help="Default: more than 0, where there is a reward.")
    ] = None,
    per_task: Annotated[
        bool, typer.Option("--per-task/--repeats", help="At most one of each task.")
    ] = True,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Refuse hard faults (nexau check-data).")
    ] = True,
    progress: Annotated[bool, typer.Option("--progress/--no-progress")] = True,
) -> None:
    """Keep a few: complete, successful, long, diverse, not in the evaluation."""
    if out is not None and report is None:
        report = out.with_name(f"{out.name}.report.json")
    check_writable(out, report)
    (module,) = with_numpy("nexau.synth.data.curate")
    tune_gc()
    try:
        places = expand(files)
        if any(str(place) == "-" for place in places):
            stop("curate reads its files twice: stdin will not do")
        evaluation = Decontaminator(evaluation_texts(against or ()))
        wanted: Wanted = module.Wanted(
            keep, sample, seed, least_steps, least_reward, per_task, check
        )
        curator: Curator = module.Curator(wanted, evaluation)
        _look(curator, places, shown=progress)
        chosen = curator.choose()
        _write(chosen, places, out, module.read_again)
    except nexau.DefinitionError as error:
        stop(str(error))
    except BrokenPipeError:
        raise typer.Exit(OK) from None
    if report is not None:
        encoded = msgspec.json.format(msgspec.json.encode(curator.report))
        report.write_bytes(encoded + b"\n")
    _say(curator.report)
    if not chosen:
        raise typer.Exit(FAILED)


def _look(curator: "Curator", places: list[Path], *, shown: bool) -> None:
    with bar(places, "looked at", shown=shown) as advance:
        for place in places:
            offset = 0

            def count(size: int) -> None:
                nonlocal offset
                offset += size
                if advance is not None:
                    advance(size)

            line: Line[Trajectory]
            for line in trajectories([place], count, strict=len(places) == 1):
                curator.look(line, offset - len(line.data))


def _write(
    chosen: "list[Candidate]",
    places: list[Path],
    out: Path | None,
    read_again: "Callable[[list[Candidate], dict[str, Path]], Iterable[bytes]]",
) -> None:
    names = {display(place): place for place in places}
    with ExitStack() as stack:
        lines = stack.enter_context(output(out))
        lines.writelines(line + b"\n" for line in read_again(chosen, names))
    if out is None:
        return
    rollouts = [each.lineage for each in chosen]
    made = record("curation", rollouts, rollouts, made_by("nexau curate"), name=out.name)
    with output(out.with_name(f"{out.name}.lineage.jsonl")) as lines:
        lines.write(msgspec.json.encode(made) + b"\n")


def _say(report: "Report") -> None:
    say(
        f"{report.seen:,} trajectories, {report.candidates:,} of them may be kept, "
        f"{report.sampled:,} compared, {len(report.kept):,} kept"
    )
    for reason, count in report.refused.most_common(8):
        say(f"  {count:,} {reason}")
    if report.kept:
        tokens = sorted(kept.tokens for kept in report.kept)
        about = "about " if report.estimated_tokens else ""
        say(
            f"  they are like the rest by {report.covered:.0%}; Vendi score "
            f"{report.vendi_kept:.3g}, of as many at random {report.vendi_random:.3g}; "
            f"{about}{sum(tokens) // len(tokens):,} tokens on average, "
            f"{about}{tokens[-1]:,} at most"
        )
