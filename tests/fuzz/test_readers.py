"""The short form of `make fuzz`: each reader, by plain mutation and by hypothesis."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tests.fuzz.mutation import mutated
from tests.fuzz.readers import MAX, READERS, Reader
from tests.fuzz.run import SLOW_READERS

_ROLLOUT = (Path(__file__).parent / "seeds" / "rollout.jsonl").read_bytes()
ONCE_WRONG = {
    "prompts": (b"{{ 1e999 }}",),
    "segments": (b"\xff\n\xff\n", b"\xff\n" + b"[" * 3000 + b"\n"),
    "journals": (b'["sum",\xff]\n',),
    "replays": (b'{"type":"trajectory","id":"\xc3"}\n', b'{"type":' + b"[" * 3000),
    "profiles": (b"[" * 3000,),
    "worlds": (b"world: w\nentities:\n  me!!x mber:\n    fields: {id: {type: text}}\n",),
    "imports": (
        b"type: agent\nmcp_servers:\n  - {name: a, command: c, args: 3, env: 4, timeout: x}\n",
        b"type: agent\nmcp_servers:\n  - {name: b, type: http, url: u, headers: 5}\n",
    ),
    "datasets": (
        _ROLLOUT.replace(b"find_order", b"find\xbdorder"),
        _ROLLOUT.replace(b'"call_id":"a"', b'"call_id":"z"'),
    ),
    "events": (b"retry: " + b"9" * 400 + b"\n\n",),
}
"""Inputs that went wrong once, and are to stay right."""


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_mutations(reader: Reader) -> None:
    for seed in (*reader.seeds, *ONCE_WRONG.get(reader.name, ()), b""):
        reader.read(seed)
    chance = random.Random(reader.name)
    for _ in range(60 if reader.name in SLOW_READERS else 400):
        data = mutated(chance, reader.seeds, MAX)
        try:
            reader.read(data)
        except BaseException as error:
            error.add_note(f"input: {data!r}")
            raise


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(READERS), st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_anything(reader: Reader, data: bytes) -> None:
    reader.read(data)
