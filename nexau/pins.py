"""Files of approved tools: what a server's tools were when somebody looked at them.

    {"schema": "nexau-pins/1", "servers": {"desk": {"find_order": "sha256:..."}}}

A digest is of all that a model or this program reads of a tool (`nexau.transports.vetting.digest`).
"""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from nexau.definitions.values import DefinitionError
from nexau.files.nearest import hint
from nexau.files.paths import is_file, missing
from nexau.files.problems import clip, display

SCHEMA = "nexau-pins/1"
MAX_BYTES = 8_000_000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

Pins = dict[str, dict[str, str]]
"""Digests by tool, by server."""


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    schema: str
    servers: Pins


def read_pins(path: Path) -> Pins:
    """Raises `DefinitionError`, which names the file and the place in it."""
    where = display(path)
    if not is_file(path):
        raise DefinitionError(f"{missing(path)}; `nexau mcp pin` writes it")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise DefinitionError(f"{where} has more than {MAX_BYTES:,} bytes")
        found = msgspec.json.decode(data, type=_File)
    except OSError as error:
        raise DefinitionError(f"{where}: cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionError(f"{where}: no file of pins: {error}") from None
    if found.schema != SCHEMA:
        raise DefinitionError(f"{where}: schema: expected {SCHEMA}, got {clip(found.schema)}")
    for server, tools in found.servers.items():
        for tool, digest in tools.items():
            if not _DIGEST.fullmatch(digest):
                place = f"servers.{server}.{tool}"
                raise DefinitionError(f"{where}: {place}: expected sha256:..., got {clip(digest)}")
    return found.servers


def pins_of(path: Path, server: str) -> dict[str, str]:
    """Those of one server. Raises `DefinitionError`."""
    pins = read_pins(path)
    if server not in pins:
        near = hint(server, pins, "it has")
        raise DefinitionError(
            f"{display(path)} has no pins of the server {server!r}{near}; `nexau mcp pin` adds them"
        )
    return pins[server]


def write_pins(path: Path, pins: Mapping[str, Mapping[str, str]]) -> None:
    """Sorted, so that a change is a line of a diff. Raises OSError."""
    ordered = {server: dict(sorted(tools.items())) for server, tools in sorted(pins.items())}
    encoded = msgspec.json.encode({"schema": SCHEMA, "servers": ordered})
    path.write_bytes(msgspec.json.format(encoded, indent=2) + b"\n")
