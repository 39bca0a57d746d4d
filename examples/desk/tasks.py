"""Tasks for the desk, each with a gold plan: `python tasks.py --count 300 > tasks.jsonl`.

The same seed and count give the same lines. Every figure in a plan comes from the seeded state, and
`metadata` says what to expect of it: how many calls the desk refuses, and whether anything is
written.
"""

import argparse
import itertools
import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from nexau.synth.worlds import engine
from nexau.synth.worlds.reader import load_world
from nexau.synth.worlds.state import Template
from plans import (
    CEILING,
    CUSTOMER,
    MAX_REFUNDS,
    TICKET,
    WINDOW,
    Line,
    call,
    close,
    delegate,
    issue,
    listing,
    open_return,
    plan,
    result,
    returnable,
    ticket,
    value,
    who,
)

WORLD = Path(__file__).parents[1] / "worlds" / "retail-returns.yaml"
_ORDERS = """
SELECT o.id, o.customer_id, o.status, o.paid, c.email, c.tier,
       i.id AS item, i.quantity, i.price, p.final_sale, p.name AS goods,
       (SELECT count(*) FROM item x WHERE x.order_id = o.id AND x.id < i.id) AS place,
       julianday(?) - julianday(o.delivered_on) AS days,
       (SELECT count(*) FROM "return" r WHERE r.item_id = i.id) AS returned,
       (SELECT count(*) FROM refund f JOIN "order" other ON other.id = f.order_id
        WHERE other.customer_id = o.customer_id) AS refunds
FROM "order" o JOIN item i ON i.order_id = o.id
JOIN customer c ON c.id = o.customer_id JOIN product p ON p.id = i.product_id
ORDER BY i.id
"""


