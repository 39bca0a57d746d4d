"""prime-rl: a training sample a line.

Source: PrimeIntellect-ai/prime-rl, `TrainingSample` (token_ids, mask, logprobs, temperatures,
env_name). The mask and the logprobs cover the whole sequence, prompt and all; temperatures are not
recorded, and left out.
"""

import msgspec
from msgspec import Struct

from nexau.synth.data.conversation import Unfit
from nexau.synth.data.formats.base import Head, decoded
from nexau.synth.data.formats.tensors import TensorFormat, encode
from nexau.synth.data.tokens import Sample
from nexau.trajectory import Trajectory


class _Training(Struct, omit_defaults=True, gc=False):
    token_ids: tuple[int, ...]
    mask: tuple[bool, ...]
    env_name: str
    prompt_length: int
    turns: int
    logprobs: tuple[float, ...] | None = None
    reward: float | None = None
    id: str = ""
    agent: str = ""
    stop: str = ""
    lineage: str = ""


class PrimeRL(TensorFormat):
    name = "prime-rl"
    summary = "prime-rl training samples of token ids"
    needs_reward = False

    def __init__(self) -> None:
        super().__init__()
        self._decoder = msgspec.json.Decoder(_Training)

    def record(self, made: list[Sample], trajectory: Trajectory, head: Head) -> bytes:
        return b"\n".join(
            encode(
                _Training(
                    each.prompt_ids + each.response_ids,
                    (False,) * len(each.prompt_ids) + tuple(map(bool, each.mask)),
                    trajectory.agent,
                    len(each.prompt_ids),
                    each.turns,
                    None
                    if each.logprobs is None
                    else (0.0,) * len(each.prompt_ids) + each.logprobs,
                    trajectory.reward,
                    head.id,
                    each.path,
                    each.stop,
                    head.lineage,
                )
            )
            for each in made
        )

    def read(self, line: bytes) -> list[Sample]:
        made: list[Sample] = []
        for each in line.splitlines():
            row = decoded(self._decoder, each)
            start = row.prompt_length
            if len(row.mask) != len(row.token_ids) or any(row.mask[:start]):
                raise Unfit("a mask that does not fit its tokens")
            made.append(
                Sample(
                    row.agent,
                    row.token_ids[:start],
                    row.token_ids[start:],
                    tuple(map(int, row.mask[start:])),
                    None if row.logprobs is None else row.logprobs[start:],
                    row.turns,
                    row.stop,
                )
            )
        return made


FORMATS = (PrimeRL,)
