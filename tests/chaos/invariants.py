"""What must hold of a run that has ended, whatever befell it."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nexau.journal.overview import state_of, trajectories_of, verify
from tests.chaos.report import Report
from tests.chaos.schedule import Schedule


def broken(
    run: Path, schedule: Schedule, shown: Sequence[bytes], model_log: Path, report: Report
) -> Iterator[str]:
    """What does not hold. `shown`: the whole lines that any life put out. Counts go to `report`."""
    state, verdict = state_of(run), verify(run)
    if state.state != "complete":
        yield f"the run is {state.state}: {state.unfinished} unfinished"
    for problem in verdict.problems:
        yield f"verify: {problem}"
    kept: dict[bytes, Any] = {line: json.loads(line) for line in trajectories_of(run)}
    final = [each for each in kept.values() if each.get("final", True)]
    ids = Counter((each["task"], each.get("repeat", 0)) for each in final)
    wanted = {(f"t{i}", repeat) for i in range(schedule.tasks) for repeat in range(schedule.repeat)}
    if set(ids) != wanted or max(ids.values(), default=1) > 1:
        yield f"not one final trajectory for each rollout: {ids}"
    # A bit that was flipped, and what was not synced, may have cost a line that had been shown.
    spoilt = any(life.spoils for life in schedule.lives)
    for line in shown:
        yield from _line(line, kept, spoilt=spoilt)
    for each in final:
        yield from _ledger(each)
    notes = [note for each in final for note in each.get("notes", ())]
    report.rollouts = len(final)
    report.resumed = sum(note.startswith("resumed") for note in notes)
    report.restarted = sum(note.startswith("restarted") for note in notes)
    served = Counter(model_log.read_text().splitlines())
    report.paid = sum(served.values())
    report.twice = report.paid - len(served) * schedule.repeat


def _line(line: bytes, kept: dict[bytes, Any], *, spoilt: bool) -> Iterator[str]:
    try:
        shown = json.loads(line)
    except ValueError:
        yield f"a line of stdout is not JSON: {line[:80]!r}"
        return
    if shown["type"] != "trajectory" or shown["status"] == "cancelled":
        return
    if line not in kept and not spoilt:
        yield f"{shown['id']} was shown and is not kept"


def _ledger(trajectory: Any) -> Iterator[str]:
    """Counts go up by one for each entry, unless nobody knows whether one was made."""
    count = entries = 0
    for step in trajectory["steps"]:
        for call, result in zip(step.get("calls", ()), step.get("results", ()), strict=True):
            if call["name"] != "append":
                continue
            if result.get("is_error"):
                return
            entries += 1
            # Steps of agents at the same time are not in the order of their calls.
            count = max(count, int(result["content"][0]["text"].split()[0]))
    if count != entries:
        yield f"{trajectory['id']}: {entries} entries were made, the ledger has {count}"
