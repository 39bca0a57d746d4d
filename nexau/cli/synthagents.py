"""`nexau synth agents`: hierarchies of agents from a sentence and a catalog of tools."""

import importlib.util
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

import nexau
from nexau.cli.catalog import find_sources
from nexau.cli.exits import FAILED, INTERRUPTED, OK, emit, say, stop
from nexau.cli.interrupts import obey_signals
from nexau.cli.lazy import lazily
from nexau.cli.options import Backend, LogLevel
from nexau.cli.program import start
from nexau.cli.serving import WithCommand
from nexau.cli.writers import writer_model
from nexau.definitions.structs import model_from_text
from nexau.files.paths import is_file
from nexau.files.problems import AgentFileError
from nexau.synth.agents import written
from nexau.synth.agents.candidates import Options
from nexau.synth.agents.catalog import Catalog, CatalogServer, encode_catalog, moved, read_catalog
from nexau.synth.agents.collect import catalog_of, list_source, named
from nexau.synth.agents.fromworld import is_world, list_world
from nexau.synth.agents.generate import BuiltIn, Generation, Settings
from nexau.synth.agents.matching import Matcher
from nexau.synth.agents.smoke import is_local
from nexau.synth.agents.store import SCHEMA, RunFile, Store
from nexau.synth.agents.toolgraph import ToolGraph
from nexau.synth.agents.topologies import MAX_AGENTS
from nexau.synth.agents.worker import Assignment
from nexau.synth.lineage import content_id

EPILOG = """
**--tools** takes a world, a catalog that `nexau synth catalog` wrote, an agent file for all of its
servers, `FILE:NAME` for one, or a URL; it can be repeated. A server's command comes after `--`.

**Examples**

`nexau synth agents "Customer support that pays refunds" --tools agent.yaml --n 50 --out agents`

`nexau synth agents "Tidy up a repository" --tools tools.yaml --n 1000 --smoke none --workers 2`

`nexau rollout agents/agents/00000-order_lead.yaml agents/smoke/00000-order_lead.jsonl`

stdout gets one line of JSON for each hierarchy. A run that was interrupted goes on when the same
command is given again; a larger `--n` adds to it.

**Exit codes.** 0 done · 1 a server could not be reached · 2 wrong input, or too few hierarchies can
be made of these tools · 130 interrupted
"""

SAMPLE = 10
"""Hierarchies tried on servers that are not local, unless told otherwise."""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


class Request(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    tools: tuple[str, ...]
    command: list[str] | None
    options: Options
    n: int
    out: Path
    model: Any
    smoke: str
    workers: int
    matching: str
    writer: nexau.OpenAIModel | None


@app.command(cls=WithCommand, epilog=EPILOG)
def agents(
    ctx: typer.Context,
    specification: Annotated[str, typer.Argument(metavar="SPEC", help="What they are for.")],
    tools: Annotated[
        list[str] | None,
        typer.Option("--tools", metavar="WORLD|CATALOG|SERVER", help="Where tools come from."),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="How many hierarchies.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where they are written.")] = "agents",
    complexity: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="0 for one agent or few, 1 for 30 on 5 levels; else mixed."
        ),
    ] = None,
    most: Annotated[
        int, typer.Option(min=1, max=MAX_AGENTS, help="Agents in one hierarchy.")
    ] = MAX_AGENTS,
    distractors: Annotated[
        float,
        typer.Option(min=0, max=2, help="Tools not needed, as a share of those that are."),
    ] = 0.2,
    model: Annotated[
        str, typer.Option(help="The model of the agents, as in an agent file.")
    ] = "plan",
    smoke: Annotated[
        str,
        typer.Option(
            metavar="all|none|N",
            help="Tried on their servers before they are accepted: all, if the servers are local.",
        ),
    ] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes that make candidates.")] = 1,
    matching: Annotated[
        Literal["lexical", "embeddings"],
        typer.Option(help="How tools are found without a model; embeddings need the extra."),
    ] = "lexical",
    writer: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL|AGENT",
            help="A model that matches tools and writes names and prompts: openai:NAME, or an agent"
            " file, whose model it is. Without it a grammar writes them.",
        ),
    ] = None,
    log_level: LogLevel = "warning",
    backend: Backend = "uvloop",
) -> None:
    """Make hierarchies of agents that work with given tools."""
    command = ctx.meta.get("command")
    if not specification.strip():
        stop("SPEC is empty: say in a sentence what the agents are for")
    if not tools and not command:
        stop("--tools: name a catalog or a server, or give its command after --")
    if model_from_text(model) is None or model.startswith(("script:", "replay:")):
        stop(f"--model: expected plan or openai:NAME, got {model!r}")
    if smoke not in {"", "all", "none"} and not smoke.isdecimal():
        stop(f"--smoke: expected all, none or a number, got {smoke!r}")
    options = Options(specification.strip(), seed, complexity, distractors, most)
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        stop(f"--out: {out} is no folder")
    if writer is not None and workers > 1:
        stop("--workers is for the grammar; a model's answers are waited for side by side")
    request = Request(
        tuple(tools or ()), command, options, n, folder, model, smoke, workers, matching,
        writer_model("--writer", writer),
    )  # fmt: skip
    start(partial(_agents, request), backend=backend, log_level=log_level)


