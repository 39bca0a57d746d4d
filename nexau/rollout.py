"""One rollout at a time: a slot takes a task, runs its agent, and seals the trajectory."""

import time
from collections.abc import Awaitable
from functools import partial
from typing import Protocol

import anyio

from nexau.actors import Actor, ActorRef, Background
from nexau.agent import AgentActor
from nexau.attempt import Attempt, Judged, derive_seed, seal
from nexau.boundary import describe, guarded
from nexau.budget import Budget
from nexau.definitions.values import DefinitionError, Task
from nexau.journal.keeper import Journal
from nexau.journal.past import Past
from nexau.journal.recording import JournalRecorder, ResumedRecorder
from nexau.journal.records import Cut
from nexau.journal.reissue import Diverged, reissue
from nexau.prepare import Prepared
from nexau.recorder import Recorder
from nexau.scope import Scope
from nexau.scoring.judging import JUDGE_SECONDS, UNGRADED, Ended, Grading, Held, Judge
from nexau.scoring.nextstate import with_signals
from nexau.scoring.users import user_of
from nexau.servers import ToolsUnavailable
from nexau.tasks.assignments import Assignment
from nexau.trajectory import (
    Event,
    Finished,
    RolloutError,
    Score,
    Status,
    Step,
    Trajectory,
)
from nexau.transports.protocol import NO_USAGE, Call, Result

SETTLE_SECONDS = 40.0
"""For which the end of a rollout waits for slow listeners and for sessions to reset or close."""


Performed = Result | RolloutError | Diverged | None
"""The root agent's result, or what went wrong."""


class Host(Protocol):
    """What a slot needs of its run."""

    prepared: Prepared
    seed: int
    retries: int
    wants_events: bool
    wants_steps: bool
    journal: Journal | None
    running: "set[Slot]"
    cancelled: bool
    grading: Grading

    async def next(self) -> Assignment | None: ...

    async def deliver(self, item: Event | Step) -> None: ...

    async def sealed(self, trajectory: Trajectory, place: int) -> None: ...

    def slot_done(self) -> None: ...


