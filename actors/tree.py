"""The tree of actors, as text and as data."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nexau.actors._cell import mail_count
from nexau.actors._states import STATES

if TYPE_CHECKING:
    from nexau.actors.ref import ActorRef


def draw(root: "ActorRef") -> str:
    """One line an actor: name, class, state, and what waits in its mailbox."""
    return "\n".join(_lines(root, "", ""))


def _lines(ref: "ActorRef", first: str, rest: str) -> Iterator[str]:
    yield first + _line(ref)
    children = list(ref._family.children.values()) if ref._family is not None else []
    for child in children:
        last = child is children[-1]
        yield from _lines(
            child, rest + ("`-- " if last else "|-- "), rest + ("    " if last else "|   ")
        )


def _line(ref: "ActorRef") -> str:
    extra = ref._extra
    parts = [ref.name, ref._kind.name.lstrip("_"), STATES[ref._state]]
    if mail := mail_count(ref):
        parts.append(f"mail={mail}")
    if extra is not None and extra.restarts:
        parts.append(f"restarts={extra.restarts}")
    if extra is not None and extra.tasks:
        parts.append("tasks=" + ",".join(task.name for task in extra.tasks))
    return " ".join(parts)


def tree_data(ref: "ActorRef") -> dict[str, Any]:
    """JSON types, children in start order."""
    extra = ref._extra
    return {
        "name": ref.name,
        "path": ref.path,
        "class": ref._kind.name,
        "state": STATES[ref._state],
        "restart": ref._policy.restart,
        "mailbox": mail_count(ref),
        "handled": ref._handled,
        "restarts": extra.restarts if extra is not None else 0,
        "tasks": [task.name for task in extra.tasks] if extra is not None and extra.tasks else [],
        "strategy": ref._family.spec.strategy if ref._family is not None else None,
        "children": [
            tree_data(child)
            for child in (ref._family.children.values() if ref._family is not None else ())
        ],
    }
