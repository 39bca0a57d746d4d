"""Install outside MCP servers, each into an environment of its own under `.cache/`.

python examples/servers/install.py NAME...     the ones named
python examples/servers/install.py             all of them

Progress goes to stderr. A server that is there already, in the version wanted, is left alone.
"""

import argparse
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).parent / ".cache"


@dataclass(frozen=True)
class PyPI:
    requirements: tuple[str, ...]

    def install(self, folder: Path) -> None:
        venv.create(folder, with_pip=True, clear=True)
        pip = (folder / "bin" / "python", "-m", "pip", "install", "-qq")
        _run(*pip, "--disable-pip-version-check", "--no-input", *self.requirements)


@dataclass(frozen=True)
class Npm:
    requirements: tuple[str, ...]

    def install(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if shutil.which("npm") is None:
            sys.exit("this server needs Node: there is no npm on the PATH")
        _run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder,
             *self.requirements)  # fmt: skip


SERVERS: dict[str, PyPI | Npm] = {
    "time": PyPI(("mcp-server-time==2026.10.19",)),
    "git": PyPI(("mcp-server-git==2026.10.19",)),
    "fetch": PyPI(("mcp-server-fetch==2026.10.24",)),
    # Written for the first SDK, and no longer kept: with the second it does not start.
    "sqlite": PyPI(("mcp-server-sqlite==2025.4.25", "mcp<2")),
    "everything": Npm(("@modelcontextprotocol/server-everything@2026.8.31",)),
    "filesystem": Npm(("@modelcontextprotocol/server-filesystem@2026.8.31",)),
    "memory": Npm(("@modelcontextprotocol/server-memory@2026.8.31",)),
    "sequential-thinking": Npm(("@modelcontextprotocol/server-sequential-thinking@2026.8.31",)),
}


def install(name: str) -> None:
    """Raises subprocess.CalledProcessError when pip, npm or git fails."""
    server = SERVERS[name]
    folder = CACHE / name
    stamp = folder / "installed"
    # An environment does not survive being moved.
    wanted = "\n".join((*server.requirements, str(folder.resolve())))
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {name}", file=sys.stderr)
        server.install(folder)
        stamp.write_text(wanted)
    if name == "git":
        _repository(CACHE / "repository")


def _repository(folder: Path) -> None:
    """A small repository to look at: the same commits, with the same hashes, everywhere."""
    if (folder / ".git").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        env[f"GIT_{role}_NAME"] = "A. Author"
        env[f"GIT_{role}_EMAIL"] = "author@example.com"
        env[f"GIT_{role}_DATE"] = "2026-01-01T00:00:00Z"
    git = ("git", "-C", folder)
    _run(*git, "init", "--quiet", "--initial-branch", "main", env=env)
    for number, line in enumerate(("one", "two"), start=1):
        (folder / "notes.txt").write_text(f"{line}\n")
        _run(*git, "add", "notes.txt", env=env)
        _run(*git, "commit", "--quiet", "--message", f"Note {number}", env=env)


def _run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=env)


def main() -> None:
    parser = argparse.ArgumentParser(description="Install outside MCP servers under .cache/.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SERVERS))
    names = parser.parse_args().names or list(SERVERS)
    unknown = sorted(set(names) - set(SERVERS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(SERVERS)}")
    for name in names:
        install(name)


if __name__ == "__main__":
    main()
