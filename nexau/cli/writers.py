"""The model that writes: what `--writer` and `--model` of the generators name."""

from pathlib import Path
from typing import Any

import nexau
from nexau.cli.exits import stop
from nexau.definitions.structs import model_from_text
from nexau.files.paths import is_file


def writer_model(option: str, given: str | None) -> nexau.OpenAIModel | None:
    """`openai:NAME`, or an agent file, whose model it is. Ends the command for anything else."""
    if given is None:
        return None
    if is_file(Path(given)):
        try:
            model: Any = nexau.load_agent(given).model
        except nexau.DefinitionError as error:
            stop(str(error))
    else:
        model = model_from_text(given)
    if not isinstance(model, nexau.OpenAIModel):
        stop(f"{option}: expected openai:NAME or an agent file with such a model, got {given!r}")
    return model
