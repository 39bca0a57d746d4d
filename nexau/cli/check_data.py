"""`nexau check-data`: what is wrong with trajectories as training data."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer
from msgspec import Struct
from rich.table import Table

import nexau
from nexau.cli.exits import FAILED, OK, say, stop
from nexau.cli.passes import bar, check_writable, output
from nexau.cli.rows import show
from nexau.cli.screen import console, plain
from nexau.nearest import hint
from nexau.synth.data.checks.facts import Limits
from nexau.synth.data.checks.leaks import grams8
from nexau.synth.data.checks.proof import prove
from nexau.synth.data.checks.rule import Finding, Rule
from nexau.synth.data.checks.rules import RULES, Checker
from nexau.synth.data.stream import Line, expand, trajectories
from nexau.synth.nearduplicates import NearDuplicates
from nexau.trajectory import Trajectory
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


class Faulty(Struct, frozen=True):
    """A line of output."""

    id: str
    file: str
    line: int
    hard: bool
    findings: list[Finding]


class Totals:
    def __init__(self) -> None:
        self.seen = self.hard = self.scored = 0
        self.rules: Counter[str] = Counter()
        """Trajectories, by rule."""
        self.examples: dict[str, str] = {}


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
    progress: Annotated[bool, typer.Option("--progress/--no-progress")] = True,
) -> None:
    """Check trajectories against the rules of training data."""
    if listed:
        show(_rows())
        return
    if not files:
        stop("name a file of trajectories, or - for stdin")
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
        totals = _run(places, Checker(limits, chosen), out, duplicates=duplicates, shown=progress)
    except nexau.DefinitionError as error:
        stop(str(error))
    except BrokenPipeError:
        raise typer.Exit(OK) from None
    _report(totals, chosen)
    if strict and totals.hard:
        raise typer.Exit(FAILED)


_PROOF = ("number", "rule", "weight", "ground", "defects", "recall", "clean", "false", "false_rate")


def _run(
    files: list[Path], checker: Checker, out: Path | None, *, duplicates: bool, shown: bool
) -> Totals:
    totals = Totals()
    encode = msgspec.json.Encoder().encode
    near = NearDuplicates(0.8) if duplicates else None
    first: list[str] = []
    with ExitStack() as stack:
        stdout: BinaryIO = stack.enter_context(output(None))
        kept = stack.enter_context(output(out)) if out is not None else None
        advance = stack.enter_context(bar(files, "checked", shown=shown))
        for line in trajectories(files, advance):
            found = checker.check(line.trajectory)
            if near is not None:
                found += _near(near, first, line)
            hard = any(finding.weight == "hard" for finding in found)
            _count(totals, found, hard=hard)
            if found:
                faulty = Faulty(line.trajectory.id, line.file, line.number, hard, found)
                stdout.write(encode(faulty) + b"\n")
            if kept is not None and not hard:
                kept.write(line.data if line.data.endswith(b"\n") else line.data + b"\n")
    return totals


def _near(near: NearDuplicates, first: list[str], line: Line[Trajectory]) -> list[Finding]:
    """Repeats of one task are no duplicates of each other."""
    trajectory = line.trajectory
    if trajectory.repeat or trajectory.attempt:
        return []
    like = near.add(trajectory.input)
    if like is not None:
        text = f"nearly the task of {first[like]}"
        return [Finding("near_duplicate", "score", text, path="input")]
    first.append(trajectory.id)
    return []


def _count(totals: Totals, found: list[Finding], *, hard: bool) -> None:
    totals.seen += 1
    totals.hard += hard
    totals.scored += bool(found) and not hard
    for finding in found:
        totals.examples.setdefault(finding.rule, finding.text)
    totals.rules.update({finding.rule for finding in found})


def _report(totals: Totals, rules: tuple[Rule, ...]) -> None:
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
    except (OSError, UnicodeDecodeError) as error:
        stop(f"{file}: cannot be read: {error}")


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