async def _agents(request: Request) -> int:
    code = INTERRUPTED
    async with obey_signals(grace=0):
        code = await _generate(request)
    return code  # noqa: RET504 - a signal may end the block early


async def _generate(request: Request) -> int:
    catalog = await gather(request.tools, request.command, request.out)
    if catalog is None:
        return FAILED
    if not catalog.tools:
        raise nexau.DefinitionError("the servers have no tools")
    # How servers are started depends on where the folder lies; what they offer does not.
    versions = {name: [each.name, each.version] for name, each in catalog.servers.items()}
    identity = content_id("catalog", {"servers": versions, "tools": catalog.tools})
    options = request.options
    embedder = _embedder() if request.matching == "embeddings" else None
    matcher = Matcher(ToolGraph(catalog.tools).facts, embedder)
    ranked = tuple(match.tool for match in matcher.rank(options.specification))
    limit, smoke = _smoke(request.smoke, catalog)
    writer = request.writer
    matching = request.matching if writer is None else f"model {writer.name}"
    run = RunFile(SCHEMA, options.specification, options.seed, options.complexity,
                  options.distractors, options.most, request.model,
                  "grammar" if writer is None else f"model {writer.name}", matching,
                  smoke, identity)  # fmt: skip
    store = Store(request.out)
    store.open(run, encode_catalog(catalog, json=True))
    parents = (content_id("specification", options.specification), identity)
    work = Assignment(str(request.out), options, ranked, request.model, parents)
    generation = Generation(store, Settings(request.n, limit), request.model)
    if writer is None:
        count = await _tell(generation.run(BuiltIn(work, request.workers)))
    else:
        count = await _by_model(work, generation, catalog, writer)
    say(f"{count:,} hierarchies in {request.out}, {len(store.rejected):,} candidates rejected")
    return OK


async def _by_model(
    work: Assignment, generation: Generation, catalog: Catalog, writer: nexau.OpenAIModel
) -> int:
    folder = generation.store.folder
    chosen, kept = folder / "matching.json", folder / "writing.jsonl"
    async with nexau.open_runtime(seed=work.options.seed) as runtime:
        if chosen.is_file():
            ranked = msgspec.json.decode(chosen.read_bytes(), type=list[int])
        else:
            spec = work.options.specification
            ranked, done = await written.match(runtime, writer, catalog, work.ranked, spec)
            written.keep(kept, done)
            chosen.write_bytes(msgspec.json.encode(ranked))
        work = msgspec.structs.replace(work, ranked=tuple(ranked))
        source = written.ByModel(work, runtime, writer, writer.name, kept)
        return await _tell(generation.run(source))


def _embedder() -> Any:
    if importlib.util.find_spec("numpy") is None:
        raise nexau.DefinitionError("sentence embeddings need numpy: pip install 'nexau[synth]'")
    return lazily("nexau.synth.agents.embeddings").open_embedder()


async def _tell(records: AsyncIterator[Any]) -> int:
    count = 0
    async for record in records:
        emit(msgspec.json.encode(record).decode())
        count += 1
    return count


def _smoke(given: str, catalog: Catalog) -> tuple[int | None, str]:
    """How many are tried, and how the run's file says it."""
    if not given:
        local = all(is_local(server.start) for server in catalog.servers.values())
        given = "all" if local else str(SAMPLE)
    return {"all": None, "none": 0}.get(given, int(given) if given.isdecimal() else 0), given


async def gather(tools: tuple[str, ...], command: list[str] | None, folder: Path) -> Catalog | None:
    """One catalog of all that was named, for `folder`; None, and said why, where a server fails."""
    catalogs = [each for each in tools if _is_catalog(Path(each))]
    worlds = [each for each in tools if each not in catalogs and is_world(Path(each))]
    rest = [each for each in tools if each not in catalogs and each not in worlds]
    sources = list(find_sources(rest, None, None)) if rest else []
    if command:
        sources += find_sources([], command, None)
    listed = [list_world(Path(each), folder) for each in worlds]
    taken = [each.source.name for each in listed]
    if len(set(taken)) < len(taken) or set(taken) & {source.name for source in sources}:
        stop(f"two of the worlds and servers have one name: {', '.join(sorted(taken))}")
    for source in named(sources):
        listed.append(await list_source(source, folder))
        if listed[-1].error:
            say(f"error: {listed[-1].error}")
            return None
    made = catalog_of(listed, {})
    for each in catalogs:
        made = _joined(made, _read(Path(each), folder), each)
    return made


def _is_catalog(path: Path) -> bool:
    if not is_file(path):
        return False
    with path.open("rb") as file:
        return b"nexau-catalog/" in file.read(2000)


def _read(path: Path, folder: Path) -> Catalog:
    try:
        found = read_catalog(path)
    except AgentFileError as error:
        stop(str(error))
    servers = {
        name: msgspec.structs.replace(each, start=moved(each.start, path.parent, folder))
        for name, each in found.servers.items()
    }
    return msgspec.structs.replace(found, servers=servers)


def _joined(one: Catalog, other: Catalog, name: str) -> Catalog:
    clash = sorted(set(one.servers) & set(other.servers))
    if clash:
        stop(f"{name}: the server {clash[0]} is named twice")
    servers: dict[str, CatalogServer] = {**one.servers, **other.servers}
    return Catalog(one.schema, servers, (*one.tools, *other.tools))
