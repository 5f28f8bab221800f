"""Messages to merchants: put in line within the transaction that made them true."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_common.database import Connection, load_queries
from rialto_common.events import payments as events
from rialto_common.events import payouts
from rialto_common.events.envelope import Event
from rialto_gateway import versions
from rialto_gateway.payments.states import Payment

QUERIES = load_queries(__package__)

MESSAGES: dict[str, str] = {
    events.PaymentAuthorised.type: "payment.authorised",
    events.PaymentIncremented.type: "payment.incremented",
    events.PaymentIncrementFailed.type: "payment.increment_failed",
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
    events.DisputeOpened.type: "dispute.opened",
    events.DisputeEvidenceSubmitted.type: "dispute.evidence_submitted",
    events.DisputeWon.type: "dispute.won",
    events.DisputeLost.type: "dispute.lost",
    payouts.PayoutPaid.type: "payout.paid",
    payouts.PayoutFailed.type: "payout.failed",
}
"""The events merchants hear of, by their name in the message. `payment.created` is the answer to their own request."""


NAMED = {"refund": "refund_id", "dispute": "dispute_id"}
"""What a message about a payment names besides it, by the kind of its event."""


class Told(Protocol):
    """An object of a merchant's as it is after an event."""

    @property
    def event(self) -> Event: ...

    @property
    def at(self) -> datetime: ...

    @property
    def merchant_id(self) -> UUID: ...

    @property
    def mode(self) -> str: ...

    @property
    def object_id(self) -> UUID:
        """The object, whose messages are told in order."""

    @property
    def data(self) -> dict[str, Any]:
        """Return the object as the message shows it."""


@dataclass(frozen=True, slots=True)
class Message:
    """A payment as it is after an event."""

    payment: Payment
    event: Event
    at: datetime

    @property
    def merchant_id(self) -> UUID:
        """The merchant that is told."""
        return self.payment.merchant_id

    @property
    def mode(self) -> str:
        """The mode that it happened in."""
        return self.payment.mode

    @property
    def object_id(self) -> UUID:
        """The payment, whose messages are told in order."""
        return self.payment.id

    @property
    def data(self) -> dict[str, Any]:
        """Return the payment as the message shows it; `sequence` orders its messages.

        One of a refund or dispute names it.
        """
        payment = self.payment
        kind = MESSAGES[self.event.type].partition(".")[0]
        named = {NAMED[kind]: orjson.loads(self.event.data)[NAMED[kind]]} if kind in NAMED else {}
        return named | {
            "id": ids.to_text("pay", payment.id),
            "object": "payment",
            "merchant_id": ids.to_text("mer", payment.merchant_id),
            "mode": payment.mode,
            "status": payment.state,
            "status_reason": payment.reason,
            "decline_code": payment.decline_code,
            "amount_minor": str(payment.amount_minor),
            "amount_captured_minor": str(payment.amount_captured_minor),
            "amount_refunded_minor": str(payment.amount_refunded_minor),
            "amount_disputed_minor": str(payment.amount_disputed_minor),
            "currency": payment.currency,
            "sequence": self.event.sequence,
            "tx_hash": None if payment.settlement is None else payment.settlement.tx_hash,
        }


class Messages(Protocol):
    """Where messages go."""

    async def enqueue(self, messages: Sequence[Told]) -> None:
        """Keep messages as the merchant's events, and put them in line for every endpoint that listens."""
        ...


class PostgresMessages:
    """The events' and deliveries' tables, through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def enqueue(self, messages: Sequence[Told]) -> None:
        """Write one event a message, and one delivery a message and endpoint that listens."""
        await self._connection.execute(
            QUERIES["enqueue"],
            messages[0].at,
            [message.event.id for message in messages],
            [message.merchant_id for message in messages],
            [message.mode for message in messages],
            [message.object_id for message in messages],
            [message.event.sequence for message in messages],
            [MESSAGES[message.event.type] for message in messages],
            [body_of(message) for message in messages],
            versions.LATEST,
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


def in_version(body: str, version: str, written: str) -> str:
    """Return a message's body as a version has it: the same bytes every time. `written`: the version it is kept in."""
    if version >= written:
        return body
    return orjson.dumps(versions.down(orjson.loads(body), version, written)).decode()


def body_of(message: Told) -> str:
    """Return the message: Standard Webhooks' type, timestamp and data, in the newest version."""
    return orjson.dumps(
        {
            "id": ids.to_text("evt", message.event.id),
            "type": MESSAGES[message.event.type],
            "timestamp": message.at,
            "data": message.data,
        },
        option=orjson.OPT_UTC_Z,
    ).decode()
