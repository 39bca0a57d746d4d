"""The program itself: what it offers, and what it says to those who ask for something else."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from nexau.cli.main import Nexau, app
from tests.cli.conftest import Call

COMMANDS = list(Nexau.table)
EVERY = [[name] for name in COMMANDS] + [["mcp", "tools"], ["mcp", "call"]]


def test_help_names_every_command_and_the_exit_codes() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    for name, (_, summary) in Nexau.table.items():
        assert name in shown
        assert summary[:40] in shown
    assert "Exit codes" in shown
    assert "130 interrupted" in " ".join(shown.split())


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_has_help_with_an_example(words: list[str]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert " ".join(["nexau", *words]) in " ".join(result.stdout.split())


def test_nothing_asked_is_help() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert "rollout" in result.output


HEAVY = ("mcp", "aiohttp", "trio", "uvloop", "structlog", "jinja2", "nexau.runtime")
SNIFF = f"""
import sys
from nexau.cli.main import main
sys.argv = ["nexau", "--help"]
try:
    main()
except SystemExit:
    loaded = [name for name in {HEAVY} if name in sys.modules]
    sys.exit(f"loaded: {{loaded}}" if loaded else 0)
"""


def test_help_loads_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SNIFF], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "rollout" in done.stdout


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("rolout", "Did you mean 'rollout'?"),
        ("versoin", "Did you mean 'version'?"),
        ("xyzzy", "No such command 'xyzzy'"),
        ("--nope", "No such option: --nope"),
    ],
)
def test_what_there_is_not(call: Call, given: str, said: str) -> None:
    outcome = call(given)
    assert outcome.code == 2
    assert said in outcome.err
    assert not outcome.out


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_an_unknown_option_is_refused(call: Call, words: list[str]) -> None:
    outcome = call(*words, "--no-such-option")
    assert outcome.code == 2
    assert "no-such-option" in outcome.err
    assert not outcome.out


def test_completion_completes_commands() -> None:
    environment = {"_NEXAU_COMPLETE": "complete_bash", "COMP_WORDS": "nexau ro", "COMP_CWORD": "1"}
    result = CliRunner().invoke(app, [], env=environment, prog_name="nexau")
    assert result.stdout.split() == ["rollout"]


def test_completion_completes_options() -> None:
    environment = {
        "_NEXAU_COMPLETE": "complete_bash",
        "COMP_WORDS": "nexau rollout --conc",
        "COMP_CWORD": "2",
    }
    result = CliRunner().invoke(app, [], env=environment, prog_name="nexau")
    assert result.stdout.split() == ["--concurrency"]


def test_the_console_script_is_the_same_program(place: Path) -> None:
    script = Path(sys.executable).with_name("nexau")
    done = subprocess.run([script, "version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert '"nexau"' in done.stdout


def test_the_table_is_the_modules() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, Nexau)
    assert list(group.commands) == COMMANDS
