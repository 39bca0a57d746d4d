from collections.abc import Iterator
from contextlib import closing

import pytest

from nexau.synth.worlds.state import State, Template
from tests.worlds.worlds_for_tests import world_of


@pytest.fixture(scope="session")
def template() -> Iterator[Template]:
    with closing(Template(world_of())) as made:
        yield made


@pytest.fixture
def state(template: Template) -> Iterator[State]:
    with closing(template.state()) as made:
        yield made
