"""What tells one trajectory from another: its task's words, its tools in order, its topology."""

from collections import Counter
from collections.abc import Iterable, Sequence
from zlib import crc32

import msgspec
from msgspec import Struct

from nexau.synth.words import words
from nexau.trajectory import CallResult, Step, Trajectory
from nexau.transports.protocol import Text

_BYTES_A_TOKEN = 4
_encode = msgspec.json.Encoder().encode


class Features(Struct, frozen=True, gc=False):
    task: tuple[str, ...]
    """Stems of the words of the request."""
    tools: tuple[str, ...]
    """Names of the calls, in order."""
    topology: str
    """Of the agents that took part: `canonical`."""
    agents: int
    depth: int
    """Levels of agents below the root."""
    steps: int
    tokens: int
    """As endpoints counted; where they did not, bytes of text over four."""
    estimated: bool
    failed: int
    """Calls that failed."""


def features_of(trajectory: Trajectory) -> Features:
    """Of what was said and done: nothing that time enters, so that the same rollout, run again, has
    the same.
    """
    paths = {step.agent for step in trajectory.steps}
    usage = trajectory.usage
    tokens = usage.input_tokens + usage.output_tokens
    # Prompts are counted anew with every turn: what is long is the text, not the bill.
    spoken = sum(step.usage.output_tokens for step in trajectory.steps)
    first = max((step.usage.input_tokens for step in trajectory.steps), default=0)
    counted = first + spoken if tokens else 0
    return Features(
        tuple(words(trajectory.input)),
        tuple([call.name for step in trajectory.steps for call in step.calls]),
        canonical(paths),
        len(paths),
        max((path.count("/") for path in paths), default=0),
        len(trajectory.steps),
        counted or sum(map(_size, trajectory.steps)) // _BYTES_A_TOKEN,
        not counted,
        sum(result.is_error for step in trajectory.steps for result in step.results),
    )


def _size(step: Step) -> int:
    """Bytes, or near it, of the text that a step adds to its conversation."""
    size = len(step.response) + len(step.reasoning or "")
    if step.prompt:
        size += len(_encode(step.prompt))
    for call in step.calls:
        size += len(call.name) + len(_encode(call.arguments))
    for result in step.results:
        size += _size_of(result)
    return size


def _size_of(result: CallResult) -> int:
    size = sum(len(part.text) for part in result.content if isinstance(part, Text))
    return size or (0 if result.structured is None else len(_encode(result.structured)))


def canonical(paths: Iterable[str]) -> str:
    """The AHU string of a tree of agents (Aho, Hopcroft, Ullman 1974): equal for trees that differ
    only in the order of children and in names."""
    children: dict[str, list[str]] = {}
    known = set(paths)
    for path in known:
        children.setdefault(path.rpartition("/")[0], []).append(path)

    def draw(path: str) -> str:
        return f"({''.join(sorted(draw(child) for child in children.get(path, ())))})"

    roots = [path for path in known if path.rpartition("/")[0] not in known]
    return "".join(sorted(draw(root) for root in roots))


def grams(names: Sequence[str], most: int = 3) -> Counter[str]:
    """Runs of one to `most` names."""
    counts: Counter[str] = Counter()
    for size in range(1, most + 1):
        counts.update(
            ">".join(names[start : start + size]) for start in range(len(names) - size + 1)
        )
    return counts


def hashed(counts: Iterable[tuple[str, float]], size: int) -> dict[int, float]:
    """The hashing trick (Weinberger et al. 2009): places of a vector with their signed values."""
    made: dict[int, float] = {}
    for name, count in counts:
        code = crc32(name.encode())
        place = code % size
        made[place] = made.get(place, 0.0) + (count if code & 0x8000_0000 else -count)
    return made
