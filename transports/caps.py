"""How much of a server, which nobody trusts, is put up with."""

from msgspec import Struct


class Caps(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on what an MCP server may send. Whatever is above them is refused, never fatal to
    anything but this server."""

    tools: int = 1_000
    """That it may list; with more, it is not used at all."""
    listing_bytes: int = 8_000_000
    """Of names, descriptions and schemas together; with more, it is not used at all."""
    description_bytes: int = 65_536
    """Of one tool; one with more is left out."""
    schema_bytes: int = 262_144
    """Of one schema, as JSON; a tool with a larger one is left out."""
    nesting: int = 64
    """Levels of structured content."""
    unasked: int = 20_000
    """Messages within 10 s that answer nothing: notifications, progress, requests, garbage. With
    more, the connection is closed."""
    any_names: bool = False
    """Whether names of tools may have characters other than A-Z a-z 0-9 _ - . / and :, as long as
    they can be seen."""
