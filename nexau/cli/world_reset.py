"""`nexau world reset`: a served world, made as new from outside."""

from functools import partial

import typer
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError

from nexau.cli.exits import emit
from nexau.cli.world_state import Url, ask
from nexau.synth.worlds.serve import RESET

EPILOG = """
**Example.** `nexau world reset http://127.0.0.1:8000/mcp`

For a server with `--sessions shared`; a session that has a state of its own calls the tool
`world_reset`, which is never listed.
"""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command(epilog=EPILOG)
def reset(url: Url) -> None:
    """Make the state of a served world as new."""
    emit(ask(url, partial(_reset, url)))


async def _reset(url: str) -> str:
    async with Client(url) as client:
        result = await client.call_tool(RESET)
        if result.is_error:
            raise MCPError(0, "this server is no world")
        return '{"reset":true}'
