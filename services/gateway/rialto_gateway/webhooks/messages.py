"""Messages to merchants: put in line within the transaction that made them true."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import orjson

from rialto_common import ids
from rialto_common.database import Connection, load_queries
from rialto_common.events import payments as events
from rialto_common.events.envelope import Event
from rialto_gateway.payments.states import Payment

QUERIES = load_queries(__package__)

MESSAGES: dict[str, str] = {
    events.PaymentAuthorised.type: "payment.authorised",
    events.PaymentCaptured.type: "payment.captured",
    events.PaymentDeclined.type: "payment.declined",
    events.PaymentReviewOpened.type: "payment.review_opened",
    events.PaymentReviewClosed.type: "payment.review_closed",
    events.PaymentSettled.type: "payment.settled",
    events.PaymentVoided.type: "payment.voided",
    events.PaymentExpired.type: "payment.expired",
    events.PaymentFailed.type: "payment.failed",
    events.PaymentRequiresAction.type: "payment.requires_action",
    events.RefundSucceeded.type: "refund.succeeded",
    events.RefundFailed.type: "refund.failed",
}
"""The events merchants hear of, by their name in the message. `payment.created` is the answer to their own request."""


@dataclass(frozen=True, slots=True)
class Message:
    """A payment as it is after an event."""

    payment: Payment
    event: Event
    at: datetime


class Messages(Protocol):
    """Where messages go."""

    async def enqueue(self, messages: Sequence[Message]) -> None:
        """Keep messages as the merchant's events, and put them in line for every endpoint that listens."""
        ...


class PostgresMessages:
    """The events' and deliveries' tables, through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def enqueue(self, messages: Sequence[Message]) -> None:
        """Write one event a message, and one delivery a message and endpoint that listens."""
        await self._connection.execute(
            QUERIES["enqueue"],
            messages[0].at,
            [message.event.id for message in messages],
            [message.payment.merchant_id for message in messages],
            [message.payment.mode for message in messages],
            [message.payment.id for message in messages],
            [message.event.sequence for message in messages],
            [MESSAGES[message.event.type] for message in messages],
            [body_of(message) for message in messages],
        )


def group_of(name: str) -> str:
    """Return the pattern that takes in all events of the same kind of object: `payment.*`."""
    return name.partition(".")[0] + ".*"


def patterns() -> list[str]:
    """Return all that an endpoint may ask for, and the list of events filter by."""
    return sorted({*MESSAGES.values(), *map(group_of, MESSAGES.values())})


def matches(name: str, wanted: Collection[str]) -> bool:
    """Say whether an event is among those asked for by exact names and patterns; none means all."""
    return not wanted or name in wanted or group_of(name) in wanted


def body_of(message: Message) -> str:
    """Return the message: Standard Webhooks' type, timestamp and data; `sequence` orders a payment's messages."""
    payment = message.payment
    return orjson.dumps(
        {
            "id": ids.to_text("evt", message.event.id),
            "type": MESSAGES[message.event.type],
            "timestamp": message.at,
            "data": {
                "id": ids.to_text("pay", payment.id),
                "object": "payment",
                "merchant_id": ids.to_text("mer", payment.merchant_id),
                "mode": payment.mode,
                "status": payment.state,
                "status_reason": payment.reason,
                "decline_code": payment.decline_code,
                "amount_minor": str(payment.amount_minor),
                "amount_captured_minor": str(payment.amount_captured_minor),
                "currency": payment.currency,
                "sequence": message.event.sequence,
                "tx_hash": None if payment.settlement is None else payment.settlement.tx_hash,
            },
        },
        option=orjson.OPT_UTC_Z,
    ).decode()
