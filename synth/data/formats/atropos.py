"""Atropos: a scored group of token lists, the sequences of one rollout.

Source: NousResearch/atropos, `ScoredDataGroup` (tokens, masks, scores, inference_logprobs). A mask
holds the token where the model said it and -100 elsewhere; `inference_logprobs` is 1.0 elsewhere.
Its trainer compares what is in one group, so rollouts of one task have to be joined, by `group`.
"""

import msgspec
from msgspec import Struct

from nexau.synth.data.conversation import Unfit
from nexau.synth.data.formats.base import Head, decoded
from nexau.synth.data.formats.tensors import TensorFormat, encode
from nexau.synth.data.tokens import Sample
from nexau.trajectory import Trajectory

MASKED = -100
UNSAID = 1.0


class _Group(Struct, omit_defaults=True, gc=False):
    tokens: list[tuple[int, ...]]
    masks: list[tuple[int, ...]]
    scores: list[float]
    inference_logprobs: list[tuple[float, ...]] | None = None
    overrides: list[dict[str, str | int]] = []
    """Path, turns and finish reason of each."""
    id: str = ""
    group: str = ""
    lineage: str = ""


class Atropos(TensorFormat):
    name = "atropos"
    summary = "Atropos scored groups of token ids"

    def __init__(self) -> None:
        super().__init__()
        self._decoder = msgspec.json.Decoder(_Group)

    def record(self, made: list[Sample], trajectory: Trajectory, head: Head) -> bytes:
        logprobs: list[tuple[float, ...]] | None = None
        if made and all(each.logprobs is not None for each in made):
            logprobs = [_logprobs(each) for each in made]
        elif any(each.logprobs is not None for each in made):
            raise Unfit("logprobs for some sequences and not for others")
        return encode(
            _Group(
                [each.prompt_ids + each.response_ids for each in made],
                [_mask(each) for each in made],
                [trajectory.reward or 0.0] * len(made),
                logprobs,
                [
                    {
                        "agent": each.path,
                        "turns": each.turns,
                        "stop": each.stop,
                        "prompt": len(each.prompt_ids),
                    }
                    for each in made
                ],
                head.id,
                trajectory.group or trajectory.task,
                head.lineage,
            )
        )

    def read(self, line: bytes) -> list[Sample]:
        group = decoded(self._decoder, line)
        made: list[Sample] = []
        for index, (tokens, mask, about) in enumerate(
            zip(group.tokens, group.masks, group.overrides, strict=True)
        ):
            start = int(about["prompt"])
            if len(tokens) != len(mask):
                raise Unfit("a mask that is not as long as its tokens")
            said = tuple(int(token != MASKED) for token in mask[start:])
            logprobs: tuple[float, ...] | None = None
            if group.inference_logprobs is not None:
                given = zip(group.inference_logprobs[index][start:], said, strict=True)
                logprobs = tuple(0.0 if value == UNSAID and not s else value for value, s in given)
            made.append(
                Sample(
                    str(about["agent"]),
                    tokens[:start],
                    tokens[start:],
                    said,
                    logprobs,
                    int(about["turns"]),
                    str(about["stop"]),
                )
            )
        return made


def _mask(sample: Sample) -> tuple[int, ...]:
    said = tuple(
        token if counted else MASKED
        for token, counted in zip(sample.response_ids, sample.mask, strict=True)
    )
    return (MASKED,) * len(sample.prompt_ids) + said


def _logprobs(sample: Sample) -> tuple[float, ...]:
    assert sample.logprobs is not None
    said = tuple(
        value if counted or value else UNSAID
        for value, counted in zip(sample.logprobs, sample.mask, strict=True)
    )
    return (UNSAID,) * len(sample.prompt_ids) + said


FORMATS = (Atropos,)
