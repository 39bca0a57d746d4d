"""`module:function` to the function: the Python code that an agent file names.

A module beside the agent file comes before an installed one. It is loaded under a name of its
own, so that the `tools.py` of two folders are two modules, and only modules of the same folder
see it by its short name: neither `sys.path` nor the rest of the program changes. (With the folder
on `sys.path`, a `types.py` or a second `helpers.py` would be everyone's.) This is done with the
`__import__` of those modules' builtins, which also serves imports that run later, inside a call.
"""

import builtins
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import sys
import threading
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nexau.definitions.values import DefinitionError
from nexau.files.nearest import hint
from nexau.files.paths import is_file
from nexau.files.problems import display

_PREFIX = "nexau_folder_"


def load_binding(binding: str, directory: Path) -> Callable[..., Any]:
    """What `module:function` names, seen from the agent files of `directory`.

    Runs the module, once in a process. Raises `DefinitionError`, with the file and line of a
    failure inside the module.
    """
    name, _, attributes = binding.partition(":")
    found: Any = _module(name, directory)
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            near = hint(attribute, _callables(found), "it has")
            raise DefinitionError(f"{_named(found)} has no {attribute!r}{near}") from None
    if not callable(found):
        raise DefinitionError(f"{binding} is not a function but {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def binding_of(function: Callable[..., Any]) -> tuple[str, Path] | None:
    """What `load_binding` was given to find `function`; None for one of another module."""
    package, _, name = (function.__module__ or "").partition(".")
    if package not in _packages:
        return None
    return f"{name}:{function.__qualname__}", _packages[package].directory


def _named(thing: Any) -> str:
    if isinstance(thing, types.ModuleType):
        return f"the module {display(Path(thing.__file__)) if thing.__file__ else thing.__name__}"
    return f"{getattr(thing, '__qualname__', type(thing).__name__)}"


def _callables(thing: Any) -> Iterator[str]:
    for name, value in vars(thing).items() if hasattr(thing, "__dict__") else ():
        if callable(value) and not name.startswith("_"):
            yield name


def _module(name: str, directory: Path) -> types.ModuleType:
    folder = _folder(directory)
    full = f"{folder.package}.{name}" if folder.holds(name.partition(".")[0]) else name
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError as error:
        if error.name is None or not (full == error.name or full.startswith(f"{error.name}.")):
            raise DefinitionError(f"importing {name}: {_failure(error)}") from error
        near = hint(name, folder.modules(), "there are")
        where = display(directory)
        raise DefinitionError(f"no module {name!r}, in {where} or installed{near}") from None
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise DefinitionError(f"importing {name}: {_failure(error)}") from error


def _failure(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{display(Path(error.filename))}:{error.lineno or 0}"
        return f"{place}: {type(error).__name__}: {error.msg}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith("<frozen") and frame.filename != __file__:
            return f"{display(Path(frame.filename))}:{frame.lineno}: {text}"
    return text


class _Folder:
    """A directory as a package of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        digest = hashlib.sha256(str(directory).encode("utf-8", "surrogateescape"))
        self.package = _PREFIX + digest.hexdigest()[:12]
        self.builtins = {**vars(builtins), "__import__": self._import}
        root = types.ModuleType(self.package)
        root.__path__ = [str(directory)]
        sys.modules[self.package] = root

    def holds(self, name: str) -> bool:
        path = self.directory / name
        return is_file(path.with_suffix(".py")) or is_file(path / "__init__.py")

    def modules(self) -> list[str]:
        return [path.stem for path in self.directory.glob("*.py")]

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - the names of __import__
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> types.ModuleType:
        head = name.partition(".")[0]
        if level or not self.holds(head):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        found = builtins.__import__(f"{self.package}.{name}", globals, locals, fromlist or (), 0)
        return found if fromlist else sys.modules[f"{self.package}.{head}"]


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: types.ModuleType) -> None:
        vars(module)["__builtins__"] = _packages[module.__name__.partition(".")[0]].builtins
        super().exec_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules of the folders' packages, and no others."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in _packages:
            return None
        for entry in path or ():
            finder = importlib.machinery.FileFinder(entry, (_Loader, [".py"]))
            spec = finder.find_spec(fullname)
            if spec is not None:
                return spec
        return None


_packages: dict[str, _Folder] = {}
_folders: dict[Path, _Folder] = {}
_lock = threading.Lock()


def _folder(directory: Path) -> _Folder:
    resolved = directory.resolve()
    with _lock:
        folder = _folders.get(resolved)
        if folder is None:
            if not _folders:
                # Before the standard finder, which would load these modules its own way.
                sys.meta_path.insert(0, _Finder())
            folder = _folders[resolved] = _Folder(resolved)
            _packages[folder.package] = folder
        return folder
