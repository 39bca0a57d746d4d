"""A YAML or JSON file as one Struct, with everything that is wrong with it."""

from pathlib import Path

from msgspec import Struct

from nexau.files.forms import describe, read_struct
from nexau.files.paths import is_file, missing
from nexau.files.problems import AgentFileError, Problem, Trail, cut, display, show
from nexau.files.yamlnodes import MAX_BYTES, Node, Unreadable, parse


class FormFile:
    """One file, and where its parts stand. `problems` fills as it is read and checked."""

    def __init__(self, path: Path, node: Node, problems: list[Problem]) -> None:
        self.path = path
        self.label = cut(display(path), 200)
        self.node = node
        self.problems = problems

    def complain(self, trail: Trail, message: str, place: tuple[int, int] | None = None) -> None:
        line, column = place or self.node.at(trail)
        self.problems.append(Problem(self.label, line, column, show(trail), message))

    def struct(self, cls: type[Struct]) -> Struct:
        """The whole file as `cls`; raises `AgentFileError` for a file that is no mapping."""
        if not isinstance(self.node.value, dict):
            self.complain((), f"expected a mapping, got {describe(self.node.value)}")
            self.settle()
        return read_struct(self.node, cls, (), self.complain)

    def settle(self) -> None:
        """Raises `AgentFileError` where anything is wrong, by line."""
        if self.problems:
            raise AgentFileError(sorted(set(self.problems), key=lambda it: (it.line, it.column)))


def open_form(path: Path) -> FormFile:
    """Raises `AgentFileError` for what cannot be read at all."""
    label = cut(display(path), 200)
    problems: list[Problem] = []

    def report(trail: Trail, message: str, place: tuple[int, int]) -> None:
        problems.append(Problem(label, *place, show(trail), message))

    try:
        if not is_file(path):
            raise Unreadable(missing(path))
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        node = parse(data, report, json=path.suffix == ".json")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AgentFileError([Problem(label, 0, 0, "", f"cannot be read: {reason}")]) from None
    except Unreadable as error:
        problem = Problem(label, error.line, error.column, "", error.message)
        raise AgentFileError([*problems, problem]) from None
    return FormFile(path, node, problems)
