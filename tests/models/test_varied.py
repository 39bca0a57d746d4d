"""Variations on a gold plan: each style does what it says, and only with real calls."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from nexau.definitions.values import PlanModel, Style
from nexau.models.base import (
    AssistantMessage,
    Message,
    ModelRequest,
    ToolCall,
    ToolMessage,
    Turn,
    UserMessage,
)
from nexau.models.fabricate import alternative, slipped
from nexau.models.varied import NEGATIVE, STYLES, VariedPolicy
from nexau.transports.protocol import Text, ToolSpec

pytestmark = pytest.mark.anyio


def spec(name: str, *required: str, reads: bool = True) -> ToolSpec:
    schema = {
        "type": "object",
        "properties": {key: {"type": "string"} for key in required},
        "required": list(required),
    }
    return ToolSpec(name, name, schema, {"readOnlyHint": reads})


TOOLS = (
    spec("find_orders", "customer_id"),
    spec("get_order", "order_id"),
    spec("get_customer", "customer_id"),
    spec("cancel_order", "order_id", reads=False),
)
PLAN = {
    "turns": [
        [{"id": "all", "name": "find_orders", "arguments": {"customer_id": "C-17"}}],
        [
            {
                "id": "one",
                "name": "get_order",
                "arguments": {"order_id": {"$result": "all", "pointer": "/orders/0/id"}},
            }
        ],
        [
            {
                "id": "end",
                "name": "cancel_order",
                "arguments": {"order_id": {"$result": "all", "pointer": "/orders/0/id"}},
            }
        ],
    ],
    "answer": "Order {{one/id}} is {{end/state}}.",
}


class Shop:
    """Answers as a server would, and remembers what was changed."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self.calls: list[ToolCall] = []

    def answer(self, call: ToolCall) -> ToolMessage:
        self.calls.append(call)
        arguments = call.arguments or {}
        wanted = {"customer_id": "C-17", "order_id": "O-42"}
        known = {key: value for key, value in wanted.items() if arguments.get(key) == value}
        if not known:
            return ToolMessage(call.id, (Text(f"nothing at {arguments}"),), is_error=True)
        if call.name == "cancel_order":
            self.cancelled.append(arguments["order_id"])
            return ToolMessage(call.id, (), structured={"id": "O-42", "state": "cancelled"})
        if call.name == "find_orders":
            return ToolMessage(call.id, (), structured={"orders": [{"id": "O-42"}]})
        return ToolMessage(call.id, (), structured={"id": "O-42", "customer_id": "C-17"})


async def play(style: Style, seed: int, state: int | None = None) -> tuple[list[Turn], Shop]:
    policy = VariedPolicy(PlanModel(style=style, share=0.5, state=state))
    shop = Shop()
    messages: list[Message] = [UserMessage("Cancel my order.")]
    said: list[Turn] = []
    while not said or said[-1].calls:
        turn = await policy.turn(
            ModelRequest(messages, TOOLS, turn=len(said), seed=seed, plan=PLAN, task="t")
        )
        said.append(turn)
        assert turn.model == f"plan:{style}"
        messages.append(AssistantMessage(turn.content, turn.calls))
        messages.extend(map(shop.answer, turn.calls))
        assert len(said) < 30
    ids = [call.id for turn in said for call in turn.calls]
    assert len(set(ids)) == len(ids)
    return said, shop


async def over_seeds(style: Style, holds: Callable[[list[Turn], Shop], bool]) -> int:
    return sum([holds(*await play(style, seed)) for seed in range(40)])


def errors(shop: Shop) -> int:
    return sum(shop.answer(call).is_error for call in list(shop.calls))


async def test_gold_is_the_plan() -> None:
    said, shop = await play("gold", 1)
    assert [call.name for call in shop.calls] == ["find_orders", "get_order", "cancel_order"]
    assert said[-1].content == "Order O-42 is cancelled."


