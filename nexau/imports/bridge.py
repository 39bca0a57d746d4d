"""Functions of other folders, for agent files that see modules of their own folder only."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nexau.definitions.bindings import load_binding
from nexau.files.paths import is_file
from nexau.imports.report import Converted

MODULE = "imported_tools"
_HEAD = '''"""Written by nexau import: functions of other folders, for the agent files beside it."""

from pathlib import Path

from nexau.definitions.bindings import load_binding

HERE = Path(__file__).resolve().parent
'''


class Bridge:
    """Finds what bindings name, and writes the module by which the new files find it again."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._names: dict[tuple[str, str], str] = {}

    def find(self, binding: str, folder: Path) -> tuple[str, Callable[..., Any]]:
        """The binding to write, and the function. Looks beside the file, in the working directory,
        then among what is installed. Raises `DefinitionError`."""
        head = binding.partition(":")[0].partition(".")[0]
        for place in (folder, Path.cwd()):
            if is_file(place / f"{head}.py") or is_file(place / head / "__init__.py"):
                function = load_binding(binding, Path(os.path.realpath(place)))
                return f"{MODULE}:{self._name(binding, place)}", function
        return binding, load_binding(binding, folder)

    def _name(self, binding: str, place: Path) -> str:
        key = binding, os.path.relpath(place, self._out)
        if key not in self._names:
            base = binding.rpartition(":")[2].replace(".", "_")
            name, number = base, 1
            while name in self._names.values():
                number += 1
                name = f"{base}_{number}"
            self._names[key] = name
        return self._names[key]

    def files(self) -> list[Converted]:
        if not self._names:
            return []
        lines = [
            f"{name} = load_binding({binding!r}, HERE / {place!r})"
            for (binding, place), name in self._names.items()
        ]
        return [Converted(f"{MODULE}.py", _HEAD + "\n".join(lines) + "\n")]
