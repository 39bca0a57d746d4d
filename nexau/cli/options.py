"""Options and arguments that several commands share."""

from typing import Annotated, Literal

import typer

LogLevelName = Literal["debug", "info", "warning", "error"]
LogLevel = Annotated[
    LogLevelName,
    typer.Option(envvar="NEXAU_LOG", help="Logs from this level up go to stderr."),
]
Backend = Annotated[
    Literal["uvloop", "asyncio", "trio"],
    typer.Option(envvar="NEXAU_BACKEND", help="The event loop.", hidden=True),
]
Seed = Annotated[int, typer.Option(help="Every rollout's own seed is derived from it.")]
EmitKind = Literal["trajectories", "steps", "events"]
Emit = Annotated[
    EmitKind,
    typer.Option(help="What a line of stdout is. Trajectories are written the moment they end."),
]
Grace = Annotated[
    float,
    typer.Option(
        min=0, metavar="SECONDS", help="After Ctrl-C, what runs may take as long to finish."
    ),
]
RedactName = Literal["all", "known"]
Redact = Annotated[
    RedactName,
    typer.Option(
        envvar="NEXAU_REDACT",
        help="Taken out of all output: secrets of the environment and of the agent file (known),"
        " or also what looks like a common key (all).",
    ),
]
AgentFile = Annotated[str, typer.Argument(metavar="AGENT", help="An agent file (YAML).")]
OptionalAgentFile = Annotated[
    str | None, typer.Argument(metavar="AGENT", help="An agent file (YAML).")
]
