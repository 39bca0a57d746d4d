"""What a user gets: the wheel, built from the sdist, and its types."""

import ast
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = {"nexau.actors": "actors", "nexau.transports": "transports", "nexau.synth": "synth"}
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=CLEAN, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listed_packages() -> list[str]:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return list(pyproject["tool"]["setuptools"]["packages"])


def packages_on_disk() -> set[str]:
    found = {"nexau"}
    for package, folder in {"nexau": "nexau", **FLOORS}.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inner = init.parent.relative_to(ROOT / folder)
            # The links in nexau/ lead to the other floors, which come under their own names.
            if not any((ROOT / folder / part).is_symlink() for part in inner.parts[:1]):
                found.add(".".join((package, *inner.parts)))
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without isolation: the tools are those that the lock file pins."""
    out = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", out)
    run(*build, "--sdist", ROOT, cwd=out)
    (sdist,) = out.glob("nexau-*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(out / "unpacked", filter="data")
    (source,) = (out / "unpacked").iterdir()
    run(*build, "--wheel", source, cwd=out)
    (made,) = out.glob("nexau-*.whl")
    return made


def test_every_package_on_disk_is_listed() -> None:
    assert set(listed_packages()) == packages_on_disk()


@pytest.mark.slow
def test_the_wheel_holds_one_package_with_all_floors(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"nexau"}
    for package in listed_packages():
        assert f"{package.replace('.', '/')}/__init__.py" in names, package
    for package in ("nexau", *FLOORS):
        assert f"{package.replace('.', '/')}/py.typed" in names, package
    for folder in FLOORS.values():
        for source in (ROOT / folder).rglob("*.py"):
            assert f"nexau/{source.relative_to(ROOT)}" in names
    for source in (ROOT / "nexau" / "cli").glob("*.py"):
        assert f"nexau/cli/{source.name}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "test" in Path(name).parts[0]]


@pytest.mark.slow
@pytest.mark.outside
def test_it_installs_and_imports_where_nothing_else_is(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, from a folder that has modules with the names of our floors."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input")
    run(*pip, "--require-hashes", "-r", ROOT / "requirements" / "runtime.lock", cwd=tmp_path)
    run(*pip, "--no-deps", wheel, cwd=tmp_path)
    for name in ("actors", "transports", "synth"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    loaded = ast.literal_eval(
        run(python, "-c", "import nexau.actors, sys; print(sorted(sys.modules))", cwd=tmp_path)
    )
    assert "nexau.actors" in loaded
    assert not [name for name in loaded if name.startswith(("nexau.transports", "nexau.cli"))]
    assert not {"mcp", "aiohttp", "httpx2", "pydantic"} & set(loaded)
    for package in listed_packages():
        run(python, "-c", f"import {package}", cwd=tmp_path)
    assert "rollout" in run(tmp_path / "venv" / "bin" / "nexau", "--help", cwd=tmp_path)


CONSUMER = """
from nexau.definitions.values import Agent, PlanModel

agent = Agent(name="a", model=PlanModel())
reveal_type(agent)
reveal_type(agent.limits.steps)
wrong: int = agent.name
"""


@pytest.mark.slow
def test_a_type_checker_sees_our_types(tmp_path: Path) -> None:
    """From outside the project, through the (editable) install."""
    (tmp_path / "consumer.py").write_text(CONSUMER)
    checked = subprocess.run(
        (sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, "consumer.py"),
        cwd=tmp_path,
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    ).stdout
    assert 'note: Revealed type is "nexau.definitions.values.Agent"' in checked, checked
    assert 'note: Revealed type is "int | None"' in checked
    assert 'Incompatible types in assignment (expression has type "str"' in checked
    assert "import-untyped" not in checked
    assert "import-not-found" not in checked
