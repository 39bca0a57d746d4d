"""JSON Schema of world files."""

from typing import Any

from nexau.schemas import schema_of
from nexau.synth.worlds.structs import WorldForm


def world_schema() -> dict[str, Any]:
    """Draft 2020-12: keys, types and bounds. What expressions may say, the checker knows."""
    return schema_of(WorldForm, "world", "A nexau world file", closed=True)
