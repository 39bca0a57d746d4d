import anyio
import pytest
from hypothesis import given, strategies as st

from nexau.budget import Budget, LimitReached, Reservation
from nexau.definitions.values import Price
from nexau.transports.protocol import Limits, Usage

pytestmark = pytest.mark.anyio


async def test_a_step_is_spent_by_every_ancestor() -> None:
    root = Budget(Limits(steps=3))
    child = root.child(Limits(steps=10), "root/a#1")
    grandchild = child.child(Limits(), "root/a#1/b#1")
    assert grandchild.take_step() is None
    assert child.take_step() is None
    assert (root.steps, child.steps, grandchild.steps) == (2, 2, 1)
    assert root.take_step() is None
    assert grandchild.take_step() == LimitReached("steps", "root", 3)
    assert (root.steps, child.steps, grandchild.steps) == (3, 2, 1), "a refused step costs nothing"


async def test_depth_counts_from_whoever_bounds_it() -> None:
    root = Budget(Limits(depth=1))
    assert root.may_descend() is None
    child = root.child(Limits(), "root/a#1")
    assert child.may_descend() == LimitReached("depth", "root", 1)
    assert Budget(Limits(depth=0)).may_descend() == LimitReached("depth", "root", 0)


async def test_seconds_of_the_nearest_deadline_count() -> None:
    root = Budget(Limits(seconds=10))
    soon = root.child(Limits(seconds=1), "root/a#1")
    late = root.child(Limits(seconds=100), "root/b#1")
    assert soon.deadline_owner is soon
    assert late.deadline_owner is root
    assert late.deadline == root.deadline


async def test_without_token_or_cost_limits_nothing_is_held() -> None:
    budget = Budget(Limits(steps=1))
    assert await budget.reserve(10**9, 512, None) == Reservation(0, 0.0, 512)


async def test_a_reservation_clamps_the_answer_to_what_is_left() -> None:
    root = Budget(Limits(tokens=100))
    held = await root.reserve(30, 4096, None)
    assert isinstance(held, Reservation)
    assert held.max_tokens == 100 - 11
    root.settle(held, Usage(input_tokens=10, output_tokens=20))
    assert (root.tokens, root.held_tokens) == (30, 0)
    assert isinstance(await root.reserve(300, None, None), LimitReached)


async def test_siblings_wait_for_what_others_hold() -> None:
    root = Budget(Limits(tokens=100))
    a, b = root.child(Limits(), "root/a#1"), root.child(Limits(), "root/b#1")
    first = await a.reserve(0, None, None)
    assert isinstance(first, Reservation)
    got: list[Reservation | LimitReached] = []

    async def second() -> None:
        got.append(await b.reserve(0, None, None))

    async with anyio.create_task_group() as group:
        group.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        assert not got, "all tokens are held by the sibling"
        a.settle(first, Usage(output_tokens=40))
    (held,) = got
    assert isinstance(held, Reservation)
    assert held.tokens == 60


async def test_cost_is_bounded_by_price() -> None:
    price = Price(input=1.0, output=10.0)
    root = Budget(Limits(cost=0.001))
    held = await root.reserve(0, None, price)
    assert isinstance(held, Reservation)
    assert held.max_tokens == 99, "a tenth of a cent less one prompt token buys 99 output tokens"
    root.settle(held, Usage(output_tokens=99, cost=0.00099))
    assert await root.reserve(0, None, price) == LimitReached("cost", "root", 0.001)


@given(
    bound=st.integers(1, 10_000),
    turns=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 600), st.integers(0, 400)), max_size=30
    ),
)
def test_siblings_never_overspend_tokens(bound: int, turns: list[tuple[int, int, int]]) -> None:
    """Whatever the interleaving, spent plus held stays within the bound when estimates hold."""
    root = Budget(Limits(tokens=bound))
    children = [root.child(Limits(), f"root/a#{i}") for i in range(3)]
    held: list[tuple[Budget, Reservation, int]] = []
    for who, prompt, answer in turns:
        room = children[who]._room(prompt // 3 + 1, 200, None)
        if isinstance(room, Reservation):
            children[who]._hold(room.tokens, room.cost)
            held.append((children[who], room, answer))
        assert root.tokens + root.held_tokens <= bound
        if len(held) > 2:
            budget, reservation, used = held.pop(0)
            assert reservation.max_tokens is not None
            output = min(used, reservation.max_tokens)
            prompt_tokens = reservation.tokens - reservation.max_tokens
            budget.settle(reservation, Usage(prompt_tokens, output))
            assert root.tokens + root.held_tokens <= bound
    assert root.tokens == sum(child.tokens for child in children)
