"""`nexau check-data`: what is wrong with trajectories as training data."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

import nexau
from nexau.cli.exits import FAILED, OK, say, stop
from nexau.cli.passes import Workers, bar, check_writable, output
from nexau.cli.rows import show
from nexau.cli.screen import console, plain
from nexau.files.nearest import hint
from nexau.files.paths import missing
from nexau.synth.data.checks.facts import Limits
from nexau.synth.data.checks.leaks import grams8
from nexau.synth.data.checks.proof import prove
from nexau.synth.data.checks.rule import Rule
from nexau.synth.data.checks.rules import RULES
from nexau.synth.data.jobs import Checked, CheckJob, whole
from nexau.synth.data.parallel import ProcessDied, in_order
from nexau.synth.data.stream import Advance, expand, trajectories
from nexau.tuning import tune_gc

EPILOG = """
**Examples**

`nexau check-data trajectories.jsonl --out clean.jsonl > findings.jsonl`

`nexau check-data run/ --rules schema,pairing --strict`

`nexau check-data clean.jsonl --prove`

A line of JSON on stdout for each trajectory with a fault: the rule, how grave it is, the step, the
path in it, and the words that show it. `--out` writes the trajectories without a hard fault, as
they were. `--prove` takes the trajectories for clean, puts every kind of defect into them and
prints, for each rule, how many it finds and how many of the clean ones it accuses.

**Exit codes.** 0 done · 1 with `--strict`, there was a hard fault · 2 wrong input
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command("check-data", epilog=EPILOG)
def check_data(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="Trajectories, or folders of them; - is stdin."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Those without a hard fault.")
    ] = None,
    rules: Annotated[str, typer.Option(metavar="NAME,...", help="Only these; see --list.")] = "",
    context: Annotated[int, typer.Option(min=1, help="Tokens that the model's context holds.")] = (
        Limits().context
    ),
    depth: Annotated[int, typer.Option(min=0, help="Levels of sub-agents allowed.")] = (
        Limits().depth
    ),
    templates: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A generator's sentences, which no prompt may hold."),
    ] = None,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Find tasks that are nearly the same, too.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 on a hard fault.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the rules.")] = False,
    proven: Annotated[bool, typer.Option("--prove", help="Prove the rules by mutation.")] = False,
    seed: Annotated[int, typer.Option(help="Of the mutations.")] = 0,
    each: Annotated[int, typer.Option(min=1, help="Defects of each kind, at most.")] = 300,
    workers: Workers = 1,
    progress: Annotated[bool, typer.Option("--progress/--no-progress")] = True,
) -> None:
    """Check trajectories against the rules of training data."""
    if listed:
        show(_rows())
        return
    if not files:
        stop("name a file of trajectories, or - for stdin")
    if duplicates and workers > 1:
        stop("--duplicates compares all with all, which is for one process: leave --workers out")
    chosen = _chosen(rules)
    check_writable(out)
    tune_gc()
    try:
        limits = Limits(context, depth, _templates(templates))
        places = expand(files)
        if proven:
            clean = [line.trajectory for line in trajectories(places)]
            found = prove(clean, seed=seed, each=each, limits=limits, rules=chosen)
            show([msgspec.to_builtins(row) for row in found], columns=_PROOF)
            return
        names = frozenset(rule.name for rule in chosen)
        job = partial(CheckJob, limits, names, keep=out is not None, duplicates=duplicates)
        totals = _run(places, job, out, workers=workers, shown=progress)
    except nexau.DefinitionError as error:
        stop(str(error))
    except ProcessDied as error:
        stop(str(error), FAILED)
    except BrokenPipeError:
        raise typer.Exit(OK) from None
    _report(totals, chosen)
    if strict and totals.hard:
        raise typer.Exit(FAILED)


_PROOF = ("number", "rule", "weight", "ground", "defects", "recall", "clean", "false", "false_rate")


def _run(
    files: list[Path], job: partial[CheckJob], out: Path | None, *, workers: int, shown: bool
) -> Checked:
    totals = Checked()
    with ExitStack() as stack:
        stdout = stack.enter_context(output(None))
        kept = stack.enter_context(output(out)) if out is not None else None
        advance = stack.enter_context(bar(files, "checked", shown=shown))
        parts = (
            _one(files, job(), advance)
            if workers == 1
            else (whole(in_order(job, files, workers, advance), files))
        )
        for part in parts:
            stdout.writelines(part.lines)
            if kept is not None:
                kept.writelines(part.kept)
            totals.add(part)
    return totals


def _one(files: list[Path], job: CheckJob, advance: Advance | None) -> Iterator[Checked]:
    for line in trajectories(files, advance):
        made = Checked()
        job.line(line, made)
        yield made


def _report(totals: Checked, rules: tuple[Rule, ...]) -> None:
    clean = totals.seen - totals.hard - totals.scored
    say(
        f"{totals.seen:,} trajectories: {clean:,} without a fault, {totals.scored:,} with what "
        f"counts against them, {totals.hard:,} with a hard fault"
    )
    if not totals.rules:
        return
    weights = {rule.name: rule.weight for rule in rules}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("rule", "weight", "trajectories", "for example"):
        table.add_column(name, overflow="fold")
    for name, count in totals.rules.most_common():
        example = plain(totals.examples[name][:100])
        table.add_row(name, weights.get(name, "score"), f"{count:,}", example)
    console().print(table)


def _chosen(names: str) -> tuple[Rule, ...]:
    if not names:
        return RULES
    known = {rule.name: rule for rule in RULES}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            stop(f"--rules: no rule {name!r}{hint(name, known, 'rules')}")
    return tuple(known[name] for name in wanted)


def _templates(file: Path | None) -> frozenset[str]:
    if file is None:
        return frozenset()
    try:
        return frozenset(grams8(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        stop(f"--templates: {missing(file)}")
    except OSError as error:
        stop(f"{file}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        stop(f"{file}: not UTF-8: {error.reason}")


def _rows() -> list[dict[str, object]]:
    return [
        {
            "number": rule.number,
            "rule": rule.name,
            "weight": rule.weight,
            "ground": rule.ground,
            "says": rule.says,
        }
        for rule in RULES
    ]
