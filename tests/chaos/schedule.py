"""What goes wrong in a trial, and when: drawn from its seed."""

import random
from typing import Literal

from msgspec import Struct

Kind = Literal[
    "kill run",
    "kill server",
    "kill model",
    "kill lookup",
    "stop run",
    "stop server",
    "stop model",
    "half-open",
    "reset",
    "slow",
    "garbage",
    "truncate",
    "gigantic",
    "refuse",
    "frames: garbage",
    "frames: truncated",
    "frames: gigantic",
    "dns",
    "tls: expired",
    "tls: wrong name",
    "tls: unknown issuer",
    "tls: none spoken",
    "clock",
    "full disk",
    "terminate",
    "interrupt",
]
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]
TLS = tuple(kind for kind in KINDS if kind.startswith("tls"))
PLAIN = tuple(kind for kind in KINDS if kind not in TLS)
Endpoints = Literal["plain", "TLS", "with a name that is unknown", "with one that has no TLS"]


class Fault(Struct, frozen=True):
    at: float
    """Seconds after the run was started."""
    kind: Kind
    seconds: float
    """For which it lasts, where it lasts."""
    on: Literal["model", "lookup"]
    """Whose connections, for those that are of connections."""


class Life(Struct, frozen=True):
    """One process of the run."""

    faults: tuple[Fault, ...]
    closes_stdout_at: int | None
    """Bytes after which nobody reads."""
    spoils: Literal["", "tear", "flip"]
    """What happens to a file of the run after its death."""


class Schedule(Struct, frozen=True):
    seed: int
    lives: tuple[Life, ...]
    tasks: int
    repeat: int
    retries: int
    concurrency: int
    workers: int
    flush: float
    fsync: float
    endpoints: Endpoints
    """Of the model."""
    disk: Literal["injected", "tmpfs"]
    """How it is made full: by faults in the calls that write, or as a small file system, where the
    harness may mount one."""
    emit: Literal["trajectories", "steps", "events"]


def draw(seed: int) -> Schedule:
    chance = random.Random(seed)
    endpoints: Endpoints = chance.choice(
        ("plain", "plain", "TLS", "TLS", "with a name that is unknown", "with one that has no TLS")
    )
    kinds = (*PLAIN, *TLS * 2) if endpoints == "TLS" else PLAIN
    lives = tuple(_life(chance, kinds) for _ in range(chance.randint(1, 3)))
    return Schedule(
        seed=seed,
        lives=lives,
        tasks=chance.randint(3, 7),
        repeat=chance.choice((1, 1, 2)),
        retries=chance.choice((0, 2)),
        concurrency=chance.choice((1, 2, 4)),
        workers=chance.choice((1, 1, 1, 1, 1, 1, 1, 2)),
        flush=chance.choice((0.0, 0.02, 0.2)),
        fsync=chance.choice((-1.0, 0.0, 0.1)),
        endpoints=endpoints,
        disk=chance.choice(("injected", "tmpfs")),
        emit=chance.choice(("trajectories", "trajectories", "trajectories", "steps", "events")),
    )


def _life(chance: random.Random, kinds: tuple[Kind, ...]) -> Life:
    faults = [_fault(chance, kinds) for _ in range(chance.randint(0, 3))]
    if chance.random() < 0.7:
        faults.append(Fault(chance.uniform(0.05, 1.2), "kill run", 0.0, "model"))
    faults.sort(key=lambda fault: fault.at)
    return Life(
        tuple(faults),
        chance.randint(0, 20_000) if chance.random() < 0.15 else None,
        chance.choice(("", "", "", "tear", "flip")),
    )


def _fault(chance: random.Random, kinds: tuple[Kind, ...]) -> Fault:
    return Fault(
        chance.uniform(0.05, 1.0),
        chance.choice(kinds),
        chance.uniform(0.05, 0.5),
        chance.choice(("model", "lookup")),
    )
