"""Random streams are decided by their names, and by nothing else."""

import subprocess
import sys

from hypothesis import given, strategies as st

from nexau.synth.streams import seed_of, stream

DRAW = 438
NAMES = st.lists(st.text() | st.integers(), max_size=4).map(tuple)


def test_the_draws_are_those_of_every_process_and_version() -> None:
    assert stream(7, "world", 3).randrange(1000) == DRAW
    program = "from nexau.synth.streams import stream; print(stream(7, 'world', 3).randrange(1000))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert int(output) == DRAW


@given(NAMES, NAMES, st.integers())
def test_other_names_are_another_stream(
    one: tuple[str | int, ...], two: tuple[str | int, ...], n: int
) -> None:
    assert (seed_of(n, *one) == seed_of(n, *two)) == (one == two)


def test_where_one_name_ends_matters_and_its_type() -> None:
    seeds = {seed_of(1, *names) for names in [("ab", "c"), ("a", "bc"), ("1",), (1,), ()]}
    assert len(seeds) == 5


def test_drawing_from_one_does_not_move_another() -> None:
    first, second = stream(1, "a"), stream(1, "b")
    expected = stream(1, "b").random()
    first.random()
    assert second.random() == expected
