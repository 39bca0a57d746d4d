"""SkyRL: lists over the sequences of a rollout.

Source: NovaSky-AI/SkyRL, `GeneratorOutput` (prompt_token_ids, response_ids, rewards, loss_masks,
stop_reasons, rollout_logprobs, trajectory_ids). Each sequence gets the reward of its rollout.
"""

import msgspec
from msgspec import Struct

from nexau.synth.data.formats.base import Head, decoded
from nexau.synth.data.formats.tensors import TensorFormat, encode
from nexau.synth.data.tokens import Sample
from nexau.trajectory import Trajectory


class _Output(Struct, omit_defaults=True, gc=False):
    prompt_token_ids: list[tuple[int, ...]]
    response_ids: list[tuple[int, ...]]
    rewards: list[float]
    loss_masks: list[tuple[int, ...]]
    stop_reasons: list[str]
    trajectory_ids: list[str]
    """`rollout@path`."""
    rollout_logprobs: list[tuple[float, ...] | None] | None = None
    num_turns: list[int] = []
    lineage: str = ""


class SkyRL(TensorFormat):
    name = "skyrl"
    summary = "SkyRL generator output of token ids"

    def __init__(self) -> None:
        super().__init__()
        self._decoder = msgspec.json.Decoder(_Output)

    def record(self, made: list[Sample], trajectory: Trajectory, head: Head) -> bytes:
        logprobs = [each.logprobs for each in made]
        return encode(
            _Output(
                [each.prompt_ids for each in made],
                [each.response_ids for each in made],
                [trajectory.reward or 0.0] * len(made),
                [each.mask for each in made],
                [each.stop for each in made],
                [f"{head.id}@{each.path}" for each in made],
                logprobs if any(each is not None for each in logprobs) else None,
                [each.turns for each in made],
                head.lineage,
            )
        )

    def read(self, line: bytes) -> list[Sample]:
        output = decoded(self._decoder, line)
        logprobs = output.rollout_logprobs or [None] * len(output.response_ids)
        return [
            Sample(identity.rpartition("@")[2], *rest)
            for identity, *rest in zip(
                output.trajectory_ids,
                output.prompt_token_ids,
                output.response_ids,
                output.loss_masks,
                logprobs,
                output.num_turns,
                output.stop_reasons,
                strict=True,
            )
        ]


FORMATS = (SkyRL,)
