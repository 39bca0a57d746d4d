"""Runs that are killed at any moment and gone on with: exactly once, and paid for once."""

import random
from typing import Any

import pytest
from trio.testing import MockClock

from nexau.journal.durability import Durability
from nexau.journal.testing import MemoryFiles
from tests.journal.played import Played, outline

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def lived(played: Played, kills: int) -> None:
    """Kills it so many times, then lets it end."""
    for _ in range(kills):
        played.files.restart()
        await played.process(kill_after=0.3 + played.chance.random() * 1.5)
    played.files.restart()
    assert await played.process()


def final(played: Played) -> dict[str, Any]:
    whole = [each for each in played.trajectories() if each.final]
    assert len({each.id.split("/")[0] + f"/{each.repeat}" for each in whole}) == len(whole)
    return {outline(each)[0]: outline(each) for each in played.trajectories()}


@pytest.mark.parametrize("seed", range(12))
async def test_a_killed_run_ends_as_one_that_was_not(seed: int) -> None:
    options = {"repeat": 2, "retries": seed % 3, "tasks": 5}
    whole = Played(seed, MemoryFiles(), **options)
    await lived(whole, 0)
    cut = Played(seed, MemoryFiles(), **options)
    cut.files.tear = random.Random(seed)
    await lived(cut, 3)
    assert final(cut) == final(whole)
    assert len(cut.state().ended) == 10
    assert cut.state().open_places() == []
    assert not cut.repairs or all("cut" in each for each in cut.repairs)


@pytest.mark.parametrize("seed", range(6))
async def test_with_flush_0_nothing_is_paid_for_twice(seed: int) -> None:
    played = Played(seed, MemoryFiles(), durability=Durability(flush=0.0), tasks=6)
    await lived(played, 3)
    notes = [note for each in played.trajectories() for note in each.notes]
    assert any("resumed after" in note for note in notes)
    assert set(played.world.answered.values()) == {1}
    assert set(played.world.returned.values()) <= {1}


@pytest.mark.parametrize("seed", range(6))
async def test_with_group_commit_only_the_last_moments_are_paid_for_twice(seed: int) -> None:
    played = Played(seed, MemoryFiles(), durability=Durability(flush=0.02), tasks=6)
    await lived(played, 3)
    twice = sum(count - 1 for count in played.world.answered.values())
    # Turns take 0.15 s in the mean: of 4 rollouts some may end within 0.02 s of one of 3 kills.
    assert twice < sum(played.world.answered.values()) / 4


@pytest.mark.parametrize("seed", range(6))
async def test_a_sink_sees_nothing_that_the_directory_lacks(seed: int) -> None:
    played = Played(seed, MemoryFiles(), tasks=8)
    await lived(played, 4)
    kept = {outline(each)[0] for each in played.trajectories()}
    shown = [each.id for each in played.sunk if each.status != "cancelled"]
    assert set(shown) <= kept
    assert len(shown) == len(set(shown))
