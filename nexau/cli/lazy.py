"""Commands that are imported when they are called: `nexau --help` loads typer and nothing else."""

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import typer
import typer.core
import typer.main


class LazyCommand(typer.core.TyperCommand):
    """Stands for the `app` of a module until the command is called, or its help is asked for."""

    def __init__(self, name: str, module: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self._module = module

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """The context of the command that this one stands for."""
        command = typer.main.get_command(importlib.import_module(self._module).app)
        command.name = self.name
        return command.make_context(*args, **extra)


class LazyGroup(typer.core.TyperGroup):
    """A group whose commands are those of a table: name -> (module, one line of help)."""

    table: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (module, summary) in self.table.items():
            self.commands[name] = LazyCommand(name, module, summary)

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the table, which is the order in which one learns them."""
        return list(self.commands)


def lazy_app(summary: str, table: Mapping[str, tuple[str, str]]) -> typer.Typer:
    """A command whose own commands are those of `table`."""
    made = typer.Typer(
        cls=type("Group", (LazyGroup,), {"table": table}),
        help=summary,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    made.callback()(_nothing)
    return made


def _nothing() -> None: ...


def lazily(module: str) -> Any:
    """A module that needs an extra, once the extra is known to be there."""
    return importlib.import_module(module)
