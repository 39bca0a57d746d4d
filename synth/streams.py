"""Named random streams: the seed and a path of names decide every draw.

A generator takes a stream of its own for each thing that it makes. What it draws then depends on
the names alone, never on the order of the work, on the number of workers, or on how much another
generator drew.
"""

import hashlib
import random

Name = str | int


def seed_of(seed: int, *names: Name) -> int:
    """A number of 256 bits for the path `names` under `seed`.

    SHA-256 of each part with its type and length, so `("ab", "c")`, `("a", "bc")`, `("1",)` and
    `(1,)` all differ.
    """
    digest = hashlib.sha256()
    for part in (seed, *names):
        text = f"{type(part).__name__[0]}{part}".encode("utf-8", "surrogatepass")
        digest.update(len(text).to_bytes(8, "big"))
        digest.update(text)
    return int.from_bytes(digest.digest(), "big")


def stream(seed: int, *names: Name) -> random.Random:
    """The stream of `names`: the same draws in every process."""
    return random.Random(seed_of(seed, *names))
