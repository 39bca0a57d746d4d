"""Each rule of the desk, with the refusal that goes with it. The seeded state is the fixture."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest
from catalogue import TOOLS
from rules import CEILING, Desk, RefusedError
from store import TODAY, Template, digest

ITEM = """
SELECT orders.id AS order_id, orders.customer_id, paid, items.id AS item_id, items.quantity,
       items.price, julianday(:today) - julianday(delivered_on) AS days, tier
FROM orders JOIN items ON items.order_id = orders.id JOIN products USING (sku)
JOIN customers ON customers.id = orders.customer_id
WHERE NOT EXISTS (SELECT 1 FROM returns WHERE returns.order_id = orders.id) AND {}
ORDER BY items.id LIMIT 1
"""
OPEN_WINDOW = "status = 'delivered' AND days <= 30 AND NOT final_sale"


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    with closing(Template()) as made:
        yield made


@pytest.fixture
def desk(template: Template) -> Iterator[Desk]:
    with closing(template.copy()) as db:
        yield Desk(db)


def item(desk: Desk, condition: str) -> dict[str, Any]:
    row = desk.db.execute(ITEM.format(condition), {"today": TODAY.isoformat()}).fetchone()
    assert row is not None, condition
    return dict(row)


def give_back(desk: Desk, line: dict[str, Any], reason: str = "unwanted", quantity: int = 1) -> Any:
    return desk.open_return(
        line["order_id"], line["customer_id"], line["item_id"], quantity, reason
    )


def pay(desk: Desk, line: dict[str, Any], amount: int, return_id: int | None) -> Any:
    order, customer = line["order_id"], line["customer_id"]
    return desk.issue_refund(order, customer, amount, "unwanted", return_id)


def refused(code: str, operation: Callable[[], object]) -> None:
    with pytest.raises(RefusedError) as caught:
        operation()
    assert caught.value.code == code


def test_the_same_seed_gives_the_same_state() -> None:
    def made(seed: int) -> str:
        with closing(Template(seed)) as template, closing(template.copy()) as db:
            return digest(db)

    assert made(7) == made(7) != made(8)


def test_a_copy_is_private(template: Template) -> None:
    with closing(template.copy()) as one, closing(template.copy()) as other:
        Desk(one).update_address("C-1001", "1 New Road", "Ghent", "9000")
        assert digest(one) != digest(other)


def test_a_return_within_the_window_is_paid_back(desk: Desk) -> None:
    line = item(desk, f"{OPEN_WINDOW} AND items.price * items.quantity <= {CEILING}")
    made = give_back(desk, line, quantity=line["quantity"])
    assert made["value"] == line["price"] * line["quantity"]
    paid = pay(desk, line, made["value"], made["return_id"])
    assert paid["refundable"] == line["paid"] - made["value"]
    assert desk.list_refunds(line["order_id"])["total"] == made["value"]


def test_the_window_closes(desk: Desk) -> None:
    line = item(desk, "status = 'delivered' AND days > 60 AND NOT final_sale")
    refused("window_passed", lambda: give_back(desk, line))
    assert give_back(desk, line, "damaged")["return_id"] > 0


def test_a_final_sale_stays_sold(desk: Desk) -> None:
    line = item(desk, "status = 'delivered' AND days <= 30 AND final_sale")
    refused("final_sale", lambda: give_back(desk, line))


def test_only_what_was_delivered_comes_back(desk: Desk) -> None:
    line = item(desk, "status = 'shipped'")
    refused("not_delivered", lambda: give_back(desk, line))


def test_not_more_comes_back_than_was_bought(desk: Desk) -> None:
    line = item(desk, OPEN_WINDOW)
    refused("too_many", lambda: give_back(desk, line, quantity=line["quantity"] + 1))
    give_back(desk, line, quantity=line["quantity"])
    refused("too_many", lambda: give_back(desk, line))


def test_somebody_elses_order(desk: Desk) -> None:
    line = item(desk, OPEN_WINDOW)
    stranger = {**line, "customer_id": "C-1001" if line["customer_id"] != "C-1001" else "C-1002"}
    refused("not_their_order", lambda: give_back(desk, stranger))
    refused("not_their_order", lambda: pay(desk, stranger, 1, None))


def test_no_refund_without_a_return_or_above_its_worth(desk: Desk) -> None:
    line = item(desk, f"{OPEN_WINDOW} AND paid > items.price * items.quantity + 1")
    refused("no_return", lambda: pay(desk, line, 100, None))
    made = give_back(desk, line)
    refused("above_paid", lambda: pay(desk, line, line["paid"] + 1, made["return_id"]))
    refused("above_return", lambda: pay(desk, line, made["value"] + 1, made["return_id"]))


def test_a_large_refund_takes_an_approval_and_uses_it_up(desk: Desk) -> None:
    line = item(desk, f"{OPEN_WINDOW} AND items.price > {CEILING}")
    made = give_back(desk, line)
    refused("needs_approval", lambda: pay(desk, line, made["value"], made["return_id"]))
    desk.approve_refund(line["order_id"], made["value"] - 1)
    refused("needs_approval", lambda: pay(desk, line, made["value"], made["return_id"]))
    desk.approve_refund(line["order_id"], made["value"])
    assert pay(desk, line, made["value"], made["return_id"])["amount"] == made["value"]
    used = desk.db.execute("SELECT used FROM approvals ORDER BY id").fetchall()
    assert [row["used"] for row in used] == [0, 1]


def test_the_auditor_knows_who_asks_too_often(desk: Desk) -> None:
    line = item(desk, f"{OPEN_WINDOW} AND items.price > 300")
    made = give_back(desk, line)
    for _ in range(3):
        pay(desk, line, 100, made["return_id"])
    refused("too_many_refunds", lambda: desk.approve_refund(line["order_id"], 1))


def test_a_cancellation_returns_the_stock_and_can_be_refunded(desk: Desk) -> None:
    line = item(desk, f"status = 'placed' AND paid <= {CEILING}")
    before = desk.db.execute("SELECT sum(stock) FROM products").fetchone()[0]
    bought = desk.db.execute(
        "SELECT sum(quantity) FROM items WHERE order_id = ?", (line["order_id"],)
    ).fetchone()[0]
    assert desk.cancel_order(line["order_id"], line["customer_id"])["refundable"] == line["paid"]
    assert desk.db.execute("SELECT sum(stock) FROM products").fetchone()[0] == before + bought
    assert pay(desk, line, line["paid"], None)["refundable"] == 0
    refused("not_cancellable", lambda: desk.cancel_order(line["order_id"], line["customer_id"]))


def test_a_closed_ticket_is_closed(desk: Desk) -> None:
    ticket = desk.open_ticket("C-1001", "Late", None)["ticket_id"]
    desk.add_note(ticket, "Asked the carrier.")
    desk.close_ticket(ticket, "It came.")
    refused("ticket_closed", lambda: desk.add_note(ticket, "Again?"))
    refused("no_such_ticket", lambda: desk.close_ticket(10_000, "?"))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("get_order", {"order_id": "20001"}),
        ("get_order", {}),
        ("get_order", {"order_id": "O-20001", "verbose": True}),
        ("issue_refund", {"order_id": "O-20001", "customer_id": "C-1001", "amount": 0}),
        ("find_customers", {"query": "a", "limit": 1000}),
    ],
)
def test_arguments_are_held_against_the_schema(
    desk: Desk, name: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(msgspec.ValidationError):
        TOOLS[name].call(desk, arguments)


def test_every_tool_names_its_arguments() -> None:
    for tool in TOOLS.values():
        schema = tool.schema()
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert "$ref" not in str(schema)


def test_a_refused_write_leaves_no_trace(desk: Desk) -> None:
    before = digest(desk.db)
    line = item(desk, "status = 'shipped'")
    refused("not_cancellable", lambda: desk.cancel_order(line["order_id"], line["customer_id"]))
    refused("no_return", lambda: pay(desk, line, 1, None))
    assert digest(desk.db) == before
