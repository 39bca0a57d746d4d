"""Environments of peers: each framework has one of its own, made when it is asked for.

Standard library only.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("anyio>=4.11", "uvloop>=0.21")
"""What our side of a contender takes, besides the standard library."""
INSTALL_SECONDS = 1800.0


class InstallFailed(Exception):
    """The text holds the end of what the installer said."""


def folder() -> Path:
    """Of all environments: `NEXAU_BENCH_PEERS`, or `.cache/peers` in the checkout."""
    given = os.environ.get("NEXAU_BENCH_PEERS")
    return Path(given) if given else ROOT / ".cache" / "peers"


def python_of(name: str) -> Path:
    """The interpreter of an environment, whether it is there or not."""
    return folder() / name / "bin" / "python"


def installed(name: str) -> bool:
    """Whether an installation came to its end."""
    return (folder() / name / "complete").exists()


def requirements_of(name: str) -> str:
    """What the environment was made of; empty where it is not there."""
    marker = folder() / name / "complete"
    return marker.read_text(encoding="utf-8").strip() if marker.exists() else ""


def install(name: str, requirements: Sequence[str]) -> None:
    """Makes the environment anew, with uv where there is one, else with pip.

    Raises `InstallFailed`.
    """
    place = folder() / name
    remove(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    wanted = [*requirements, *NEEDED]
    python = str(python_of(name))
    uv = _uv()
    if uv is not None:
        _call([uv, "venv", "--quiet", "--python", sys.executable, str(place)])
        _call([uv, "pip", "install", "--quiet", "--python", python, *wanted])
    else:
        _call([sys.executable, "-m", "venv", str(place)])
        _call([python, "-m", "pip", "install", "--quiet", "--no-input", *wanted])
    (place / "complete").write_text(" ".join(requirements) + "\n", encoding="utf-8")


def remove(name: str) -> None:
    place = folder() / name
    if place.exists():
        shutil.rmtree(place)


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if done.returncode:
        raise InstallFailed(done.stdout.strip()[-2000:])


def versions(name: str) -> dict[str, str]:
    """Of what was asked for, as installed; empty where the environment is not there."""
    if not installed(name):
        return {}
    wanted = [re.split(r"[\[=<>]", each)[0] for each in requirements_of(name).split()]
    code = (
        "import sys, json, importlib.metadata as m;"
        "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    )
    done = subprocess.run(
        [str(python_of(name)), "-c", code, *wanted], capture_output=True, text=True, check=False
    )
    found: dict[str, str] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found
