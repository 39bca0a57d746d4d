"""`nexau pipeline`: from a sentence to training data, one command after the other, resumable."""

from pathlib import Path
from typing import Annotated

import typer

from nexau.cli.exits import INTERRUPTED, OK, stop
from nexau.cli.pipelinestages import Interrupted, Pipeline, Plan, StageFailed
from nexau.files.paths import is_dir

EPILOG = """
**Example**

`nexau pipeline "a clinic's appointment desk with insurance rules" --worlds 4 --agents 8 --tasks 200
--out clinic`

Makes worlds, hierarchies of agents for each, tasks for each, plans for each tree; rolls all tasks
out against the served worlds and scores them; checks, curates, exports and measures the results.
Each stage is a command of its own (its words stand in `stages.jsonl`), and a stage that is done is
not done again: the same command goes on with a pipeline that was killed.

No language model is asked: policies play the gold plans, with detours, recoveries and a share of
labelled bad examples (`--mix`).

**Exit codes.** 0 done · 1 a stage failed · 2 wrong input · 130 interrupted
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def pipeline(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="What it is all for: a sentence.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where everything goes.")],
    worlds: Annotated[int, typer.Option(min=1, help="How many worlds.")] = 20,
    agents: Annotated[int, typer.Option(min=1, help="How many hierarchies, over all worlds.")] = 50,
    tasks: Annotated[int, typer.Option(min=1, help="How many tasks, over all worlds.")] = 1000,
    keep: Annotated[int, typer.Option(min=1, help="How many trajectories are curated.")] = 78,
    seed: Annotated[int, typer.Option(help="Same seed, same worlds, agents and tasks.")] = 7,
    concurrency: Annotated[int, typer.Option("-c", min=1, help="Rollouts at once.")] = 32,
    mix: Annotated[
        str, typer.Option(metavar="STYLE=WEIGHT,...", help="How plans are played, by weight.")
    ] = "gold=5,detour=2,recover=2,false_claim=0.5,ignore_errors=0.5",
    formats: Annotated[
        str, typer.Option(metavar="FORMAT,...", help="What the curated ones are exported to.")
    ] = "openai,hermes",
) -> None:
    """Make worlds, agents and tasks from a sentence, run them, and turn the results into data."""
    if not is_dir(out.parent):
        stop(f"--out: no directory {out.parent}")
    try:
        plan = Plan.read(spec, worlds, agents, tasks, keep, seed, concurrency, mix, formats)
        made = Pipeline(plan, out)
        made.run()
    except ValueError as error:
        stop(str(error))
    except Interrupted:
        raise typer.Exit(INTERRUPTED) from None
    except StageFailed as error:
        stop(str(error), 1)
    made.tell()
    raise typer.Exit(OK)
