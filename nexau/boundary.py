"""The one place where any exception is caught, and becomes an attributed error.

Tools, sub-agents and embedded code may raise whatever they like. Here, and nowhere else, that
turns into data: an observation for the model, or a failed trajectory. Cancellation and
`KeyboardInterrupt` are no errors and pass through.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")
S = TypeVar("S")

MAX_TEXT = 2_000
"""Characters of an error that reach a model or a trajectory."""


async def guarded(work: Awaitable[T], attribute: Callable[[Exception], T]) -> T:
    """The value of `work`, or what `attribute` makes of the exception that it raised."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - this is the boundary
        return attribute(error)


async def guarded_about(
    work: Awaitable[T], attribute: Callable[[S, Exception], T], subject: S
) -> T:
    """`guarded`, where `attribute` wants to know what it was about."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - this is the boundary
        return attribute(subject, error)


async def guarded_call(
    function: Callable[..., Awaitable[Any]],
    arguments: dict[str, Any],
    finish: Callable[[S, Any], T],
    attribute: Callable[[S, Exception], T],
    subject: S,
) -> T:
    """`guarded`, of a call and of what is made of its value: one frame where three would stand.

    `finish` and `attribute` get the `subject` and the value, or the exception.
    """
    try:
        return finish(subject, await function(**arguments))
    except Exception as error:  # noqa: BLE001 - this is the boundary
        return attribute(subject, error)


def describe(error: BaseException) -> str:
    """One short text: the class and message, the first leaf of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = str(error).strip()
    name = type(error).__name__
    return (f"{name}: {text}" if text else name)[:MAX_TEXT]
