"""`nexau export`: trajectories in the formats that trainers read."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

import nexau
from nexau.cli.exits import FAILED, OK, say, stop
from nexau.cli.passes import Workers, bar, check_writable, output
from nexau.cli.rows import show
from nexau.synth.data.convert import Loss, Options
from nexau.synth.data.export import Quarantined, Totals
from nexau.synth.data.formats.registry import FORMATS, ROLLOUT_FORMATS, format_of
from nexau.synth.data.jobs import Exported, ExportJob, whole
from nexau.synth.data.parallel import ProcessDied, in_order
from nexau.synth.data.stream import expand
from nexau.tuning import tune_gc

EPILOG = """
**Examples**

`nexau export trajectories.jsonl --format openai --out train.jsonl`

`nexau export trajectories.jsonl --format hermes --flattened --mask-errors --out train.parquet`

`nexau rollout agent.yaml tasks.jsonl | nexau export - --format atif > atif.jsonl`

Each sub-agent's conversation is a record of its own; `--flattened` makes one record of a rollout,
as though one agent had had everybody's tools. Every record is read back and compared with what it
was made from; those that do not come back equal go to `OUT.quarantine.jsonl`, with the reason.
`nexau export --formats` lists the formats and what each leaves out.

**Exit codes.** 0 done · 1 nothing could be written · 2 wrong input
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command("export", epilog=EPILOG)
def export(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="Trajectories, or folders of them; - is stdin."),
    ] = None,
    format_name: Annotated[str, typer.Option("--format", "-f", help="See --formats.")] = "openai",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Default: stdout. .parquet is Parquet."),
    ] = None,
    per_agent: Annotated[
        bool, typer.Option("--per-agent/--flattened", help="A record an agent, or one a rollout.")
    ] = True,
    loss: Annotated[
        Loss, typer.Option(help="The turns that the loss counts: all of the model's, or the last.")
    ] = "all",
    mask_errors: Annotated[
        bool, typer.Option("--mask-errors", help="The loss passes over turns whose calls failed.")
    ] = False,
    media: Annotated[
        Literal["refuse", "note"], typer.Option(help="Images in results: quarantine, or a note.")
    ] = "refuse",
    status: Annotated[
        list[str] | None, typer.Option(help="Only rollouts of this status; may be repeated.")
    ] = None,
    quarantine: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: OUT.quarantine.jsonl.")
    ] = None,
    workers: Workers = 1,
    formats: Annotated[bool, typer.Option("--formats", help="List the formats.")] = False,
    progress: Annotated[bool, typer.Option("--progress/--no-progress")] = True,
) -> None:
    """Write trajectories in a training format, every record read back."""
    if formats:
        show(_described())
        return
    if not files:
        stop("name a file of trajectories, or - for stdin")
    if out is not None and quarantine is None:
        quarantine = out.with_name(f"{out.name}.quarantine.jsonl")
    check_writable(out, quarantine)
    tune_gc()
    try:
        chosen = format_of(format_name)
        options = Options(not per_agent, loss, mask_errors, media)
        job = partial(ExportJob, chosen.name, options, tuple(status or ()))
        totals = _run(job, expand(files), out, quarantine, workers=workers, shown=progress)
    except nexau.DefinitionError as error:
        stop(str(error))
    except ProcessDied as error:
        stop(str(error), FAILED)
    except BrokenPipeError:
        raise typer.Exit(OK) from None
    say(
        f"{totals.records:,} records of {totals.trajectories:,} trajectories"
        + (f", {totals.left:,} passed over" if totals.left else "")
        + (f"; {totals.quarantined:,} quarantined" if totals.quarantined else "")
    )
    for reason, count in totals.reasons.most_common(5):
        say(f"  {count:,} {reason} ...")
    if not totals.records:
        raise typer.Exit(FAILED)


def _run(
    job: partial[ExportJob],
    files: list[Path],
    out: Path | None,
    quarantine: Path | None,
    *,
    workers: int,
    shown: bool,
) -> Totals:
    encode = msgspec.json.Encoder().encode
    made = job()
    totals = made.exporter.totals
    with ExitStack() as stack:
        refused = stack.enter_context(output(quarantine)) if quarantine is not None else None

        def refuse(record: Quarantined) -> None:
            if refused is not None:
                refused.write(encode(record) + b"\n")

        advance = stack.enter_context(bar(files, "exported", shown=shown))
        if workers == 1:
            records = made.exporter.run(made.exporter.read(files, advance), refuse)
        else:
            parts = whole(in_order(job, files, workers, advance), files)
            records = _records(parts, refuse, totals)
        if out is not None and out.suffix == ".parquet":
            _parquet(out, made.exporter.name, records)
        else:
            with output(out) as lines:
                lines.writelines(record + b"\n" for record in records)
    if quarantine is not None and not totals.quarantined:
        quarantine.unlink(missing_ok=True)
    return totals


def _records(
    parts: Iterable[Exported], refuse: Callable[[Quarantined], object], totals: Totals
) -> Iterator[bytes]:
    for part in parts:
        totals.add(part.totals)
        for record in part.refused:
            refuse(record)
        yield from part.records


def _parquet(out: Path, name: str, records: Iterator[bytes]) -> None:
    try:
        write = import_module("nexau.synth.data.parquet").write_parquet
    except ModuleNotFoundError:
        stop("Parquet needs the extra: pip install 'nexau[parquet]'")
    partial = out.with_name(f"{out.name}.partial")
    try:
        write(partial, name, records)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def _described() -> list[dict[str, str]]:
    return [
        {"format": name, "record": kind.summary, "leaves out": kind.leaves_out}
        for name, kind in (FORMATS | ROLLOUT_FORMATS).items()
    ]
