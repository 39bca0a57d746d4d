"""`nexau world serve`: a world as an MCP server."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from nexau import logs
from nexau.actors._backend import run
from nexau.cli.exits import stop
from nexau.cli.options import Backend
from nexau.synth.worlds.profile import delayed
from nexau.synth.worlds.reader import WorldFileError, load_world
from nexau.synth.worlds.serve import http_app, serve_http, serve_stdio
from nexau.synth.worlds.state import Template
from nexau.transports.guard import Guard, Unguarded
from nexau.tuning import tune_gc

TOKEN = "NEXAU_WORLD_TOKEN"

EPILOG = f"""
**Examples**

`nexau world serve shop.yaml` (stdio)

`nexau world serve shop.yaml --http --port 8000`, then `http://127.0.0.1:8000/mcp`

`nexau mcp call find_customers '{{"query": "ada"}}' -- nexau world serve shop.yaml`

In an agent file:

`shop: {{command: nexau, args: [world, serve, shop.yaml], sessions: rollout, reset: world_reset}}`

Bound to anything but loopback, it wants a bearer token, which it takes from `{TOKEN}`.
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def serve(
    file: Annotated[Path, typer.Argument(metavar="WORLD", help="A world file.")],
    http: Annotated[bool, typer.Option("--http", help="Streamable HTTP instead of stdio.")] = False,
    host: Annotated[str, typer.Option(help="The address to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    rows: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Seeded rows in all, about.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the seeded rows; the file's own.")] = None,
    sessions: Annotated[
        Literal["own", "shared"],
        typer.Option(help="Over HTTP: a state for each session, or one for all."),
    ] = "own",
    latency: Annotated[bool, typer.Option(help="Play the world's latency and errors.")] = True,
    delay: Annotated[
        float | None,
        typer.Option(min=0, max=600_000, help="Milliseconds of every call, instead of those."),
    ] = None,
    expose_state: Annotated[
        bool,
        typer.Option(
            "--expose-state",
            help="Let world://state, world://changes and world://hash be read; not listed.",
        ),
    ] = False,
    backend: Backend = "uvloop",
) -> None:
    """Serve a world over stdio, or over streamable HTTP."""
    logs.configure("warning")
    try:
        world = load_world(file)
        if delay is not None:
            world = msgspec.structs.replace(world, profile=delayed(world.tools, delay))
        template = Template(world, seed=seed, rows=rows)
    except (WorldFileError, OverflowError) as error:
        stop(str(error))
    tune_gc()
    if not http:
        made = partial(serve_stdio, template, latency=latency, expose_state=expose_state)
        run(made, backend=backend)
        return
    try:
        guard = Guard.listening(host, token=os.environ.get(TOKEN) or None)
    except Unguarded as error:
        stop(f"{error}; the token is read from {TOKEN}")
    served = http_app(
        template,
        shared=sessions == "shared",
        host=host,
        latency=latency,
        expose_state=expose_state,
    )
    serve_http(served, guard, host=host, port=port)