class Slot(Actor):
    """Runs rollouts, one after the other, until there is no task left."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._task: Background | None = None
        self._cut = False
        self._open: Attempt | None = None
        """The attempt under way, or one that was cut off."""

    async def started(self) -> None:
        self._task = self.context.start_soon(self._work, name="work")

    def cut(self) -> None:
        """Cancels the attempt under way; it is sealed as cancelled."""
        self._cut = True
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        over = True
        try:
            await self._rollouts()
        except anyio.get_cancelled_exc_class():
            if self._cut:
                # A scope for each attempt would take 1.2 KB and 5 us of it. So the whole task is
                # cancelled, and another one seals what it leaves.
                self._cut = over = False
                self._task = self.context.start_soon(self._work, name="work")
            raise
        finally:
            if over:
                self.host.slot_done()

    async def _rollouts(self) -> None:
        host, cut_off = self.host, self._open
        if cut_off is not None:
            await host.sealed(await self._seal(cut_off, cancelled=True), cut_off.assignment.place)
        while (assignment := await host.next()) is not None:
            first = assignment.attempt
            for number in range(first, max(host.retries, first) + 1):
                trajectory = await self._attempt(assignment, number)
                await host.sealed(trajectory, assignment.place)
                if trajectory.final:
                    break

    def _attempt(self, assignment: Assignment, number: int) -> Awaitable[Trajectory]:
        """One attempt, sealed whatever happens.

        Not `async`, like others here that end in an await: each coroutine on a rollout's stack
        takes 250 to 350 bytes as long as it waits.
        """
        if number != assignment.attempt:
            return self._once(assignment, number, None, ())
        if not assignment.events:
            return self._once(assignment, number, None, assignment.notes)
        return self._resumed(assignment, number, Past(assignment.events))

    async def _resumed(self, assignment: Assignment, number: int, past: Past) -> Trajectory:
        notes = (*assignment.notes, f"resumed after {past.turns} model turns")
        try:
            return await self._once(assignment, number, past, notes)
        except Diverged as error:
            journal = self.host.journal
            assert journal is not None
            notes += (f"restarted: {error}",)
            journal.keep(Cut(assignment.place, number, 0, time.time(), notes[-1]))
            return await self._once(assignment, number, None, notes)

    async def _once(
        self, assignment: Assignment, number: int, past: Past | None, notes: tuple[str, ...]
    ) -> Trajectory:
        """Raises `Diverged` where servers cannot be brought back to where the past left them."""
        host = self.host
        attempt = self._open = Attempt(
            assignment, number, self._scope(assignment, number, past), past, notes, host.prepared
        )
        if host.cancelled:
            return await self._seal(attempt, cancelled=True)
        host.running.add(self)
        try:
            outcome = await self._perform(attempt)
            attempt.outcome = None if isinstance(outcome, Result) else outcome
        finally:
            host.running.discard(self)
        if self._cut:  # too late: it has ended by itself
            await anyio.lowlevel.checkpoint()
        return await self._seal(attempt, cancelled=False)

    def _scope(self, assignment: Assignment, number: int, past: Past | None) -> Scope:
        host, task = self.host, assignment.task
        seed = derive_seed(host.seed, task.id, assignment.repeat)
        recorder = self._recorder(assignment, number, past)
        deliver = host.deliver if host.wants_events or host.wants_steps else None
        user = self._user(task, seed)
        return Scope(task, seed, recorder, {}, deliver, user, host.journal, past)

    async def _seal(self, attempt: Attempt, *, cancelled: bool) -> Trajectory:
        """Scores it, gives its sessions back. Raises `Diverged` where that is the outcome."""
        host, scope, outcome = self.host, attempt.scope, attempt.outcome
        self._open = None
        recorder, user = scope.recorder, scope.user
        seconds = time.perf_counter() - attempt.began
        if cancelled and isinstance(outcome, Diverged):
            outcome = None
        ended: Finished | None = None
        if not isinstance(outcome, Diverged):
            ended = self._end(scope, outcome, cancelled=cancelled)
        judged = Judged(tuple(recorder.steps))
        if recorder.pending or scope.sessions or user is not None or host.grading is not UNGRADED:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + SETTLE_SECONDS):
                await scope.flush()
                if host.grading is not UNGRADED and ended is not None:
                    judged = await self._judge(attempt, ended)
                await self._release(attempt)
                if user is not None:
                    await user.stop()
        if isinstance(outcome, Diverged):
            raise outcome
        assert ended is not None
        # What is interrupted in a run that is kept can be gone on with.
        interrupted = ended.status == "cancelled" and host.journal is not None
        final = ended.status != "failed" or attempt.number >= host.retries or host.cancelled
        final = final and not interrupted
        return seal(attempt, ended, judged, seconds=seconds, final=final)

    def _perform(self, attempt: Attempt) -> Awaitable[Performed]:
        """Sessions, then the agent; only what its judge needs where the attempt had ended."""
        named = attempt.prepared.servers or attempt.assignment.task.servers
        if attempt.past is None and not named:
            return self._play(attempt)
        return self._perform_with_sessions(attempt)

    async def _perform_with_sessions(self, attempt: Attempt) -> Performed:
        scope, past, task = attempt.scope, attempt.past, attempt.assignment.task
        ended = scope.recorder.ended is not None
        if ended and self.host.grading is UNGRADED:
            return None
        if task.servers:
            try:
                attempt.prepared = attempt.prepared.narrowed(task.servers)
            except DefinitionError as fault:
                return RolloutError("tools", f"servers of the task: {fault}")
        began = time.perf_counter()
        error = await self._acquire(attempt) if attempt.prepared.servers else None
        scope.queued = time.perf_counter() - began
        if error is not None:
            return error
        if past is not None:
            try:
                await reissue(attempt.prepared, scope.sessions, past)
            except Diverged as diverged:
                return diverged
        return None if ended else await self._play(attempt)

    def _recorder(self, assignment: Assignment, attempt: int, past: Past | None) -> Recorder:
        host, journal = self.host, self.host.journal
        rollout = f"{assignment.task.id}/{assignment.repeat}" + (f"/{attempt}" if attempt else "")
        events, steps = host.wants_events, host.wants_steps
        if journal is None:
            return Recorder(rollout, wants_events=events, wants_steps=steps)
        place = assignment.place
        if past is None:
            return JournalRecorder(
                rollout, journal, place, attempt, wants_events=events, wants_steps=steps
            )
        return ResumedRecorder(
            rollout, journal, place, attempt, past, wants_events=events, wants_steps=steps
        )

    def _user(self, task: Task, seed: int) -> ActorRef | None:
        if task.user is None:
            return None
        return self.context.spawn(user_of(task, seed, self.host.grading.user_model))

    async def _judge(self, attempt: Attempt, finished: Finished) -> Judged:
        """The score and the signals. A judge that fails leaves a note in place of a score."""
        grading, scope = self.host.grading, attempt.scope
        steps = tuple(scope.recorder.steps)
        servers = {
            pool.name: Held(pool.config, scope.sessions[pool.key].link.connection)
            for pool in attempt.prepared.servers
            if pool.key in scope.sessions
        }
        ended = Ended(scope.task, finished, steps, scope.recorder.user, servers)
        score: Score | None = None
        note = f"the judge did not answer within {JUDGE_SECONDS:g} s" if grading.judge else ""
        with anyio.move_on_after(JUDGE_SECONDS):
            if grading.judge is not None:
                score, note = await guarded(_scored(grading.judge, ended), _unscored)
            if grading.signals:
                steps = await with_signals(ended, score, grading.judge_model)
            return Judged(steps, score, note)
        return Judged(steps, score, note)

    async def _acquire(self, attempt: Attempt) -> RolloutError | None:
        """One session of each server, in an order that is the same for all: no deadlock."""
        try:
            for pool in attempt.prepared.servers:
                attempt.scope.sessions[pool.key] = await pool.acquire()
        except ToolsUnavailable as error:
            return RolloutError("tools", str(error))
        return None

    async def _release(self, attempt: Attempt) -> None:
        for pool in attempt.prepared.servers:
            session = attempt.scope.sessions.get(pool.key)
            if session is not None:
                await pool.release(session)

    def _play(self, attempt: Attempt) -> Awaitable[Result | RolloutError]:
        prepared, scope, past = attempt.prepared, attempt.scope, attempt.past
        budget = Budget(prepared.limits) if past is None else past.budget(prepared)
        # The agent of an attempt that was cut off may not be gone yet.
        taken = any(child.name == "root" for child in self.context.children)
        name = None if taken else "root"
        ref = self.context.spawn(partial(AgentActor, prepared, scope, budget), name)
        call = Call(
            "root", prepared.name, {"task": scope.task.input}, prepared.limits, budget.deadline
        )
        return guarded(ref.ask(call), _crashed)

    def _end(self, scope: Scope, error: RolloutError | None, *, cancelled: bool) -> Finished:
        """How the rollout ended; puts it on record where the root agent could not."""
        recorder = scope.recorder
        if error is None and recorder.ended is not None:
            return recorder.ended
        status: Status = "cancelled" if cancelled and error is None else "failed"
        if recorder.ended is not None:
            ended = recorder.ended
            return Finished(
                ended.rollout, ended.seq, ended.at, "root", status, ended.answer, None, error
            )
        return recorder.finished("root", status, None, None, error, NO_USAGE)


async def _scored(judge: Judge, ended: Ended) -> tuple[Score | None, str]:
    return await judge.judge(ended), ""


def _unscored(error: Exception) -> tuple[Score | None, str]:
    return None, f"the judge failed: {describe(error)}"


def _crashed(error: Exception) -> RolloutError:
    return RolloutError("crashed", describe(error))
