"""Agent files as read from the disk: each once, with where its parts stand."""

import os
from pathlib import Path
from typing import Any

from nexau.definitions.structs import AgentFile
from nexau.files.forms import describe, read_struct
from nexau.files.nearest import hint
from nexau.files.paths import siblings
from nexau.files.problems import Problem, Trail, cut, display, show
from nexau.files.yamlnodes import MAX_BYTES, Node, Unreadable, parse


class Document:
    """One file. `form` is None where it is no agent at all."""

    def __init__(self, path: Path, label: str, node: Node, documents: "Documents") -> None:
        self.path = Path(os.path.realpath(path))
        self.label = label
        self.directory = path.parent
        self.form: AgentFile | None = None
        self._node = node
        self._documents = documents

    def complain(self, trail: Trail, message: str, place: tuple[int, int] | None = None) -> None:
        line, column = place or self._node.at(trail)
        self._documents.add(Problem(self.label, line, column, show(trail), message))

    def complain_of(self, problem: Problem) -> None:
        """Of a file that this one names."""
        self._documents.add(problem)

    def has(self, trail: Trail) -> bool:
        """Whether something other than null stands there."""
        found = self._find(trail)
        return found is not None and (found.value is not None or found.broken)

    def is_list(self, trail: Trail) -> bool:
        found = self._find(trail)
        return found is not None and isinstance(found.value, list)

    def _find(self, trail: Trail) -> Node | None:
        node: Any = self._node
        for step in trail:
            try:
                node = node.value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return node  # type: ignore[no-any-return]


class Documents:
    """The files of one tree of agents, and everything that is wrong with them."""

    def __init__(self) -> None:
        self.problems: dict[Problem, None] = {}
        self._opened: dict[str, Document | None] = {}
        self._labels: dict[str, int] = {}

    def add(self, problem: Problem) -> None:
        self.problems[problem] = None

    def sorted(self) -> list[Problem]:
        """By file, in the order in which agent files were opened, then by line."""
        last = len(self._labels)
        return sorted(
            self.problems,
            key=lambda each: (self._labels.get(each.file, last), each.line, each.column),
        )

    def open(self, path: Path) -> Document | None:
        """None, and a problem, for what cannot be read."""
        try:
            resolved = os.path.realpath(path)
        except ValueError:  # a null character
            self.add(Problem(cut(display(path), 200), 0, 0, "", "no such file"))
            return None
        if resolved not in self._opened:
            self._opened[resolved] = self._read(path)
        return self._opened[resolved]

    def _read(self, path: Path) -> Document | None:
        label = cut(display(path), 200)
        self._labels.setdefault(label, len(self._labels))
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            near = hint(path.name, siblings(path), "there are")
            self.add(Problem(label, 0, 0, "", f"no such file{near}"))
            return None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self.add(Problem(label, 0, 0, "", f"cannot be read: {reason}"))
            return None

        def report(trail: Trail, message: str, place: tuple[int, int]) -> None:
            self.add(Problem(label, *place, show(trail), message))

        try:
            node = parse(data, report, json=path.suffix == ".json")
        except Unreadable as error:
            self.add(Problem(label, error.line, error.column, "", error.message))
            return None
        document = Document(path, label, node, self)
        if isinstance(node.value, dict):
            form = read_struct(node, AgentFile, (), document.complain)
            assert isinstance(form, AgentFile)
            document.form = form
        else:
            document.complain((), f"expected a mapping with `name`, got {describe(node.value)}")
        return document
