"""What can be wrong with a server of an agent file, beyond the types of its keys."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nexau.definitions.values import DefinitionError, HttpServer, Latency, Server
from nexau.files.forms import INVALID
from nexau.files.nearest import hint
from nexau.files.paths import is_dir, siblings
from nexau.files.placeholders import faults
from nexau.files.problems import clip, display
from nexau.latency.profiles import read_profile
from nexau.pins import pins_of
from nexau.transports.confinement import Confinement

Fault = tuple[tuple[str | int, ...], str]
"""Steps from the server to the key, and a message."""

_OF_A_COMMAND: tuple[tuple[str, object], ...] = (
    ("args", ()),
    ("env", {}),
    ("cwd", None),
    ("confine", Confinement()),
)
_URL = re.compile(r"https?://[^/\s]+\S*")


def check_server(
    name: str, server: Server, directory: Path, environ: Mapping[str, str] | None
) -> Iterator[Fault]:
    yield from _check_pool(server)
    if server.cwd is not None:
        path = directory / server.cwd
        if not is_dir(path):
            near = hint(path.name, siblings(path), "there are")
            yield ("cwd",), f"no directory {display(path)}{near}"
    for key, text in server.env.items():
        for message in check_placeholders(text, environ):
            yield ("env", key), message
    if server.pins:
        try:
            pins_of(directory / server.pins, name)
        except DefinitionError as error:
            yield ("pins",), str(error)
    if server.latency is not None:
        yield from _check_latency(server.latency, directory)
    if isinstance(server, HttpServer):
        yield from _check_http(server, environ)


def _check_pool(server: Server) -> Iterator[Fault]:
    pool = server.pool
    for key in ("min", "spares"):
        if pool.max is not None and getattr(pool, key) > pool.max:
            yield ("pool", key), f"{key} is greater than max"
    if pool.spares and server.sessions == "shared":
        one = "spares are for sessions: rollout; a shared server has one session"
        yield ("pool", "spares"), one


def _check_latency(latency: str | Latency, directory: Path) -> Iterator[Fault]:
    steps: tuple[str, ...] = ("latency",)
    if isinstance(latency, str):
        latency = Latency(latency)
    else:
        steps = ("latency", "profile")
    if not latency.profile:
        return
    try:
        profile = read_profile(directory / latency.profile)
    except DefinitionError as error:
        yield steps, str(error)
        return
    names = [tool.name for tool in profile.tools]
    if latency.tool is not None and latency.tool not in names:
        near = hint(latency.tool, names, "it has")
        yield ("latency", "tool"), f"the profile has no tool {clip(latency.tool)}{near}"


def _check_http(server: HttpServer, environ: Mapping[str, str] | None) -> Iterator[Fault]:
    for key, text in server.headers.items():
        for message in check_placeholders(text, environ):
            yield ("headers", key), message
    for message in check_placeholders(server.url, environ):
        yield ("url",), message
    if server.url and not server.url.startswith("${") and not _URL.fullmatch(server.url):
        yield ("url",), f"expected http://... or https://..., got {clip(server.url)}"
    if server.command is None:
        for key, default in _OF_A_COMMAND:
            if getattr(server, key) != default:
                yield (key,), f"{key} is for a server with a command"
        if "{port}" in server.url:
            yield ("url",), "{port} is for a server with a command"
    elif "{port}" in server.url and not any(
        "{port}" in arg for arg in server.args if arg is not INVALID
    ):
        yield ("args",), "the url has {port}, but no item of args tells the server which it is"


def check_placeholders(text: object, environ: Mapping[str, str] | None) -> Iterator[str]:
    if isinstance(text, str):
        yield from faults(text, environ)


def check_patterns(patterns: Sequence[object]) -> Iterator[tuple[int, str]]:
    """Index and message of what no shell pattern for tool names should be."""
    for index, pattern in enumerate(patterns):
        if not isinstance(pattern, str):
            continue
        outside = re.sub(r"\[!?[^]]+\]", "", pattern)
        if not pattern:
            yield index, "an empty pattern"
        elif "[" in outside:
            yield index, f"{clip(pattern)}: a [ without its ]"
        elif re.search(r"[\s^$()|\\{}+]|\.\*", outside):
            yield (
                index,
                (
                    f"{clip(pattern)} is no shell pattern for names of tools: * stands for text,"
                    " ? for one character, [a-z] for one of a range"
                ),
            )
