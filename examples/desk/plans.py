"""The plan format, and the calls that many of the desk's plans share."""

from typing import Any

Plan = dict[str, Any]
Call = dict[str, Any]
Line = dict[str, Any]
"""An item of an order, with what is needed to judge it."""

WINDOW = {"standard": 30, "plus": 45, "vip": 60}
"""Days after delivery in which goods can come back, by the customer's tier."""
CEILING = 15_000
"""A refund above this needs an approval."""
MAX_REFUNDS = 3
"""Refunds that one customer can have had when another is approved."""


def call(label: str, name: str, plan: Plan | None = None, **arguments: Any) -> Call:
    made: Call = {"id": label, "name": name, "arguments": arguments}
    return made if plan is None else {**made, "plan": plan}


def plan(*turns: list[Call], answer: str) -> Plan:
    return {"turns": list(turns), "answer": answer}


def result(label: str, pointer: str) -> dict[str, str]:
    """A value out of an earlier result of the same plan."""
    return {"$result": label, "pointer": pointer}


def delegate(agent: str, task: str, steps: Plan, label: str | None = None) -> Call:
    """A call of a sub-agent, which plays `steps`."""
    return call(label or agent, agent, steps, task=task)


CUSTOMER = result("who", "/rows/0/id")
TICKET = result("ticket", "/ticket_id")


def returnable(line: Line) -> bool:
    return bool(
        line["status"] == "delivered" and line["days"] <= WINDOW[line["tier"]]
        and not line["final_sale"] and not line["returned"]
    )  # fmt: skip


def value(line: Line) -> int:
    return int(line["price"] * line["quantity"])


def who(line: Line) -> Call:
    return call("who", "find_customers", query=line["email"])


def listing(line: Line) -> Plan:
    owner = line["customer_id"]
    return plan([call("list", "list_orders", customer_id=owner)], answer=f"The orders of {owner}.")


def ticket(line: Line, subject: str) -> Call:
    return call("ticket", "open_ticket", customer_id=CUSTOMER, subject=subject, order_id=line["id"])


def close(resolution: str) -> Call:
    return call("close", "close_ticket", ticket_id=TICKET, resolution=resolution)


def open_return(line: Line, reason: str) -> Call:
    return call(
        "return",
        "open_return",
        order_id=line["id"],
        customer_id=result("order", "/customer_id"),
        item_id=result("order", f"/items/{line['place']}/id"),
        quantity=line["quantity"],
        reason=reason,
    )


def issue(line: Line, reason: str, *, amount: Any, label: str = "refund") -> Call:
    return call(
        label,
        "issue_refund",
        order_id=line["id"],
        customer_id=result("order", "/customer_id"),
        amount=amount,
        reason=reason,
        return_id=result("return", "/return_id"),
    )
