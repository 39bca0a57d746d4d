"""verl: a row for each sequence, with the mask of what the model said.

Source: volcengine/verl, `AgentLoopOutput` (prompt_ids, response_ids, response_mask,
response_logprobs, reward_score, num_turns).
"""

import msgspec
from msgspec import Struct

from nexau.synth.data.formats.base import Head, decoded
from nexau.synth.data.formats.tensors import TensorFormat, encode
from nexau.synth.data.tokens import Sample
from nexau.trajectory import Trajectory


class _Row(Struct, omit_defaults=True, gc=False):
    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    response_mask: tuple[int, ...]
    reward_score: float
    num_turns: int
    response_logprobs: tuple[float, ...] | None = None
    id: str = ""
    agent: str = ""
    stop: str = ""
    group: str = ""
    lineage: str = ""


class Verl(TensorFormat):
    name = "verl"
    summary = "verl rows of token ids"

    def __init__(self) -> None:
        super().__init__()
        self._decoder = msgspec.json.Decoder(_Row)

    def record(self, made: list[Sample], trajectory: Trajectory, head: Head) -> bytes:
        group = trajectory.group or trajectory.task
        return b"\n".join(
            encode(
                _Row(
                    each.prompt_ids,
                    each.response_ids,
                    each.mask,
                    trajectory.reward or 0.0,
                    each.turns,
                    each.logprobs,
                    head.id,
                    each.path,
                    each.stop,
                    group,
                    head.lineage,
                )
            )
            for each in made
        )

    def read(self, line: bytes) -> list[Sample]:
        rows = [decoded(self._decoder, each) for each in line.splitlines()]
        return [
            Sample(
                row.agent,
                row.prompt_ids,
                row.response_ids,
                row.response_mask,
                row.response_logprobs,
                row.num_turns,
                row.stop,
            )
            for row in rows
        ]


FORMATS = (Verl,)
