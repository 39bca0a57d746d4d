"""What an agent needs to know of messages and turns, whatever model they come from."""

from msgspec.structs import replace

from nexau.models.base import AssistantMessage, Message, ToolCall, ToolMessage, Turn
from nexau.transports.protocol import Text


def size_of(message: Message) -> int:
    """Bytes of a message, near enough for an estimate of its tokens."""
    if isinstance(message, ToolMessage):
        return sum(len(part.text) for part in message.content if isinstance(part, Text))
    if isinstance(message, AssistantMessage):
        return len(message.content) + sum(len(str(call.arguments)) for call in message.calls)
    return len(message.content)


def with_distinct_ids(turn: Turn) -> Turn:
    """Results are matched to calls by id, so two calls of one turn must not share one."""
    ids = {call.id for call in turn.calls}
    if len(ids) == len(turn.calls) and "" not in ids:
        return turn
    taken: set[str] = set()
    calls: list[ToolCall] = []
    for index, call in enumerate(turn.calls):
        fresh = call.id or f"call_{index}"
        while fresh in taken:
            fresh = f"{fresh}~{index}"
        taken.add(fresh)
        calls.append(ToolCall(fresh, call.name, call.arguments, call.malformed))
    return replace(turn, calls=tuple(calls))
