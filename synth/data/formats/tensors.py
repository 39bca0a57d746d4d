"""What the formats of reinforcement learning share: samples of token ids."""

from abc import abstractmethod

import msgspec

from nexau.synth.data.conversation import Unfit
from nexau.synth.data.formats.base import Head
from nexau.synth.data.formats.rollouts import RolloutFormat
from nexau.synth.data.tokens import Sample, samples
from nexau.trajectory import Trajectory

encode = msgspec.json.Encoder().encode


class TensorFormat(RolloutFormat):
    """Reads back to the samples that it was written from."""

    leaves_out = "everything but token ids"
    needs_reward = True

    def write(self, trajectory: Trajectory, head: Head) -> bytes:
        if self.needs_reward and trajectory.reward is None:
            raise Unfit("no reward")
        return self.record(list(samples(trajectory)), trajectory, head)

    def compare(self, line: bytes, trajectory: Trajectory) -> str | None:
        written = [self.held(sample) for sample in samples(trajectory)]
        read = self.read(line)
        if encode(written) == encode(read):
            return None
        return f"{len(written)} samples became {len(read)} others"

    @abstractmethod
    def record(self, made: list[Sample], trajectory: Trajectory, head: Head) -> bytes: ...

    @abstractmethod
    def read(self, line: bytes) -> list[Sample]:
        """Raises `Unfit`."""

    def held(self, sample: Sample) -> Sample:
        """What the format holds of a sample."""
        return sample
