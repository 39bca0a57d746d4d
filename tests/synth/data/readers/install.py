"""Install outside readers of training formats into `.cache/readers/`, from PyPI by name.

python tests/synth/data/readers/install.py

An environment holds what can be imported whole without a model: transformers (its templates need no
torch), mistral-common, and the typed models of openai and anthropic. Of sglang, trl and harbor only
some files are taken out of the wheel: parsers of calls, chat templates, models of ATIF. What is
there already, in the versions wanted, is left alone. Progress goes to stderr.
"""

import fcntl
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

CACHE = Path(__file__).parents[4] / ".cache" / "readers"
ENVIRONMENT = (
    "transformers==5.24.0",
    "jinja2==3.1.6",
    "mistral-common==1.13.1",
    "sentencepiece",
    "openai==3.57.0",
    "anthropic==2.14.0",
    "pydantic==2.14.4",
    "orjson",
    "partial-json-parser",
)
WHEELS = {
    "sglang==0.5.23": ("sglang/srt/function_call/", "sglang/srt/parser/harmony_parser.py"),
    "trl==1.16.0": ("trl/chat_templates/",),
    "harbor==0.26.0": ("harbor/models/trajectories/",),
}


def install(folder: Path = CACHE) -> None:
    """Raises subprocess.CalledProcessError when pip fails. One process at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(folder)


def _install(folder: Path) -> None:
    stamp = folder / "installed"
    wanted = "\n".join((*ENVIRONMENT, *WHEELS, str(folder.resolve())))
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("installing readers of training formats", file=sys.stderr)
    venv.create(folder / "venv", with_pip=True, clear=True)
    _pip(folder, "install", *ENVIRONMENT)
    for wheel, places in WHEELS.items():
        _unpack(folder, wheel, places)
    stamp.write_text(wanted)


def _unpack(folder: Path, wheel: str, places: tuple[str, ...]) -> None:
    """Nothing of it runs, so a wheel for another platform or Python will do."""
    with tempfile.TemporaryDirectory() as held:
        _pip(folder, "download", "--no-deps", "--only-binary=:all:", "--python-version=3.12",
             "--platform=manylinux_2_34_x86_64", "--platform=manylinux_2_28_x86_64",
             "--platform=any", "--dest", held, wheel)  # fmt: skip
        with zipfile.ZipFile(next(Path(held).glob("*.whl"))) as archive:
            names = [name for name in archive.namelist() if name.startswith(places)]
            archive.extractall(folder / "unpacked", names)


def _pip(folder: Path, verb: str, *arguments: str) -> None:
    command = (folder / "venv" / "bin" / "python", "-m", "pip", verb, "-qq",
               "--disable-pip-version-check", "--no-input", *arguments)  # fmt: skip
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


if __name__ == "__main__":
    install()
