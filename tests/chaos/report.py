"""What came of a trial, and of many."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field


class Report(Struct):
    """What came of a trial."""

    seed: int
    problems: list[str] = []
    kinds: Counter[str] = field(default_factory=Counter)
    """Faults that struck."""
    lives: int = 0
    rollouts: int = 0
    resumed: int = 0
    restarted: int = 0
    paid: int = 0
    """Turns that the model gave."""
    twice: int = 0
    """Of these, for a turn that it had given before."""
    unresolved: int = 0
    """Times that a name did not resolve."""
    handshakes: int = 0
    """Of TLS, that failed."""
    endings: int = 0
    """Processes of runs that ended by themselves, whose descriptors were looked at."""
    servers: int = 0
    """Times that the descriptors of a server were looked at."""
    seconds: float = 0.0
    err: str = ""


def table(reports: Sequence[Report]) -> dict[str, Any]:
    kinds: Counter[str] = Counter()
    for report in reports:
        kinds.update(report.kinds)

    def total(name: str) -> int:
        return sum(getattr(report, name) for report in reports)

    return {
        "schedules": len(reports),
        "broken": sum(bool(report.problems) for report in reports),
        "processes of runs": total("lives"),
        "rollouts": total("rollouts"),
        "resumed": total("resumed"),
        "restarted": total("restarted"),
        "model turns": total("paid"),
        "of these paid for again": sum(max(0, report.twice) for report in reports),
        "names that did not resolve": total("unresolved"),
        "TLS handshakes that failed": total("handshakes"),
        "descriptors looked at": {"at the end of runs": total("endings"),
                                  "of servers": total("servers")},
        "faults": sum(kinds.values()),
        "by kind": dict(sorted(kinds.items())),
    }  # fmt: skip
