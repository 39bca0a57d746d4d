"""pass@k and pass^k over the repeats of each task, added up as tasks are completed."""

from math import comb

from msgspec import Struct

from nexau.trajectory import Trajectory

PASSED = 1.0 - 1e-9
"""A rollout passes with the whole reward."""


Scored = tuple[str, float]
"""A task and the reward of one of its rollouts."""


class PassRates(Struct, frozen=True):
    """Means over the tasks."""

    tasks: int
    """Tasks whose repeats have all been scored."""
    reward: float
    """Mean over the scored rollouts."""
    scored: int
    pass_at: dict[str, float]
    """Chance that at least one of k rollouts passes: 1 - C(n-c,k)/C(n,k), by k (the unbiased
    estimator of Chen et al. 2021)."""
    pass_all: dict[str, float]
    """Chance that all of k rollouts pass, pass^k: C(c,k)/C(n,k) (tau-bench)."""


def pass_at(n: int, c: int, k: int) -> float:
    """At least one of `k` drawn from `n` rollouts, of which `c` passed."""
    return 1.0 - comb(n - c, k) / comb(n, k)


def pass_all(n: int, c: int, k: int) -> float:
    """All of `k` drawn from `n` rollouts, of which `c` passed."""
    return comb(c, k) / comb(n, k)


class PassTally:
    """Holds only the tasks that are not complete: their repeats run close together."""

    def __init__(self, repeat: int) -> None:
        self._repeat = repeat
        self._open: dict[str, tuple[int, int]] = {}
        self._complete = 0
        self._scored = 0
        self._reward = 0.0
        self._at = [0.0] * (repeat + 1)
        self._all = [0.0] * (repeat + 1)
        self.fresh: list[Scored] = []
        """What was added since `take`, for another process; nothing unless `remember`."""
        self.remember = False

    def add(self, trajectory: Trajectory) -> None:
        """Takes the last attempt of a rollout; those without a reward are not counted."""
        if trajectory.final and trajectory.reward is not None:
            self.score(trajectory.task, trajectory.reward)

    def score(self, task: str, reward: float) -> None:
        """One rollout of a task."""
        if self.remember:
            self.fresh.append((task, reward))
        self._scored += 1
        self._reward += reward
        n, c = self._open.pop(task, (0, 0))
        n, c = n + 1, c + (reward >= PASSED)
        if n < self._repeat:
            self._open[task] = (n, c)
            return
        self._complete += 1
        for k in range(1, self._repeat + 1):
            self._at[k] += pass_at(n, c, k)
            self._all[k] += pass_all(n, c, k)

    def rates(self) -> PassRates | None:
        """None where nothing was scored."""
        if not self._scored:
            return None
        tasks = self._complete
        ks = range(1, self._repeat + 1) if tasks else ()
        return PassRates(
            tasks,
            self._reward / self._scored,
            self._scored,
            {str(k): self._at[k] / tasks for k in ks},
            {str(k): self._all[k] / tasks for k in ks},
        )
