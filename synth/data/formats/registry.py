"""The formats, by name: those of conversations, and those of whole rollouts."""

from nexau.definitions.values import DefinitionError
from nexau.files.nearest import hint
from nexau.synth.data.formats import (
    anthropic,
    atif,
    atropos,
    deepseek,
    early_experience,
    glm45,
    harmony,
    hermes,
    kimi_k2,
    llama,
    minimax_m2,
    mistral,
    nexau_xml,
    ng_trajectory,
    openai,
    prime_rl,
    qwen3_coder,
    sharegpt,
    skyrl,
    verifiers,
    verl,
)
from nexau.synth.data.formats.base import Format
from nexau.synth.data.formats.rollouts import RolloutFormat

FORMATS: dict[str, type[Format]] = {
    kind.name: kind
    for module in (
        openai,
        anthropic,
        sharegpt,
        hermes,
        qwen3_coder,
        deepseek,
        kimi_k2,
        glm45,
        minimax_m2,
        llama,
        harmony,
        mistral,
        nexau_xml,
    )
    for kind in module.FORMATS
}


ROLLOUT_FORMATS: dict[str, type[RolloutFormat]] = {
    kind.name: kind
    for module in (atif, ng_trajectory, verifiers, early_experience, verl, skyrl, atropos, prime_rl)
    for kind in module.FORMATS
}


def format_of(name: str) -> Format | RolloutFormat:
    """Raises `DefinitionError`, with the nearest name."""
    found = FORMATS.get(name) or ROLLOUT_FORMATS.get(name)
    if found is None:
        names = [*FORMATS, *ROLLOUT_FORMATS]
        raise DefinitionError(f"no format {name!r}{hint(name, names, 'formats')}")
    return found()
