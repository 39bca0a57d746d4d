"""Latencies of real servers, from the profiles of examples/profiles."""

from pathlib import Path

from bench.cases import Case
from nexau.latency.profiles import read_profile

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "profiles"


def recorded(case: Case) -> list[float]:
    """Quantiles in seconds, at equal steps, of the tool that the case names, with one call in
    flight, scaled to the case's median where it has one.
    """
    file, _, tool = case.profile.rpartition(":")
    (found,) = [each for each in read_profile(FOLDER / file).tools if each.name == tool]
    seconds = [ms / 1000 for ms in found.levels[0].ms]
    if not case.median:
        return seconds
    scale = case.median / seconds[len(seconds) // 2]
    return [scale * each for each in seconds]
