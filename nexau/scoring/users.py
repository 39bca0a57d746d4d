"""Simulated users: an actor that answers `Call` with `Result`, like any tool.

The agent's answer is the call's `said`; what the user says next is the result's text. A result
with `{"done": true}` ends the conversation, `content` says whether the user got what it wanted.
"""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from nexau.actors import Actor, PoolRef
from nexau.definitions.values import Saying, Task, User
from nexau.models.base import (
    AssistantMessage,
    Message,
    ModelError,
    ModelRequest,
    SystemMessage,
    Turn,
    UserMessage,
)
from nexau.transports.protocol import Call, Result, Text, failure

MAX_MESSAGES = 32
"""Of a user that a model plays; a script ends by itself."""

DONE, LEAVE = "<done/>", "<leave/>"

_PROMPT = """\
You play a person who talks to an assistant. Stay in this role; never say that you are playing it.
Who you are: {persona}
What you are after: {goal}
Say one short message at a time, in your own words. Reveal what you want step by step, only when it
is needed. Do not help the assistant with how it works.
When you have what you are after, answer with {done} and nothing else. When it is plain that you
will not get it, answer with {leave} and nothing else."""


class Reply(Struct, frozen=True):
    """What a user does next."""

    text: str | None
    """What it says; None where it says no more."""
    done: bool = False
    content: bool | None = None
    """Once done: whether it got what it wanted."""


class Recalled(Struct, frozen=True):
    """What the user did after `said`, before the process died: asked of it to bring it there."""

    said: str
    reply: Reply


class ScriptedUser:
    """Says what its script says, as long as the answers hold what it expects."""

    def __init__(self, user: User) -> None:
        self._user = user
        self._next = 0
        self._patience = user.patience

    def reply(self, answer: str) -> Reply:
        """What the user does after `answer`."""
        user = self._user
        last = self._next == len(user.says)
        step = Saying("", user.expects) if last else user.says[self._next]
        if not holds(answer, step.expects):
            if not self._patience:
                return Reply(user.complaint, done=True, content=False)
            self._patience -= 1
            return Reply(user.complaint)
        if last:
            return Reply(None, done=True, content=True)
        self._next += 1
        return Reply(step.say)


def holds(answer: str, expected: tuple[str, ...]) -> bool:
    """Whether every expected text stands in the answer, whatever its case and thousands marks."""
    folded = fold_text(answer)
    return all(fold_text(text) in folded for text in expected)


def fold_text(text: str) -> str:
    """Case and white space folded, commas between digits dropped: how facts are compared."""
    plain = " ".join(text.casefold().split())
    return "".join(
        mark
        for i, mark in enumerate(plain)
        if not (mark == "," and plain[i - 1 : i].isdigit() and plain[i + 1 : i + 2].isdigit())
    )


class UserActor(Actor):
    """The user of one rollout. `model` answers for it where the task gives no script."""

    def __init__(self, task: Task, seed: int, model: PoolRef | None) -> None:
        assert task.user is not None
        self._task = task
        self._seed = seed
        self._model = model
        self._script = ScriptedUser(task.user) if task.user.says or model is None else None
        self._messages: list[Message] = [
            SystemMessage(
                _PROMPT.format(
                    persona=task.user.persona or "somebody",
                    goal=task.user.goal or task.input,
                    done=DONE,
                    leave=LEAVE,
                )
            ),
            UserMessage("How can I help you?"),
            AssistantMessage(task.input),
        ]
        self._turns = 0

    async def receive(self, message: Call | Recalled) -> Result | None:
        if isinstance(message, Recalled):
            self._recall(message)
            return None
        answer = message.arguments.get("said", "")
        if self._script is not None:
            return _result(message.id, self._script.reply(answer))
        said = await self._improvise(answer)
        if isinstance(said, ModelError):
            return failure(message.id, "model_error", str(said))
        return _result(message.id, said)

    def _recall(self, message: Recalled) -> None:
        if self._script is not None:
            self._script.reply(message.said)
            return
        self._turns += 1
        self._messages.append(UserMessage(message.said))
        if message.reply.text:
            self._messages.append(AssistantMessage(message.reply.text))

    async def _improvise(self, answer: str) -> Reply | ModelError:
        assert self._model is not None
        self._messages.append(UserMessage(answer))
        request = ModelRequest(self._messages, (), "user", self._turns, self._seed, self._task.id)
        turn: Turn | ModelError = await self._model.ask(request)
        if isinstance(turn, ModelError):
            return turn
        self._turns += 1
        text = turn.content.strip()
        if DONE in text or LEAVE in text or not text or self._turns >= MAX_MESSAGES:
            return Reply(None, done=True, content=DONE in text)
        self._messages.append(AssistantMessage(text))
        return Reply(text)


def user_of(task: Task, seed: int, model: PoolRef | None) -> Callable[[], UserActor]:
    """Makes the user of a rollout of `task`, which has one."""
    return lambda: UserActor(task, seed, model)


def reply_of(result: Result) -> Reply:
    """What a user's `Result` says."""
    return msgspec.convert(result.structured, Reply)


def _result(call_id: str, reply: Reply) -> Result:
    return Result(call_id, (Text(reply.text or ""),), structured=msgspec.to_builtins(reply))
