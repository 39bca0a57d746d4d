"""What the desk can do, and what it refuses. Money is in cents, days are ISO dates."""

import sqlite3
from datetime import date
from typing import Any

from store import TODAY, digest

WINDOW = {"standard": 30, "plus": 45, "vip": 60}
"""Days after delivery in which goods can come back, by the customer's tier."""
CEILING = 15_000
"""A refund above this needs an approval."""
MAX_REFUNDS = 3
"""Refunds that one customer can have had when another is approved."""

Row = dict[str, Any]


class RefusedError(Exception):
    """A business rule says no. `code` is for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Desk:
    """The operations on one database. Each write is whole or leaves no trace."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    # Reading

    def find_customers(self, query: str, limit: int) -> Row:
        pattern = f"%{query}%"
        found = self._rows(
            "SELECT id, name, email, city, tier FROM customers "
            "WHERE name LIKE ? OR email LIKE ? OR id = ? ORDER BY id LIMIT ?",
            pattern, pattern, query, limit,
        )  # fmt: skip
        return {"rows": found, "count": len(found)}

    def get_customer(self, customer_id: str) -> Row:
        row = self._row("SELECT * FROM customers WHERE id = ?", customer_id)
        if row is None:
            raise RefusedError("no_such_customer", f"there is no customer {customer_id}")
        return row

    def list_orders(self, customer_id: str, status: str | None, limit: int) -> Row:
        self.get_customer(customer_id)
        found = self._rows(
            "SELECT id, status, placed_on, delivered_on, paid FROM orders "
            "WHERE customer_id = ? AND (? IS NULL OR status = ?) "
            "ORDER BY placed_on DESC, id LIMIT ?",
            customer_id, status, status, limit,
        )  # fmt: skip
        return {"rows": found, "count": len(found)}

    def get_order(self, order_id: str) -> Row:
        order = self._order(order_id)
        order["items"] = self._rows(
            "SELECT items.id, items.sku, name, quantity, items.price, final_sale "
            "FROM items JOIN products USING (sku) WHERE order_id = ? ORDER BY items.id",
            order_id,
        )
        order["refunded"] = self._refunded(order_id)
        return order

    def list_refunds(self, order_id: str) -> Row:
        self._order(order_id)
        found = self._rows("SELECT * FROM refunds WHERE order_id = ? ORDER BY id", order_id)
        return {"rows": found, "count": len(found), "total": sum(row["amount"] for row in found)}

    def list_tickets(self, customer_id: str) -> Row:
        self.get_customer(customer_id)
        found = self._rows("SELECT * FROM tickets WHERE customer_id = ? ORDER BY id", customer_id)
        return {"rows": found, "count": len(found)}

    def spending(self, customer_id: str) -> Row:
        self.get_customer(customer_id)
        orders, paid = self.db.execute(
            "SELECT count(*), coalesce(sum(paid), 0) FROM orders "
            "WHERE customer_id = ? AND status != 'cancelled'",
            (customer_id,),
        ).fetchone()
        refunds, refunded = self._refund_history(customer_id)
        return {"orders": orders, "paid": paid, "refunds": refunds, "refunded": refunded}

    def return_policy(self, tier: str) -> Row:
        return {"tier": tier, "window_days": WINDOW[tier], "approval_above": CEILING}

    # Writing

    def update_address(self, customer_id: str, street: str, city: str, postcode: str) -> Row:
        """Orders that have not left yet go to the new address."""
        self.get_customer(customer_id)
        with self.db:
            self.db.execute("BEGIN")
            self.db.execute(
                "UPDATE customers SET street = ?, city = ?, postcode = ? WHERE id = ?",
                (street, city, postcode, customer_id),
            )
            moved = self.db.execute(
                "UPDATE orders SET street = ?, city = ?, postcode = ? "
                "WHERE customer_id = ? AND status = 'placed'",
                (street, city, postcode, customer_id),
            ).rowcount
        return {"customer_id": customer_id, "orders_redirected": moved}

    def cancel_order(self, order_id: str, customer_id: str) -> Row:
        order = self._owned(order_id, customer_id)
        if order["status"] != "placed":
            raise RefusedError("not_cancellable", f"order {order_id} is already {order['status']}")
        with self.db:
            self.db.execute("BEGIN")
            self.db.execute("UPDATE orders SET status = 'cancelled' WHERE id = ?", (order_id,))
            self.db.execute(
                "UPDATE products SET stock = stock + (SELECT quantity FROM items "
                "WHERE order_id = ? AND sku = products.sku) "
                "WHERE sku IN (SELECT sku FROM items WHERE order_id = ?)",
                (order_id, order_id),
            )
        return {"order_id": order_id, "status": "cancelled", "refundable": self._refundable(order)}

    def open_return(
        self, order_id: str, customer_id: str, item_id: int, quantity: int, reason: str
    ) -> Row:
        order = self._owned(order_id, customer_id)
        item = self._row(
            "SELECT items.*, final_sale FROM items JOIN products USING (sku) "
            "WHERE items.id = ? AND order_id = ?",
            item_id, order_id,
        )  # fmt: skip
        if item is None:
            raise RefusedError("no_such_item", f"order {order_id} has no item {item_id}")
        if order["status"] != "delivered":
            raise RefusedError("not_delivered", f"order {order_id} is {order['status']}")
        self._within_window(order, damaged=reason == "damaged")
        if item["final_sale"] and reason != "damaged":
            raise RefusedError("final_sale", f"item {item_id} was a final sale")
        before = self._one(
            "SELECT coalesce(sum(quantity), 0) FROM returns WHERE item_id = ?", item_id
        )
        if before + quantity > item["quantity"]:
            left = item["quantity"] - before
            raise RefusedError("too_many", f"only {left} of item {item_id} can still be returned")
        made = self.db.execute(
            "INSERT INTO returns (order_id, item_id, quantity, reason, opened_on) "
            "VALUES (?,?,?,?,?)",
            (order_id, item_id, quantity, reason, TODAY.isoformat()),
        )
        return {"return_id": made.lastrowid, "value": item["price"] * quantity}

    def approve_refund(self, order_id: str, amount: int) -> Row:
        """The auditor's word, good for one refund of at most `amount`."""
        order = self._order(order_id)
        self._check_amount(order, amount)
        refunds, _ = self._refund_history(order["customer_id"])
        if refunds >= MAX_REFUNDS:
            raise RefusedError(
                "too_many_refunds", f"customer {order['customer_id']} has had {refunds} refunds"
            )
        made = self.db.execute(
            "INSERT INTO approvals (order_id, amount) VALUES (?,?)", (order_id, amount)
        )
        return {"approval_id": made.lastrowid, "order_id": order_id, "amount": amount}

    def issue_refund(
        self, order_id: str, customer_id: str, amount: int, reason: str, return_id: int | None
    ) -> Row:
        order = self._owned(order_id, customer_id)
        self._check_amount(order, amount)
        if order["status"] != "cancelled":
            self._check_return(order_id, return_id, amount)
        approval = self._approval(order_id, amount) if amount > CEILING else None
        with self.db:
            self.db.execute("BEGIN")
            self.db.execute("UPDATE approvals SET used = 1 WHERE id = ?", (approval,))
            made = self.db.execute(
                "INSERT INTO refunds (order_id, return_id, amount, reason, issued_on) "
                "VALUES (?,?,?,?,?)",
                (order_id, return_id, amount, reason, TODAY.isoformat()),
            )
        return {
            "refund_id": made.lastrowid,
            "amount": amount,
            "refundable": self._refundable(order),
        }

    def open_ticket(self, customer_id: str, subject: str, order_id: str | None) -> Row:
        self.get_customer(customer_id)
        if order_id is not None:
            self._owned(order_id, customer_id)
        made = self.db.execute(
            "INSERT INTO tickets (customer_id, order_id, subject, status) VALUES (?,?,?,'open')",
            (customer_id, order_id, subject),
        )
        return {"ticket_id": made.lastrowid, "status": "open"}

    def add_note(self, ticket_id: int, body: str) -> Row:
        self._open_ticket(ticket_id)
        made = self.db.execute(
            "INSERT INTO notes (ticket_id, body) VALUES (?,?)", (ticket_id, body)
        )
        return {"note_id": made.lastrowid, "ticket_id": ticket_id}

    def close_ticket(self, ticket_id: int, resolution: str) -> Row:
        self._open_ticket(ticket_id)
        self.db.execute(
            "UPDATE tickets SET status = 'closed', resolution = ? WHERE id = ?",
            (resolution, ticket_id),
        )
        return {"ticket_id": ticket_id, "status": "closed"}

    def state_digest(self) -> Row:
        counts = {
            table: self._one(f"SELECT count(*) FROM {table}")
            for table in ("returns", "approvals", "refunds", "tickets", "notes")
        }
        return {"digest": digest(self.db), "counts": counts}

    # Checking

    def _order(self, order_id: str) -> Row:
        order = self._row("SELECT * FROM orders WHERE id = ?", order_id)
        if order is None:
            raise RefusedError("no_such_order", f"there is no order {order_id}")
        return order

    def _owned(self, order_id: str, customer_id: str) -> Row:
        order = self._order(order_id)
        if order["customer_id"] != customer_id:
            raise RefusedError("not_their_order", f"order {order_id} is not {customer_id}'s")
        return order

    def _open_ticket(self, ticket_id: int) -> None:
        status = self._one("SELECT status FROM tickets WHERE id = ?", ticket_id)
        if status is None:
            raise RefusedError("no_such_ticket", f"there is no ticket {ticket_id}")
        if status == "closed":
            raise RefusedError("ticket_closed", f"ticket {ticket_id} is closed")

    def _within_window(self, order: Row, *, damaged: bool) -> None:
        tier = self._one("SELECT tier FROM customers WHERE id = ?", order["customer_id"])
        days = (TODAY - date.fromisoformat(order["delivered_on"])).days
        if days > WINDOW[tier] and not damaged:
            raise RefusedError(
                "window_passed",
                f"order {order['id']} came {days} days ago; the window is {WINDOW[tier]} days",
            )

    def _check_amount(self, order: Row, amount: int) -> None:
        left = self._refundable(order)
        if amount > left:
            raise RefusedError(
                "above_paid", f"{amount} is more than the {left} left to refund on {order['id']}"
            )

    def _check_return(self, order_id: str, return_id: int | None, amount: int) -> None:
        value = self._one(
            "SELECT price * returns.quantity FROM returns JOIN items ON items.id = item_id "
            "WHERE returns.id = ? AND returns.order_id = ?",
            return_id, order_id,
        )  # fmt: skip
        if value is None:
            raise RefusedError("no_return", f"order {order_id} has no return {return_id}")
        spent = self._one(
            "SELECT coalesce(sum(amount), 0) FROM refunds WHERE return_id = ?", return_id
        )
        if spent + amount > value:
            raise RefusedError("above_return", f"return {return_id} is worth {value - spent} more")

    def _approval(self, order_id: str, amount: int) -> int:
        found = self._one(
            "SELECT id FROM approvals WHERE order_id = ? AND amount >= ? AND NOT used LIMIT 1",
            order_id, amount,
        )  # fmt: skip
        if found is None:
            raise RefusedError("needs_approval", f"a refund of {amount} needs an approval")
        return int(found)

    def _refunded(self, order_id: str) -> int:
        return int(
            self._one("SELECT coalesce(sum(amount), 0) FROM refunds WHERE order_id = ?", order_id)
        )

    def _refundable(self, order: Row) -> int:
        return int(order["paid"]) - self._refunded(order["id"])

    def _refund_history(self, customer_id: str) -> tuple[int, int]:
        row = self.db.execute(
            "SELECT count(*), coalesce(sum(amount), 0) FROM refunds "
            "JOIN orders ON orders.id = order_id WHERE customer_id = ?",
            (customer_id,),
        ).fetchone()
        return row[0], row[1]

    def _rows(self, sql: str, *values: object) -> list[Row]:
        return [dict(row) for row in self.db.execute(sql, values)]

    def _row(self, sql: str, *values: object) -> Row | None:
        row = self.db.execute(sql, values).fetchone()
        return None if row is None else dict(row)

    def _one(self, sql: str, *values: object) -> Any:
        row = self.db.execute(sql, values).fetchone()
        return None if row is None else row[0]
