"""`nexau synth worlds`: worlds from a sentence."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer

import nexau
from nexau.cli.exits import INTERRUPTED, OK, emit, say, stop
from nexau.cli.interrupts import obey_signals
from nexau.cli.options import Backend, LogLevel
from nexau.cli.program import start
from nexau.cli.writers import writer_model
from nexau.synth.worlds.drafts import BUILT_IN, Record, Request
from nexau.synth.worlds.generate import SCHEMA, BuiltIn, RunFile, Store, generate
from nexau.synth.worlds.ontology import domains, matching
from nexau.synth.worlds.written import ByModel

EPILOG = """
**Examples**

`nexau synth worlds "a clinic's appointment desk with insurance rules" --n 20 --seed 7`

`nexau synth worlds "a clinic's appointment desk" --n 5 --model author.yaml --out clinic`

`nexau world serve worlds/worlds/clinic-00000.yaml`

stdout gets one line of JSON for each world. A run that was interrupted goes on when the same
command is given again; a larger `--n` adds to it. The same specification and seed give the same
bytes, whatever the number of workers.

**Exit codes.** 0 done · 1 the model cannot be had · 2 wrong input, or too few worlds can be made ·
130 interrupted
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


class Order(NamedTuple):
    request: Request
    n: int
    folder: Path
    workers: int
    writer: nexau.OpenAIModel | None


@app.command(epilog=EPILOG)
def worlds(
    specification: Annotated[str, typer.Argument(metavar="SPEC", help="What they are about.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many worlds.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where they are written.")] = Path(
        "worlds"
    ),
    workers: Annotated[int, typer.Option(min=1, help="Processes that make candidates.")] = 1,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "--writer",
            metavar="MODEL|AGENT",
            help="A model that writes them: openai:NAME, or an agent file, whose model it is."
            " Without it a grammar composes them.",
        ),
    ] = None,
    log_level: LogLevel = "warning",
    backend: Backend = "uvloop",
) -> None:
    """Make worlds, each of another structure, from a plain-language specification."""
    if not specification.strip():
        stop("SPEC is empty: say in a sentence what the worlds are about")
    if out.exists() and not out.is_dir():
        stop(f"--out: {out} is no folder")
    writer = writer_model("--model", model)
    if writer is not None and workers > 1:
        stop("--workers is for the grammar; a model's answers are waited for side by side")
    order = Order(Request(specification.strip(), seed), n, out, workers, writer)
    start(partial(_worlds, order), backend=backend, log_level=log_level)


async def _worlds(order: Order) -> int:
    code = INTERRUPTED
    async with obey_signals(grace=0):
        code = await _generate(order)
    return code  # noqa: RET504 - a signal may end the block early


async def _generate(order: Order) -> int:
    request = order.request
    writer = BUILT_IN if order.writer is None else f"model {order.writer.name}"
    store = Store(order.folder, RunFile(SCHEMA, request.specification, request.seed, writer))
    if order.writer is None:
        _confess(request.specification)
        count = await _tell(generate(store, order.n, BuiltIn(request, order.workers)))
    else:
        async with nexau.open_runtime(seed=request.seed) as runtime:
            kept = order.folder / "writing.jsonl"
            source = ByModel(request, runtime, order.writer, kept)
            count = await _tell(generate(store, order.n, source))
    say(f"{count:,} worlds in {order.folder}, {len(store.rejected):,} candidates rejected")
    return OK


def _confess(specification: str) -> None:
    found = [name.replace("_", " ") for name, _ in matching(specification)[:3]]
    say("no model is configured: worlds are composed by the built-in grammar, which is the lesser"
        " generator. It knows words, not what the specification means.")  # fmt: skip
    if found:
        say(f"the specification is taken for: {', '.join(found)}")
    else:
        say(f"no word of the specification is known: any of {len(domains())} domains will do")


async def _tell(records: AsyncGenerator[Record, None]) -> int:
    count = 0
    async with aclosing(records) as each:
        async for record in each:
            emit(msgspec.json.encode(record).decode())
            count += 1
    return count