@pytest.mark.parametrize("style", ["detour", "recover"])
async def test_detours_and_recoveries_reach_the_goal(style: Style) -> None:
    def reached(said: list[Turn], shop: Shop) -> bool:
        return shop.cancelled == ["O-42"] and said[-1].content == "Order O-42 is cancelled."

    assert await over_seeds(style, reached) == 40
    assert await over_seeds(style, lambda said, shop: len(shop.calls) > 3) >= 20


async def test_a_recovery_is_from_a_real_error_and_a_detour_makes_none() -> None:
    assert await over_seeds("recover", lambda said, shop: errors(shop) > 0) >= 20
    assert await over_seeds("detour", lambda said, shop: errors(shop) > 0) == 0


async def test_exploring_departs_once_and_stops() -> None:
    departed = {
        tuple((c.name, str(c.arguments)) for c in shop.calls)
        for _, shop in [await play("explore", seed) for seed in range(40)]
    }
    gold = [("find_orders", "{'customer_id': 'C-17'}"), ("get_order", "{'order_id': 'O-42'}")]
    assert len(departed) >= 4
    for path in departed:
        same = sum(one == other for one, other in zip(path, gold, strict=False))
        assert same >= len(path) - 1
    assert len({len(path) for path in departed}) == 1, "all repeats depart at one state"


@pytest.mark.parametrize("state", [0, 1, 2])
async def test_the_state_at_which_to_explore_can_be_named(state: int) -> None:
    for seed in range(10):
        said, shop = await play("explore", seed, state)
        assert len(shop.calls) == state + 1
        assert said[-2].calls[0].id.startswith("extra-")


async def test_a_plan_that_is_too_short_to_explore_is_played() -> None:
    said, shop = await play("explore", 1, 3)
    assert shop.cancelled == ["O-42"]
    assert said[-1].content == "Order O-42 is cancelled."


async def test_a_loop_repeats_one_call_and_gives_up() -> None:
    said, shop = await play("loop", 3)
    counts = [sum(c.name == name for c in shop.calls) for name in {c.name for c in shop.calls}]
    assert max(counts) >= 4
    assert "could not" in said[-1].content


async def test_an_ignored_error_ends_in_a_claim() -> None:
    def lies(said: list[Turn], shop: Shop) -> bool:
        return errors(shop) > 0 and not shop.cancelled

    assert await over_seeds("ignore_errors", lies) >= 10
    assert await over_seeds("ignore_errors", lambda said, shop: errors(shop) == 1) >= 20


async def test_a_false_claim_changes_nothing() -> None:
    said, shop = await play("false_claim", 1)
    assert shop.cancelled == []
    assert [call.name for call in shop.calls] == ["find_orders", "get_order"]
    assert any(word in said[-1].content for word in ("updated", "has been made"))


async def test_a_seed_replays_and_seeds_differ() -> None:
    first = [await play("recover", seed) for seed in range(10)]
    again = [await play("recover", seed) for seed in range(10)]
    assert [said for said, _ in first] == [said for said, _ in again]
    assert len({str(said) for said, _ in first}) > 3


async def test_a_mix_draws_a_style_for_each_rollout() -> None:
    policy = VariedPolicy(PlanModel(mix={"gold": 1.0, "false_claim": 1.0}))
    drawn = {
        (await policy.turn(ModelRequest([UserMessage("x")], TOOLS, seed=seed, plan=PLAN))).model
        for seed in range(20)
    }
    assert drawn == {"plan:gold", "plan:false_claim"}


def test_negative_styles_are_styles() -> None:
    assert set(STYLES) > NEGATIVE


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers(), min_size=1), st.integers())
def test_a_slip_is_never_the_same_call(arguments: dict[str, Any], seed: int) -> None:
    wrong = slipped(ToolCall("c", "x", arguments), {"required": list(arguments)}, Random(seed))
    assert wrong is not None
    assert wrong != arguments


def test_an_alternative_is_grounded_or_none() -> None:
    nothing = alternative(TOOLS, [UserMessage("x")], Random(1))
    assert nothing is None
    seen = [ToolMessage("c", (), structured={"orders": [{"id": "O-42"}]})]
    assert alternative(TOOLS, seen, Random(1)) == ("get_order", {"order_id": "O-42"})