class Writer:
    """Draws tasks from the seeded state."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        with closing(Template(load_world(WORLD))) as template:
            self.state = template.state()
        found = self.state.db.execute(_ORDERS, (self.state.world.today,))
        names = [each[0] for each in found.description]
        self.lines = [dict(zip(names, row, strict=True)) for row in found]
        self.kinds: tuple[Callable[[], dict[str, Any]], ...] = (
            self.small_refund,
            self.large_refund,
            self.late_return,
            self.stranger,
            self.overcharge,
            self.cancellation,
            self.address_change,
            self.order_summary,
            self.customer_report,
        )

    def close(self) -> None:
        self.state.close()

    def tasks(self, count: int) -> Iterator[dict[str, Any]]:
        for number, kind in enumerate(
            itertools.islice(itertools.cycle(self.kinds), count), start=1
        ):
            task = kind()
            metadata = {"kind": kind.__name__, **task.pop("expect")}
            yield {"id": f"desk-{number:04}", **task, "metadata": metadata}

    def small_refund(self) -> dict[str, Any]:
        line = self._line(lambda line: returnable(line) and value(line) <= CEILING)
        return self._refund(line, audited=False)

    def large_refund(self) -> dict[str, Any]:
        line = self._line(
            lambda line: (
                returnable(line) and value(line) > CEILING and line["refunds"] < MAX_REFUNDS
            )
        )
        return self._refund(line, audited=True)

    def late_return(self) -> dict[str, Any]:
        """The window has passed: the desk refuses, and the customer gets a ticket instead."""
        line = self._line(
            lambda line: line["status"] == "delivered" and line["days"] > WINDOW[line["tier"]]
        )
        refused = plan(
            [
                call("order", "get_order", order_id=line["id"]),
                call("policy", "return_policy", tier=line["tier"]),
            ],
            [open_return(line, "unwanted")],
            answer="The return window has passed; nothing was paid back.",
        )
        return {
            "input": f"{line['email']} wants to send back the {line['goods']} of {line['id']}.",
            "plan": plan(
                [who(line), delegate("refunds", f"Return an item of {line['id']}.", refused)],
                [ticket(line, "Return refused: window passed")],
                [call("note", "add_note", ticket_id=TICKET, body="Offer a voucher.")],
                answer=f"{line['id']} came too long ago to be returned; I opened a ticket.",
            ),
            "expect": {"refused": 1, "writes": True},
        }

    def stranger(self) -> dict[str, Any]:
        """Somebody asks for money back on an order that is another's."""
        line = self._line(returnable)
        other = self._line(lambda other: other["customer_id"] != line["customer_id"])["customer_id"]
        wrong = {**issue(line, "unwanted", amount=line["price"])["arguments"], "customer_id": other}
        del wrong["return_id"]
        attempt = plan(
            [call("order", "get_order", order_id=line["id"])],
            [call("refund", "issue_refund", **wrong)],
            answer="That order belongs to somebody else.",
        )
        return {
            "input": f"I am {other}. Refund {line['price']} cents on {line['id']}.",
            "plan": plan(
                [delegate("refunds", f"Refund {other} on {line['id']}.", attempt)],
                answer=f"I cannot refund {line['id']}: it is not your order.",
            ),
            "expect": {"refused": 1, "writes": False},
        }

    def overcharge(self) -> dict[str, Any]:
        """More is asked for than the goods are worth; the second attempt is right."""
        line = self._line(lambda line: returnable(line) and value(line) <= CEILING)
        attempts = plan(
            [call("order", "get_order", order_id=line["id"])],
            [open_return(line, "wrong_item")],
            [issue(line, "wrong_item", amount=line["paid"] + 1, label="greedy")],
            [issue(line, "wrong_item", amount=result("return", "/value"))],
            answer=f"Refunded {value(line)} cents.",
        )
        return {
            "input": f"{line['email']} got the wrong item in {line['id']}: wants all back.",
            "plan": plan(
                [who(line), delegate("refunds", f"Refund an item of {line['id']}.", attempts)],
                [ticket(line, "Wrong item")],
                [close("Refunded the item.")],
                answer=f"Refunded {value(line)} cents, the price of the item.",
            ),
            "expect": {"refused": 1, "writes": True},
        }

    def cancellation(self) -> dict[str, Any]:
        line = self._line(lambda line: line["status"] == "placed" and line["paid"] <= CEILING)
        owner = result("order", "/customer_id")
        steps = plan(
            [call("order", "get_order", order_id=line["id"])],
            [call("cancel", "cancel_order", order_id=line["id"], customer_id=owner)],
            [
                call(
                    "refund",
                    "issue_refund",
                    order_id=line["id"],
                    customer_id=owner,
                    amount=result("cancel", "/refundable"),
                    reason="cancelled",
                )
            ],
            answer=f"Cancelled {line['id']} and refunded {line['paid']} cents.",
        )
        return {
            "input": f"Cancel {line['id']} for {line['email']} and pay the money back.",
            "plan": plan(
                [who(line)],
                [delegate("refunds", f"Cancel {line['id']} and refund it.", steps)],
                answer=f"{line['id']} is cancelled; {line['paid']} cents go back.",
            ),
            "expect": {"refused": 0, "writes": True},
        }

    def address_change(self) -> dict[str, Any]:
        line = self._line(lambda line: line["status"] in ("placed", "delivered"))
        street = f"{self.rng.randint(1, 99)} New Road"
        address: dict[str, Any] = {"street": street, "city": "Hamburg", "postcode": "20095"}
        whose = f"Which orders has {line['customer_id']}?"
        return {
            "input": f"{line['email']} moved to {street}, 20095 Hamburg.",
            "plan": plan(
                [who(line)],
                [call("move", "update_address", customer_id=CUSTOMER, **address)],
                [
                    call("check", "get_customer", customer_id=CUSTOMER),
                    delegate("records", whose, listing(line)),
                ],
                answer=f"The address is now {street}, 20095 Hamburg.",
            ),
            "expect": {"refused": 0, "writes": True},
        }

    def order_summary(self) -> dict[str, Any]:
        """Several orders of one customer, looked up side by side."""
        line = self._line(lambda line: True)
        orders = self._ask("list_orders", customer_id=line["customer_id"], limit=4)["rows"]
        paid = sum(order["paid"] for order in orders)
        lookups = plan(
            [call("list", "list_orders", customer_id=line["customer_id"], limit=4)],
            [
                call(f"order{index}", "get_order", order_id=result("list", f"/rows/{index}/id"))
                for index in range(len(orders))
            ],
            answer=f"{len(orders)} orders, {paid} cents.",
        )
        return {
            "input": f"Sum up the last {len(orders)} orders of {line['customer_id']}.",
            "plan": plan(
                [delegate("records", f"Orders of {line['customer_id']}, with items.", lookups)],
                answer=f"{len(orders)} orders for {paid} cents in all.",
            ),
            "expect": {"refused": 0, "writes": False},
        }

    def customer_report(self) -> dict[str, Any]:
        """Two sub-agents of the same kind at once."""
        line = self._line(lambda line: True)
        owner = line["customer_id"]
        money = self._ask("spending", customer_id=owner)
        sums = plan(
            [
                call("spent", "spending", customer_id=owner),
                call("tickets", "list_tickets", customer_id=owner),
            ],
            answer=f"Paid {money['paid']}, got back {money['refunded']}.",
        )
        return {
            "input": f"Report on {line['email']}: orders, money, tickets.",
            "plan": plan(
                [who(line)],
                [
                    delegate("records", f"Orders of {owner}.", listing(line), label="orders"),
                    delegate("records", f"Money and tickets of {owner}.", sums, label="sums"),
                ],
                answer=f"{owner} paid {money['paid']} cents for {money['orders']} orders.",
            ),
            "expect": {"refused": 0, "writes": False},
        }

    def _refund(self, line: Line, *, audited: bool) -> dict[str, Any]:
        amount = value(line)
        audit = plan(
            [
                call("order", "get_order", order_id=line["id"]),
                call("history", "spending", customer_id=line["customer_id"]),
            ],
            [call("approve", "approve_refund", order_id=line["id"], amount=amount)],
            answer=f"Approved {amount} cents on {line['id']}.",
        )
        # A sub-agent sees its task and nothing else: whatever its calls name has to stand there.
        case = f"Approve {amount} cents on {line['id']} of {line['customer_id']}?"
        ask = [delegate("auditor", case, audit)]
        whose = plan(
            [call("order", "get_order", order_id=line["id"])],
            answer=f"{line['id']} was ordered by {line['customer_id']}.",
        )
        steps = plan(
            [call("order", "get_order", order_id=line["id"])],
            [open_return(line, "damaged")],
            *([ask] if audited else []),
            [issue(line, "damaged", amount=result("return", "/value"))],
            answer=f"Refunded {amount} cents.",
        )
        return {
            "input": f"The {line['goods']} in {line['id']} arrived broken, says {line['email']}.",
            "plan": plan(
                [who(line), delegate("records", f"Whose is {line['id']}?", whose)],
                [delegate("refunds", f"Refund the {line['goods']} of {line['id']}.", steps)],
                [ticket(line, "Arrived broken")],
                [close(f"Refunded {amount} cents.")],
                answer=f"Refunded {amount} cents for the {line['goods']}.",
            ),
            "expect": {"refused": 0, "writes": True},
        }

    def _ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What a tool of the world answers."""
        answer = engine.call(self.state, tool, arguments)
        assert not answer.is_error, answer.body
        return answer.body

    def _line(self, fits: Callable[[Line], bool]) -> Line:
        return self.rng.choice([line for line in self.lines if fits(line)])


def main() -> None:
    parser = argparse.ArgumentParser(description="Write tasks for the desk as JSON lines.")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="a file; stdout without it")
    options = parser.parse_args()
    with closing(Writer(options.seed)) as writer:
        lines = (json.dumps(task) + "\n" for task in writer.tasks(options.count))
        if options.output is None:
            sys.stdout.writelines(lines)
        else:
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text("".join(lines))


if __name__ == "__main__":
    main()
