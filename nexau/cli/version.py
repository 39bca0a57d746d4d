"""`nexau version`."""

import platform
from importlib.metadata import PackageNotFoundError, version

import typer

from nexau.cli.rows import show

PARTS = ("nexau", "mcp", "anyio", "trio", "uvloop", "msgspec", "httptools", "httpx2", "typer")

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command("version")
def versions() -> None:
    """Print the versions that a report of a fault should name."""
    found = [{"name": part, "version": _version(part)} for part in PARTS]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    found += [{"name": "python", "version": python}]
    found += [{"name": "platform", "version": platform.platform()}]
    show(found)


def _version(part: str) -> str:
    try:
        return version(part)
    except PackageNotFoundError:
        return "not installed"
