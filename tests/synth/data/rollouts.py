"""Trajectories for tests: a delegating rollout, with and without token ids."""

from typing import Any

import msgspec
from msgspec import Raw

from nexau.models.base import SystemMessage, TokenData, ToolCall, UserMessage
from nexau.trajectory import AgentRecord, CallResult, Step, Trajectory
from nexau.transports.protocol import Text, ToolSpec, Usage

LOOK = ToolSpec(
    "look_up",
    "Looks a customer up.",
    {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    {"readOnlyHint": True},
)
PAY = ToolSpec(
    "pay",
    "Pays money to a customer.",
    {
        "type": "object",
        "properties": {
            "customer_id": {"type": "string", "pattern": r"^C-\d+$"},
            "amount": {"type": "integer"},
        },
        "required": ["customer_id", "amount"],
        "additionalProperties": False,
    },
)
ASK = ToolSpec(
    "payer",
    "Pays.",
    {"type": "object", "properties": {"task": {"type": "string"}}, "required": ["task"]},
)


def result(call_id: str, value: Any, *, agent: str | None = None) -> CallResult:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    structured = None if isinstance(value, str) else value
    return CallResult(call_id, (Text(text),), False, None, structured, 0.01, agent)


def rollout(number: int = 0, *, tokens: bool = False, **changes: Any) -> Trajectory:
    """Root looks somebody up, the sub-agent fails once and then pays."""
    name = f"r{number}/0"
    ids = f"C-{100 + number}"

    def step(index: int, agent: str, turn: int, **more: Any) -> Step:
        made = Step(name, index, agent, turn, more.pop("prompt", ()), more.pop("response", ""))
        if tokens:
            before = 10 * turn
            more["tokens"] = TokenData(
                tuple(range(before + 4)), (before + 4, before + 5), (-0.5, -0.25)
            )
        return msgspec.structs.replace(made, model="plan", usage=Usage(10, 2), **more)

    prompt = (SystemMessage("You run a shop."), UserMessage(f"Pay Ada {number} 50 cents."))
    below = (SystemMessage("You pay."), UserMessage(f"Pay 50 to {ids}."))
    failed = CallResult(
        "p1", (Text("amount: expected integer, got 'fifty'"),), True, "invalid_arguments"
    )
    steps = (
        step(0, "root", 0, prompt=prompt, finish_reason="tool_calls",
             calls=(ToolCall("a", "look_up", {"name": f"Ada {number}"}),),
             results=(result("a", {"id": ids, "name": f"Ada {number}"}),)),
        step(1, "root/payer#1", 0, prompt=below, reasoning="I shall pay.",
             calls=(ToolCall("p1", "pay", {"customer_id": ids, "amount": "fifty"}),),
             results=(failed,), finish_reason="tool_calls"),
        step(2, "root/payer#1", 1,
             calls=(ToolCall("p2", "pay", {"customer_id": ids, "amount": 50}),),
             results=(result("p2", {"receipt": 7 + number}),), finish_reason="tool_calls"),
        step(3, "root/payer#1", 2, response=f"Paid, receipt {7 + number}."),
        step(4, "root", 1, calls=(ToolCall("b", "payer", {"task": f"Pay 50 to {ids}."}),),
             results=(result("b", f"Paid, receipt {7 + number}.", agent="root/payer#1"),),
             finish_reason="tool_calls"),
        step(5, "root", 2, response=f"Paid 50 cents; the receipt is {7 + number}."),
    )  # fmt: skip
    made = Trajectory(
        "nexau/1",
        name,
        f"r{number}",
        prompt[1].content,
        "shop",
        "completed",
        steps,
        f"Paid 50 cents; the receipt is {7 + number}.",
        reward=1.0,
        usage=Usage(60, 12),
        agents=(
            AgentRecord("shop", "plan", Raw(msgspec.json.encode([LOOK, ASK]))),
            AgentRecord("payer", "plan", Raw(msgspec.json.encode([PAY]))),
        ),
    )
    return msgspec.structs.replace(made, **changes)


def lines(*trajectories: Trajectory) -> bytes:
    return b"".join(msgspec.json.encode(each) + b"\n" for each in trajectories)
