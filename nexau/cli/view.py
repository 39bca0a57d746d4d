"""A rollout as a person reads it, while it happens."""

from typing import Literal

import msgspec
from rich.console import Group
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

import nexau
from nexau.cli.screen import console, milliseconds, plain, shortened, show_content
from nexau.models.base import ToolCall, UserMessage
from nexau.trajectory import Called, Finished, LimitHit, ModelTurn, Returned, Started

COLOURS = {"completed": "green", "limit": "yellow", "failed": "red", "cancelled": "yellow"}


class View:
    """A sink that writes events to stderr, indented by the agent's depth in the tree."""

    emits: Literal["events"] = "events"

    def __init__(self) -> None:
        self._console = console()
        self._calls: dict[tuple[str, str], str] = {}
        """Names, by agent and id."""

    async def write(self, item: "nexau.Event | nexau.Step | nexau.Trajectory") -> None:
        """Raises BrokenPipeError when the terminal has gone."""
        match item:
            case Started():
                self._started(item)
            case ModelTurn():
                self._turned(item)
            case Called():
                self._calls[item.agent, item.call.id] = item.call.name
            case Returned():
                self._returned(item)
            case LimitHit():
                bound = f"{item.limit} {item.bound:g}, set by {item.owner}"
                self._say(item.agent, plain(f"limit: {bound}", "yellow"))
            case Finished():
                self._finished(item)
            case _:
                pass

    def _started(self, event: Started) -> None:
        asked = [m.content for m in event.prompt if isinstance(m, UserMessage)]
        heading = plain(f"{event.agent} ", "bold cyan")
        if event.agent != event.definition:
            heading.append_text(plain(f"({event.definition}) ", "cyan"))
        self._say(event.agent, heading.append_text(plain(shortened("\n".join(asked)))))

    def _turned(self, event: ModelTurn) -> None:
        if event.reasoning:
            self._say(event.agent, plain(shortened(event.reasoning), "dim italic"), 1)
        # The last answer of the root stands in its panel.
        if event.response and (event.calls or "/" in event.agent):
            self._say(event.agent, plain(shortened(event.response)), 1)
        for call in event.calls:
            self._say(event.agent, _asked(call), 1)

    def _returned(self, event: Returned) -> None:
        result = event.result
        name = self._calls.pop((event.agent, result.call_id), result.call_id)
        head = plain(f"← {name} ", "red" if result.is_error else "green")
        head.append(milliseconds(result.seconds), "dim")
        if result.error_class is not None:
            head.append(f" {result.error_class}", "bold red")
        body = shortened(show_content(result.content))
        self._say(event.agent, Group(head, plain(body, "red" if result.is_error else "dim")), 1)

    def _finished(self, event: Finished) -> None:
        colour = COLOURS[event.status]
        foot = Text.assemble((event.status, f"bold {colour}"), (_spent(event), "dim"))
        if event.error is not None:
            foot.append_text(plain(f"\n{event.error.kind}: {event.error.message}", "red"))
        if event.agent != "root":
            self._say(event.agent, foot)
            return
        answer = plain(event.answer or "")
        body = Group(answer, foot) if event.answer else foot
        self._console.print(Panel(body, title="answer" if event.answer else None, style=""))

    def _say(self, agent: str, what: "Text | Group", deeper: int = 0) -> None:
        indent = 2 * (agent.count("/") + deeper)
        self._console.print(Padding(what, (0, 0, 0, indent)))


def _asked(call: ToolCall) -> Text:
    given = call.malformed if call.malformed is not None else _json(call.arguments)
    return plain(f"→ {call.name} ", "bold").append_text(
        plain(shortened(given, lines=3), "not bold")
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _spent(event: Finished) -> str:
    usage, timing = event.usage, event.timing
    parts = [f"model {milliseconds(timing.model)}", f"tools {milliseconds(timing.tool)}"]
    if usage.input_tokens or usage.output_tokens:
        parts.append(f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out")
    if usage.cost:
        parts.append(f"${usage.cost:,.4f}")
    return "".join(f" · {part}" for part in parts)
