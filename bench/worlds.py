"""What worlds cost: copies of a state, calls, candidates of the built-in generator.

    python -m bench.worlds                     copies, calls, candidates
    python -m bench.worlds --structures 1000   how many of so many seeds differ in structure

Prints a JSON line for each figure; CPU time of this process, in the best of some rounds.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nexau.cli.program import tune_gc
from nexau.synth.worlds.compose import compose
from nexau.synth.worlds.drafts import Request, draft
from nexau.synth.worlds.engine import call
from nexau.synth.worlds.fingerprint import structure
from nexau.synth.worlds.reader import load_world, world_of_value
from nexau.synth.worlds.seeding import rows_of
from nexau.synth.worlds.state import Template

WORLD = Path(__file__).resolve().parent.parent / "examples" / "worlds" / "retail-returns.yaml"
ROUNDS = 5


def best(work: Callable[[], object], times: int) -> float:
    """Seconds of CPU for one, in the best round."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - began) / times)
    return min(rounds)


def say(question: str, **figures: Any) -> None:
    print(json.dumps({"question": question, **figures}), flush=True)


def copies() -> None:
    world = load_world(WORLD)
    for rows in (3_500, 10_000, 100_000):
        began = time.process_time()
        template = Template(world, rows=rows)
        seeded = time.process_time() - began
        state = template.state()
        count = rows_of(state.db, world)
        state.close()
        seconds = best(lambda made=template: made.state().close(), 10)  # type: ignore[misc]
        say("copy of a state", rows=count, ms=round(seconds * 1e3, 3), seed_s=round(seeded, 2))
        template.close()


def calls() -> None:
    state = Template(load_world(WORLD)).state()
    asked: list[tuple[str, dict[str, Any]]] = [
        ("get_customer", {"customer_id": "C-1001"}),
        ("get_order", {"order_id": "O-20003"}),
        ("find_customers", {"query": "ada"}),
        ("spending", {"customer_id": "C-1022"}),
        ("issue_refund", {"order_id": "O-20003", "customer_id": "C-1", "amount": 5,
                          "reason": "damaged"}),
        ("open_ticket", {"customer_id": "C-1001", "subject": "x"}),
    ]  # fmt: skip
    for name, arguments in asked:
        seconds = best(lambda n=name, a=arguments: call(state, n, a), 200)  # type: ignore[misc]
        say("a call without a server", tool=name, us=round(seconds * 1e6, 1))
    state.close()


def candidates(count: int) -> None:
    """Accepted worlds a second, with all that is tried."""
    accepted = 0
    tune_gc()  # as the command does
    began = time.process_time()
    for index in range(count):
        made = draft(Request("", 7), index)
        accepted += not made.reasons
    seconds = time.process_time() - began
    say("worlds a second a core", candidates=count, accepted=accepted,
        per_second=round(accepted / seconds, 1))  # fmt: skip


def structures(seeds: int) -> None:
    """One world of each seed: how many structures."""
    found: set[str] = set()
    tools: set[int] = set()
    for seed in range(seeds):
        world, problems = world_of_value(compose("", seed, 0))
        assert world is not None, problems
        found.add(structure(world))
        tools.add(len(world.tools))
    say("structures", seeds=seeds, different=len(found), tools=[min(tools), max(tools)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--structures", type=int, default=0, metavar="SEEDS")
    parser.add_argument("--candidates", type=int, default=200)
    options = parser.parse_args()
    if options.structures:
        structures(options.structures)
        return
    copies()
    calls()
    candidates(options.candidates)


if __name__ == "__main__":
    main()
