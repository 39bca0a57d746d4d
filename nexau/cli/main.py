"""`nexau`: the command line. One module a command, imported when it is called."""

import signal
import sys
from collections.abc import Mapping
from typing import ClassVar

import typer

from nexau.cli.exits import FAILED, INTERRUPTED, leave_stdout, say
from nexau.cli.lazy import LazyGroup
from nexau.journal.files import FULL


class Nexau(LazyGroup):
    table: ClassVar[Mapping[str, tuple[str, str]]] = {
        "run": ("nexau.cli.run", "One rollout of an agent: watch it work, or pipe it on."),
        "rollout": ("nexau.cli.rollout", "Rollouts of many tasks, as JSON lines on stdout."),
        "runs": ("nexau.cli.runs", "Runs that were kept: list, show, verify, print."),
        "check": ("nexau.cli.check", "Find what is wrong with agent and task files."),
        "schema": ("nexau.cli.schema", "JSON Schema of files and of output, for editors."),
        "import": ("nexau.cli.importing", "Convert agent files of the original NexAU runtime."),
        "mcp": ("nexau.cli.mcp", "List and call the tools of any MCP server."),
        "pipeline": ("nexau.cli.pipeline", "From a sentence to training data, in one command."),
        "synth": ("nexau.cli.synth", "Make worlds, agents, tasks and training data."),
        "check-data": ("nexau.cli.check_data", "What is wrong with trajectories as training data."),
        "curate": ("nexau.cli.curate", "Keep the few trajectories that are worth most."),
        "measure": ("nexau.cli.measure", "Trajectories on the three axes: what is lacking."),
        "export": ("nexau.cli.export", "Trajectories in the formats that trainers read."),
        "lineage": ("nexau.cli.lineage", "From what an artefact was made."),
        "world": ("nexau.cli.world", "Serve, show and check worlds."),
        "bench": ("nexau.cli.bench", "Measure the runtime, one question at a time."),
        "version": ("nexau.cli.version", "Versions of nexau and of what it runs on."),
    }


EPILOG = """
**Examples**

`nexau run agent.yaml "Which of the open tickets is the oldest?"`

`nexau rollout agent.yaml tasks.jsonl --repeat 8 --concurrency 256 > trajectories.jsonl`

`nexau mcp tools -- npx -y @modelcontextprotocol/server-everything`

**Exit codes**

0 done · 1 something failed · 2 wrong input · 3 a limit ended `run` · 130 interrupted

stdout carries JSON lines only; logs and progress go to stderr.
"""

app = typer.Typer(
    name="nexau",
    cls=Nexau,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


@app.callback()
def nexau() -> None:
    """Run LLM agents as supervised async actors, on real MCP servers, many at once."""


def main() -> None:
    """The `nexau` program. Ends the process with one of the exit codes of `nexau.cli.exits`."""
    try:
        app(prog_name="nexau")
    except KeyboardInterrupt:
        # Before the event loop has taken over the signal, or after it.
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in FULL:
            raise
        # Of what libraries print: help, tables.
        leave_stdout()
        say(f"error: {error.filename or 'stdout'} cannot be written: {error.strerror}")
        sys.exit(FAILED)
    finally:
        # One Ctrl-C too many must not change the exit code of what is over.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
