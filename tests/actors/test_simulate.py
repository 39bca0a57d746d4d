"""The simulator: silent on the kernel as it is, loud on each of five planted bugs."""

import itertools
import subprocess
import sys
from collections import deque
from collections.abc import Callable

import pytest

from nexau.actors import _cell, _lifecycle, simulate
from nexau.actors._scheduler import Scheduler
from nexau.actors._states import RUNNING
from nexau.actors.ref import ActorRef
from nexau.actors.simulate import run_seed

SEEDS = 100


def test_the_kernel_keeps_its_promises() -> None:
    for seed in range(SEEDS):
        assert run_seed(seed).violations == (), f"seed {seed}"


def test_a_seed_replays_to_the_same_trace() -> None:
    for seed in range(20):
        one, two = run_seed(seed), run_seed(seed)
        assert one.trace == two.trace
    assert run_seed(1).digest != run_seed(2).digest


@pytest.mark.slow
def test_a_seed_replays_in_another_process() -> None:
    command = [sys.executable, "-m", "nexau.actors.simulate", "--seed", "7", "--trace"]
    runs = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)]
    assert runs[0] == runs[1] == ("\n".join(run_seed(7).trace) + "\n").encode()


def test_nothing_is_left_after_many_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate.main(["--seeds", "10"]) == 0
    assert '"actors_left": 0' in capsys.readouterr().out


def every(count: int) -> Callable[[], bool]:
    """True once in `count` times."""
    turn = itertools.count(1)
    return lambda: next(turn) % count == 0


def drop_a_wake_up(patch: pytest.MonkeyPatch) -> None:
    original, now = Scheduler.promote, every(5)

    def promote(self: Scheduler) -> None:
        if not now():
            original(self)

    patch.setattr(Scheduler, "promote", promote)


def double_resume(patch: pytest.MonkeyPatch) -> None:
    """An actor whose handler is suspended goes back on the run queue when it gets mail."""
    original, now = ActorRef._post, every(3)

    def post(self: ActorRef, item: object) -> None:
        original(self, item)
        if self._state == RUNNING and now():
            self._kind.scheduler.add(self)

    patch.setattr(ActorRef, "_post", post)


def forget_a_waiter(patch: pytest.MonkeyPatch) -> None:
    original, now = ActorRef._admit, every(3)

    def admit(self: ActorRef) -> None:
        if self._waiters and now():
            self._waiters.popleft()
        original(self)

    patch.setattr(ActorRef, "_admit", admit)


def skip_the_restart_window(patch: pytest.MonkeyPatch) -> None:
    def add_restart(stamps: deque[float], now: float, intensity: int, period: float) -> bool:
        return True

    patch.setattr(_lifecycle, "add_restart", add_restart)


def deliver_after_stop(patch: pytest.MonkeyPatch) -> None:
    original = _cell.refuse_mail

    def refuse_mail(cell: ActorRef) -> None:
        for item in cell._mail or ():
            message = getattr(item, "message", item)
            if hasattr(message, "steps"):
                cell._system._backend.spawn(cell._actor.receive, message)
        original(cell)

    patch.setattr(_lifecycle, "refuse_mail", refuse_mail)


@pytest.mark.parametrize(
    ("plant", "symptom"),
    [
        (drop_a_wake_up, ("for ever",)),
        (double_resume, ("two messages at once", "twice", "kernel error", "assertion")),
        (forget_a_waiter, ("for ever", "lost", "never heard")),
        (skip_the_restart_window, ("window",)),
        (deliver_after_stop, ("after its stop",)),
    ],
)
def test_each_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    symptom: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    for seed in range(SEEDS):
        found = " ".join(run_seed(seed).violations)
        if any(word in found for word in symptom):
            return
    pytest.fail(f"{plant.__name__} went unnoticed in {SEEDS} seeds")
