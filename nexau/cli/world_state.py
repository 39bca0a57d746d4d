"""`nexau world state`: a served world, looked at from outside."""

import logging
from functools import partial
from typing import Annotated, Any, Literal

import anyio
import httpx2
import typer
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from nexau.cli.exits import FAILED, emit, stop

EPILOG = """
**Examples**

`nexau world state http://127.0.0.1:8000/mcp --what changes | jq .`

The server needs `--expose-state`, and `--sessions shared`: with a state for each session, a new one
sees a new state.
"""
Url = Annotated[str, typer.Argument(metavar="URL", help="Of a served world.")]

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def state(
    url: Url,
    what: Annotated[
        Literal["state", "changes", "hash"],
        typer.Option(help="All rows, what differs from the beginning, or digests of both."),
    ] = "state",
) -> None:
    """Print the state of a served world as JSON."""
    emit(ask(url, partial(_read, url, f"world://{what}")))


async def _read(url: str, uri: str) -> str:
    async with Client(url) as client:
        contents = (await client.read_resource(uri)).contents
        return str(getattr(contents[0], "text", ""))


def ask(url: str, question: Any) -> str:
    """Ends the command where the server cannot be had, or refuses."""
    said = ""
    # The client wonders at a tool that is not listed, which the one that resets is not.
    logging.getLogger("client").setLevel(logging.ERROR)
    try:
        return str(anyio.run(question))
    except* (MCPError, httpx2.HTTPError, OSError) as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        said = str(error) or type(error).__name__
        if said.startswith("no resource world://"):
            said += "; a world shows its state when it is served with --expose-state"
    return stop(f"{url}: {said}", FAILED)
