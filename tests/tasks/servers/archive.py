"""An outside MCP server of the official SDK: books by id, a clock, and tools that change things.

Every call is written to the file that the first argument names.
"""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, TextContent, ToolAnnotations

LOG = Path(sys.argv[1])
READS = ToolAnnotations(read_only_hint=True)
BOOKS = [
    {"book_id": f"BK-{100 + i}", "title": title, "pages": 120 + 37 * i, "shelf": "ABCD"[i % 4]}
    for i, title in enumerate(
        ("Salt Roads", "The Glass Coast", "Tin Weather", "Low Tides", "Bright Iron", "Fen Lights")
    )
]
server = MCPServer("archive", log_level="WARNING")
ticks = itertools.count()


def log(name: str) -> None:
    with LOG.open("a") as lines:
        lines.write(f"{name}\n")


@server.tool(annotations=READS)
def list_books(shelf: str | None = None) -> dict[str, Any]:
    """All books, or those of one shelf."""
    log("list_books")
    return {"rows": [book for book in BOOKS if shelf in (None, book["shelf"])]}


@server.tool(annotations=READS, structured_output=False)
def get_book(book_id: str) -> Any:
    """What is on record about one book."""
    log("get_book")
    found = next((book for book in BOOKS if book["book_id"] == book_id), None)
    if found is None:
        # Raised, it would be logged with a traceback, which takes the SDK half a second.
        return CallToolResult(content=[TextContent(type="text", text="unknown")], is_error=True)
    more = {"loans": int(book_id[-1]) * 3 + 1, "acquired_on": f"2024-05-1{book_id[-1]}"}
    return json.dumps({**found, **more})


@server.tool(annotations=READS)
def tick() -> dict[str, int]:
    """Another number each time."""
    log("tick")
    return {"number": next(ticks)}


@server.tool()
def stamp(text: str) -> str:
    """Puts a stamp on a text."""
    log("stamp")
    return f"Stamped {len(text)} letters: {text}"


@server.tool()
def burn(book_id: str) -> str:
    """Destroys a book."""
    log("burn")
    return "burnt"


if __name__ == "__main__":
    server.run("stdio")
