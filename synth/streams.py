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
    texts = [
        f"{type(part).__name__[0]}{part}".encode("utf-8", "surrogatepass")
        for part in (seed, *names)
    ]
    path = b"".join([len(text).to_bytes(8, "big") + text for text in texts])
    return int.from_bytes(hashlib.sha256(path).digest(), "big")


def stream(seed: int, *names: Name) -> random.Random:
    """The stream of `names`: the same draws in every process."""
    return random.Random(seed_of(seed, *names))
