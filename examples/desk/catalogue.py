"""The desk's tools: one Struct of arguments each, which is also its JSON Schema."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from rules import Desk, Row

CustomerId = Annotated[str, Meta(pattern=r"^C-\d{4,}$", description="As C-1042")]
OrderId = Annotated[str, Meta(pattern=r"^O-\d{5,}$", description="As O-20117")]
Cents = Annotated[int, Meta(ge=1, description="US cents")]
Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Number = Annotated[int, Meta(ge=1)]
Limit = Annotated[int, Meta(ge=1, le=100)]
Reason = Literal["damaged", "wrong_item", "unwanted", "cancelled"]


class Nothing(Struct, forbid_unknown_fields=True): ...


class OfCustomer(Struct, forbid_unknown_fields=True):
    customer_id: CustomerId


class OfOrder(Struct, forbid_unknown_fields=True):
    order_id: OrderId


class FindCustomers(Struct, forbid_unknown_fields=True):
    query: Annotated[Text, Meta(description="Part of a name or e-mail address, or a whole id")]
    limit: Limit = 10


class ListOrders(OfCustomer):
    status: Literal["placed", "shipped", "delivered", "cancelled"] | None = None
    limit: Limit = 20


class ReturnPolicy(Struct, forbid_unknown_fields=True):
    tier: Literal["standard", "plus", "vip"]


class UpdateAddress(OfCustomer):
    street: Text
    city: Text
    postcode: Text


class CancelOrder(OfOrder):
    customer_id: CustomerId


class OpenReturn(OfOrder):
    customer_id: CustomerId
    item_id: Number
    reason: Reason
    quantity: Number = 1


class ApproveRefund(OfOrder):
    amount: Cents


class IssueRefund(OfOrder):
    customer_id: CustomerId
    amount: Cents
    reason: Reason
    return_id: Number | None = None


class OpenTicket(OfCustomer):
    subject: Text
    order_id: OrderId | None = None


class AddNote(Struct, forbid_unknown_fields=True):
    ticket_id: Number
    body: Text


class CloseTicket(Struct, forbid_unknown_fields=True):
    ticket_id: Number
    resolution: Text


@dataclass(frozen=True)
class Tool:
    operation: Callable[..., Row]
    arguments: type[Struct]
    description: str
    writes: bool = False

    @property
    def name(self) -> str:
        return self.operation.__name__

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments, in one piece."""
        (reference,), definitions = msgspec.json.schema_components([self.arguments])
        schema: dict[str, Any] = definitions[reference["$ref"].rpartition("/")[2]]
        schema.pop("title", None)
        return schema

    def call(self, desk: Desk, arguments: dict[str, Any]) -> Row:
        """Raises `msgspec.ValidationError` for arguments against the schema, and `RefusedError`."""
        return self.operation(
            desk, **msgspec.structs.asdict(msgspec.convert(arguments, self.arguments))
        )


_TOOLS = (
    Tool(Desk.find_customers, FindCustomers, "Customers by name, e-mail address or id."),
    Tool(Desk.get_customer, OfCustomer, "All that is known of one customer."),
    Tool(Desk.list_orders, ListOrders, "A customer's orders, newest first."),
    Tool(Desk.get_order, OfOrder, "One order with its items and what was refunded on it."),
    Tool(Desk.list_refunds, OfOrder, "Refunds issued on an order."),
    Tool(Desk.list_tickets, OfCustomer, "A customer's tickets."),
    Tool(Desk.spending, OfCustomer, "What a customer has paid and got back, in cents."),
    Tool(Desk.return_policy, ReturnPolicy, "Return window of a customer tier."),
    Tool(
        Desk.update_address,
        UpdateAddress,
        "Change a customer's address; orders not yet shipped go there too.",
        writes=True,
    ),
    Tool(Desk.cancel_order, CancelOrder, "Cancel an order that has not shipped.", writes=True),
    Tool(
        Desk.open_return,
        OpenReturn,
        "Open a return for an item of a delivered order, within the return window.",
        writes=True,
    ),
    Tool(
        Desk.approve_refund,
        ApproveRefund,
        "Approve one refund on an order. Auditors only.",
        writes=True,
    ),
    Tool(
        Desk.issue_refund,
        IssueRefund,
        "Pay money back for a return or a cancelled order. Above 15000 cents it takes an approval.",
        writes=True,
    ),
    Tool(Desk.open_ticket, OpenTicket, "Open a ticket for a customer.", writes=True),
    Tool(Desk.add_note, AddNote, "Write a note on an open ticket.", writes=True),
    Tool(Desk.close_ticket, CloseTicket, "Close a ticket with its resolution.", writes=True),
    Tool(Desk.state_digest, Nothing, "A digest of the whole state, for tests and checks."),
)
TOOLS = {tool.name: tool for tool in _TOOLS}
