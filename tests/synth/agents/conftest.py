"""Catalogs for tests: a shop with notes beside it, and the desk, which can be started."""

from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

import nexau.cli.program
from nexau.definitions.values import StdioServer
from nexau.synth.agents.candidates import Maker, Options
from nexau.synth.agents.catalog import (
    SCHEMA,
    Catalog,
    CatalogServer,
    CatalogTool,
    write_catalog,
)
from nexau.synth.agents.collect import Source, catalog_of, list_source

ROOT = Path(__file__).parents[3]
SPEC = "Customer support that looks up orders, pays refunds and keeps notes"

SHOP = """
find_customers(query: string) reads: Customers by name.
get_customer(customer_id: string) reads: One customer.
list_orders(customer_id: string) reads: Orders of a customer.
get_order(order_id: string) reads: One order.
cancel_order(order_id: string) writes: Cancel an order.
issue_refund(order_id: string, amount: integer) writes: Pay back money for an order.
search(query: string) reads: Search the shop for {{ products }}.
"""
NOTES = """
search(query: string) reads: Search all notes.
read_note(note_id: string) reads: Read one note.
write_note(customer_id: string, text: string) writes: Write a note\u2028on a customer.
delete_note(note_id: string) writes: Delete a note.
tag[draft](note_id: string) writes: Tag a note as a draft.
"""


def tools_of(server: str, text: str) -> list[CatalogTool]:
    made = []
    for line in text.strip().split("\n"):
        name, _, rest = line.partition("(")
        inside, _, rest = rest.partition(") ")
        does, _, description = rest.partition(": ")
        given = dict(each.split(": ") for each in inside.split(", "))
        schema = {
            "type": "object",
            "properties": {key: {"type": kind} for key, kind in given.items()},
            "required": list(given),
        }
        hints = {"readOnlyHint": does == "reads"}
        made.append(CatalogTool(server, name, schema, description=description, annotations=hints))
    return made


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """Twelve tools of two servers, which both have `search`."""
    servers = {
        name: CatalogServer(StdioServer(command="{python}", args=(f"{name}.py",)), name)
        for name in ("shop", "notes")
    }
    return Catalog(SCHEMA, servers, (*tools_of("shop", SHOP), *tools_of("notes", NOTES)))


@pytest.fixture(scope="session")
def maker(catalog: Catalog) -> Maker:
    return Maker(catalog, Options(SPEC, 7))


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog file of the desk, listed from the server."""
    folder = tmp_path_factory.mktemp("desk")
    world = "../worlds/retail-returns.yaml"
    serve = ("-m", "nexau.cli.main", "world", "serve", world, "--no-latency")
    server = StdioServer(command="{python}", args=serve, reset="world_reset")
    source = Source("desk", server, ROOT / "examples" / "desk")
    listed = anyio.run(list_source, source, folder)
    path = folder / "desk.json"
    made = catalog_of([listed], {})
    # Tests put it into folders of their own: no path of it may begin where it lies.
    start = replace(made.servers["desk"].start, cwd=str(source.directory))
    desk = replace(made.servers["desk"], start=start)
    write_catalog(path, replace(made, servers={"desk": desk}))
    return path


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's process keeps its garbage collector and its logging."""
    monkeypatch.setattr(nexau.cli.program, "tune_gc", lambda: None)
    monkeypatch.setattr(nexau.cli.program.logs, "configure", lambda level: None)
