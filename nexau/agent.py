"""The agent actor: a ReAct loop that answers `Call` with `Result`, like any tool.

A sub-agent is nothing more than a child actor of the same class with its own prompt, history,
tools and share of the limits.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from nexau.actors import Actor
from nexau.boundary import describe, guarded, guarded_about
from nexau.budget import NO_RESERVATION, Budget, LimitReached
from nexau.definitions.values import DefinitionError
from nexau.files.nearest import hint
from nexau.models.base import (
    AssistantMessage,
    Message,
    ModelError,
    ModelRequest,
    SystemMessage,
    ToolCall,
    ToolMessage,
    Turn,
    UserMessage,
    text_of,
)
from nexau.models.turns import size_of, with_distinct_ids
from nexau.outcome import Outcome, bound
from nexau.prepare import Prepared
from nexau.scope import Past, Scope
from nexau.scoring.users import Recalled, Reply, reply_of
from nexau.secrets.withheld import Speech
from nexau.trajectory import CallResult, RolloutError
from nexau.transports.protocol import (
    NO_TIMING,
    NO_USAGE,
    Call,
    Result,
    failure,
)


class AgentActor(Actor):
    """One agent of one rollout. Lives for one `Call`."""

    def __init__(
        self,
        prepared: Prepared,
        scope: Scope,
        budget: Budget,
        path: str = "root",
    ) -> None:
        self.prepared = prepared
        self.scope = scope
        self.budget = budget
        self.path = path
        self.usage = NO_USAGE
        self.timing = NO_TIMING
        self._messages: list[Message] = []
        self._turns = 0
        self._said = ""
        self._born: dict[str, int] | None = None
        """Calls of each sub-agent so far."""

    async def receive(self, message: Call) -> Result:
        budget = self.budget
        timed = budget.limits.seconds is not None and budget.deadline_owner is budget
        try:
            outcome = self._ended_before() or await (
                self._within_time(message) if timed else self._converse(message)
            )
        except anyio.get_cancelled_exc_class():
            self._seal(Outcome("cancelled", self._said or None))
            raise
        finally:
            self.context.stop_self()
        self._seal(outcome)
        if self.scope.recorder.pending:
            await self.scope.flush()
        return outcome.result(message.id, self.usage, self.timing)

    def _ended_before(self) -> Outcome | None:
        """How this agent ended before the process died, where its caller did not get to know."""
        past = self.scope.past
        known = past.finished(self.path) if past is not None else None
        if past is None or known is None:
            return None
        self.usage = known.usage
        limit = past.limit(self.path) if known.status == "limit" else None
        return Outcome(known.status, known.answer, limit, known.error)

    async def _within_time(self, call: Call) -> Outcome:
        deadline, seconds = self.budget.deadline, self.budget.limits.seconds
        assert deadline is not None
        assert seconds is not None
        with anyio.CancelScope(deadline=deadline) as clock:
            return await self._converse(call)
        assert clock.cancelled_caught
        return self._limited(LimitReached("seconds", self.path, seconds))

    async def _converse(self, call: Call) -> Outcome:
        problem = self._open(call)
        if problem is not None:
            return problem
        recorder, journal = self.scope.recorder, self.scope.journal
        while True:
            if recorder.pending:
                await self.scope.flush()
            turn: Turn | Outcome | None = self._remember()
            if turn is None:
                if journal is not None and not journal.ready:
                    await journal.settle()
                hit = self.budget.take_step()
                if hit is not None:
                    return self._limited(hit)
                turn = await self._think()
            if not isinstance(turn, Turn):
                return turn
            if turn.calls:
                await self._act(turn)
            else:
                done = await self._answered(turn)
                if done is not None:
                    return done

    def _remember(self) -> Turn | None:
        """The turn that comes now, where it is on record from before the process died."""
        past = self.scope.past
        turn = past.turn(self.path, self._turns) if past is not None else None
        if turn is None:
            return None
        self.scope.recorder.played(self.path, self._turns)
        self._turns += 1
        self._said = turn.content or self._said
        self.usage += turn.usage
        return turn

    def _open(self, call: Call) -> Outcome | None:
        """Puts together the first prompt."""
        past = self.scope.past
        prompt = past.prompt(self.path) if past is not None else None
        if prompt:
            self._messages.extend(prompt)
            return None
        task = call.arguments.get("task", "")
        text = task if isinstance(task, str) else str(task)
        try:
            system = self.prepared.system_prompt(text, self.scope.task.variables)
        except DefinitionError as error:
            self.scope.recorder.started(self.path, self.prepared.name, (), self._parent_call(call))
            return Outcome("failed", error=RolloutError("definition", str(error)))
        if system:
            self._messages.append(SystemMessage(system))
        self._messages.append(UserMessage(text))
        self.scope.recorder.started(
            self.path, self.prepared.name, tuple(self._messages), self._parent_call(call)
        )
        return None

    def _parent_call(self, call: Call) -> str | None:
        return call.id if self.budget.parent is not None else None

    async def _think(self) -> Turn | Outcome:
        """One model turn, recorded and paid for."""
        budget, prepared, recorder = self.budget, self.prepared, self.scope.recorder
        held = NO_RESERVATION
        if budget.metered:
            size = sum(map(size_of, self._messages))
            answer = await budget.reserve(size, prepared.max_tokens, prepared.price)
            if isinstance(answer, LimitReached):
                return self._limited(answer)
            held = answer
        scope = self.scope
        speech = Speech() if recorder.wants_events else None
        request = ModelRequest(
            self._messages,
            prepared.specs,
            self.path,
            self._turns,
            scope.seed,
            scope.task.id,
            scope.task.plan,
            held.max_tokens,
            budget.deadline,
            partial(self._hear, speech) if speech is not None else None,
        )
        spent = NO_USAGE
        started = recorder.clock()
        try:
            turn: Turn | ModelError = await prepared.model.ask(request)
            if isinstance(turn, ModelError):
                return Outcome("failed", error=RolloutError("model", str(turn)))
            spent = turn.usage
        finally:
            budget.settle(held, spent)
            if speech is not None:
                self._tell(speech.rest())
        calls = turn.calls
        if len(calls) > 1 or (calls and not calls[0].id):
            turn = with_distinct_ids(turn)
        recorder.model_turn(self.path, self._turns, turn, recorder.clock() - started)
        self._turns += 1
        self._said = turn.content or self._said
        if spent is not NO_USAGE:
            self.usage += spent
        return turn

    async def _answered(self, turn: Turn) -> Outcome | None:
        """The end, unless a user has more to say to this answer: then its message is taken in."""
        user, recorder = self.scope.user, self.scope.recorder
        if user is None or self.budget.parent is not None:
            return Outcome("completed", turn.content)
        if recorder.pending:
            await self.scope.flush()
        past = self.scope.past
        known = past.said(self.path, self._turns - 1) if past is not None else None
        if known is not None:
            await user.ask(Recalled(turn.content, known))
            return self._take_in(turn, known)
        said = await user.ask(Call(f"said-{self._turns}", "user", {"said": turn.content}))
        if said.is_error:
            text = f"the simulated user failed: {text_of(said.content)}"
            return Outcome("failed", turn.content, error=RolloutError("model", text))
        reply = reply_of(said)
        recorder.user_said(self.path, reply.text, reply.content)
        return self._take_in(turn, reply)

    def _take_in(self, turn: Turn, reply: Reply) -> Outcome | None:
        if reply.done or reply.text is None:
            return Outcome("completed", turn.content)
        self._messages.append(AssistantMessage(turn.content, (), turn.reasoning))
        self._messages.append(UserMessage(reply.text))
        return None

    async def _hear(self, speech: Speech, text: str, reasoning: str, attempt: int) -> None:
        """What the model says while it says it, for whoever listens."""
        self._tell(speech.hear(text, reasoning, attempt))
        if self.scope.recorder.pending:
            await self.scope.flush()

    def _tell(self, deltas: list[tuple[str, str, int]]) -> None:
        for text, reasoning, attempt in deltas:
            self.scope.recorder.delta(self.path, self._turns, text, reasoning, attempt)

    def _act(self, turn: Turn) -> Awaitable[None]:
        """All calls of a turn, their results in the order of calls."""
        calls = turn.calls
        self._messages.append(AssistantMessage(turn.content, calls, turn.reasoning))
        first, *more = calls
        if more:
            return self._act_at_once(calls)
        return self._observe(first, self._number(first), self._messages.append)

    async def _act_at_once(self, calls: tuple[ToolCall, ...]) -> None:
        """At most `parallel_calls` at once."""
        todo = deque((i, call, self._number(call)) for i, call in enumerate(calls))
        seen: dict[int, ToolMessage] = {}

        async def work() -> None:
            while todo:
                index, call, number = todo.popleft()
                await self._observe(call, number, partial(seen.__setitem__, index))

        bound = self.prepared.parallel_calls or len(calls)
        async with anyio.create_task_group() as group:
            for _ in range(min(bound, len(calls))):
                group.start_soon(work)
        self._messages.extend([seen[i] for i in range(len(calls))])

    def _number(self, call: ToolCall) -> int:
        """Which of the calls to one sub-agent this is, counted from 1; 0 for a tool."""
        if call.name not in self.prepared.children:
            return 0
        if self._born is None:
            self._born = {}
        number = self._born.get(call.name, 0) + 1
        self._born[call.name] = number
        return number

    async def _observe(
        self, call: ToolCall, number: int, take: Callable[[ToolMessage], None]
    ) -> None:
        """One call and what came of it: always an observation, never an exception."""
        recorder, journal = self.scope.recorder, self.scope.journal
        if journal is not None and not journal.ready:
            await journal.settle()
        child = f"{self.path}/{call.name}#{number}" if number else None
        if self.scope.past is not None:
            known = self._recall(self.scope.past, call, child)
            if known is not None:
                take(known)
                return
        started = recorder.called(self.path, call)
        if recorder.pending:
            await self.scope.flush()
        sent = self._send(call, child)
        result = sent if isinstance(sent, Result) else await sent
        ended = recorder.clock()
        seen = CallResult(
            call.id,
            result.content,
            result.is_error,
            result.error_class,
            result.structured,
            ended - started,
            child,
            0.0 if child is not None else result.timing.queue,
        )
        recorder.returned(self.path, seen, ended)
        if recorder.pending:
            await self.scope.flush()
        if child is not None and result.usage is not NO_USAGE:
            self.usage += result.usage
        take(ToolMessage(call.id, result.content, result.is_error, result.structured))

    def _recall(self, past: Past, call: ToolCall, child: str | None) -> ToolMessage | None:
        """The result, where it is on record from before the process died."""
        result = past.result(self.path, self._turns - 1, call.id)
        if result is None:
            return None
        if child is not None:
            self.usage += past.usage(child)
        return ToolMessage(call.id, result.content, result.is_error, result.structured)

    def _send(self, call: ToolCall, child: str | None) -> Result | Awaitable[Result]:
        prepared = self.prepared
        arguments = call.arguments
        if arguments is None:
            text = f"the arguments are not a JSON object: {(call.malformed or '')[:200]}"
            return failure(call.id, "invalid_arguments", text)
        validate = prepared.validators.get(call.name)
        if validate is not None:
            problem = validate(arguments)
            if problem is not None:
                return failure(call.id, "invalid_arguments", problem)
        message = Call(call.id, call.name, arguments, None, self.budget.deadline, self.path)
        if child is not None:
            return self._delegate(message, child)
        tool = prepared.tools.get(call.name)
        if tool is None:
            return failure(call.id, "unknown_tool", self._unknown(call.name))
        return guarded_about(tool.send(self.scope, message), tool.failed, message)

    def _delegate(self, call: Call, path: str) -> Result | Awaitable[Result]:
        past = self.scope.past
        hit = self.budget.may_descend()
        if hit is not None:
            self.scope.recorder.limit(self.path, hit.limit, hit.owner, hit.bound)
            text = f"no sub-agent may be started here: {bound(hit)}"
            return failure(call.id, "limit", text)
        prepared = self.prepared.children[call.name]
        budget = past.take_budget(path) if past is not None else None
        if budget is None:
            budget = self.budget.child(prepared.limits, path)
        ref = self.context.spawn(
            partial(AgentActor, prepared, self.scope, budget, path), name=path.rpartition("/")[2]
        )
        return guarded(ref.ask(call), partial(self._crash, call, path))

    def _crash(self, call: Call, path: str, error: Exception) -> Result:
        """A child that raised: a fault of code, told to the model and kept in the record."""
        text = describe(error)
        fault = RolloutError("crashed", text)
        self.scope.recorder.finished(path, "failed", None, None, fault, NO_USAGE)
        return failure(call.id, "crashed", text)

    def _unknown(self, name: str) -> str:
        names = [spec.name for spec in self.prepared.specs]
        return f"there is no tool {name!r}{hint(name, names, 'tools')}"

    def _limited(self, hit: LimitReached) -> Outcome:
        self.scope.recorder.limit(self.path, hit.limit, hit.owner, hit.bound)
        return Outcome("limit", self._said or None, hit)

    def _seal(self, outcome: Outcome) -> None:
        hit = outcome.limit
        limit = None
        if hit is not None:
            limit = hit.limit if hit.owner == self.path else f"{hit.owner}: {hit.limit}"
        ended = self.scope.recorder.finished(
            self.path, outcome.status, outcome.answer, limit, outcome.error, self.usage
        )
        self.timing = ended.timing
