"""Made-up messages to try an endpoint with; pure."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_gateway.webhooks.messages import NAMED

EARLIER = "payment.authorised"
"""What comes late in a test out of order: every payment that gets anywhere begins with it."""


@dataclass(frozen=True, slots=True)
class Example:
    """A delivery to make: under `message_id`, at its place of the payment's line."""

    delivery_id: UUID
    message_id: UUID
    event: str
    place: int
    body: str


def examples(
    root: UUID, merchant_id: UUID, mode: str, kind: str, now: datetime, *, duplicate: bool, out_of_order: bool
) -> tuple[UUID, list[Example]]:
    """Return the id of a payment that is none, and the messages about it, in the order they are to be sent in.

    Args: root: the ids come from it. duplicate: the message twice, under one id. out_of_order: then an earlier one.
    """
    payment_id = ids.derive(root, "test-payment")
    told = [(kind, 2 if out_of_order else 1)] * (2 if duplicate else 1) + ([(EARLIER, 1)] if out_of_order else [])
    made = []
    for place, (event, sequence) in enumerate(told):
        message_id = ids.derive(root, f"test-message-{event}", sequence)
        # What is refunded or disputed was captured.
        status = event.removeprefix("payment.") if event.startswith("payment.") else "captured"
        if event in ("payment.incremented", "payment.increment_failed"):
            status = "authorised"
        body = {
            "id": ids.to_text("evt", ids.derive(root, f"test-event-{event}", sequence)),
            "type": event,
            "timestamp": now,
            "test": True,
            "data": _payout(root, merchant_id, mode, event, sequence)
            if event.startswith("payout.")
            else {
                "id": ids.to_text("pay", payment_id),
                "object": "payment",
                "merchant_id": ids.to_text("mer", merchant_id),
                "mode": mode,
                "status": status,
                "status_reason": None,
                "decline_code": "insufficient_funds" if event == "payment.declined" else None,
                "amount_minor": "1250",
                "amount_captured_minor": "1250" if status in ("captured", "settled") else "0",
                "amount_refunded_minor": "0",
                "amount_disputed_minor": "0",
                "currency": "USD",
                "sequence": sequence,
                "tx_hash": None,
            }
            | _named(root, event),
        }
        text = orjson.dumps(body, option=orjson.OPT_UTC_Z).decode()
        made.append(Example(ids.derive(root, "test-delivery", place), message_id, event, place, text))
    return payment_id, made


def _named(root: UUID, event: str) -> dict[str, str]:
    kind = event.partition(".")[0]
    prefix = {"refund": "re", "dispute": "dp"}.get(kind)
    return {} if prefix is None else {NAMED[kind]: ids.to_text(prefix, ids.derive(root, f"test-{kind}"))}


def _payout(root: UUID, merchant_id: UUID, mode: str, event: str, sequence: int) -> dict[str, object]:
    status = event.removeprefix("payout.")
    return {
        "id": ids.to_text("po", ids.derive(root, "test-payout")),
        "object": "payout",
        "merchant_id": ids.to_text("mer", merchant_id),
        "mode": mode,
        "status": status,
        "failure_code": "payee_refused" if status == "failed" else None,
        "amount_minor": "1250",
        "currency": "USD",
        "payments": 1,
        "sequence": sequence,
    }
