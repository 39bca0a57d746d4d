"""`--check`, `--signals` and the models of judges and users: options of `nexau rollout`."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

import nexau
from nexau.cli.exits import stop
from nexau.definitions.structs import model_from_text
from nexau.definitions.values import ModelConfig
from nexau.scoring.judging import Graders
from nexau.synth.tasks.judge import WorldJudge, exposed, worlds_of

Check = Annotated[
    bool,
    typer.Option("--check", help="Score each rollout by the check of its task; pass@k at the end."),
]
Signals = Annotated[
    bool, typer.Option("--signals", help="Mark each step by what came next: 1, 0 or -1.")
]
MODEL = "As in an agent file: openai:NAME, or a YAML file with a model's mapping."
JudgeModel = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help=f"Votes on steps of which rules do not tell. {MODEL}"),
]
UserModel = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help=f"Plays users who have a goal and no script. {MODEL}"),
]


class Grading(msgspec.Struct, frozen=True):
    """What was asked for."""

    check: bool
    signals: bool
    judge_model: str | None
    user_model: str | None

    def graders(self, agent: nexau.Agent) -> Graders:
        """Raises `DefinitionError` for a world that cannot be read."""
        judge = WorldJudge(worlds_of(agent)) if self.check else None
        return Graders(
            judge,
            self.signals or self.judge_model is not None,
            None if self.judge_model is None else model_of("--judge-model", self.judge_model),
            None if self.user_model is None else model_of("--user-model", self.user_model),
        )

    def prepared(self, agent: nexau.Agent) -> nexau.Agent:
        """The agent, with worlds whose final state can be read where it is to be checked."""
        return exposed(agent) if self.check else agent


def model_of(option: str, text: str) -> ModelConfig:
    """Ends the command for what is no model."""
    made = model_from_text(text)
    if made is not None:
        return made
    file = Path(text)
    try:
        read: ModelConfig = msgspec.yaml.decode(file.read_bytes(), type=ModelConfig)
        return read
    except OSError as error:
        stop(f"{option}: expected openai:NAME or a YAML file, got {text!r}: {error.strerror}")
    except msgspec.DecodeError as error:
        stop(f"{option}: {file}: {error}")
