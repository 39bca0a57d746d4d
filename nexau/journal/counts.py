"""What a journal tells of its writing."""

from msgspec import Struct


class Counts(Struct):
    """Of what was written so far."""

    records: int = 0
    bytes: int = 0
    syncs: int = 0
    stalls: int = 0
    """Times that the disk was full."""
    not_encoded: int = 0
    """Records that cannot be JSON."""
