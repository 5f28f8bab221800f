"""A payment as the API and the webhooks show it. Never a name or any other personal data."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_gateway.attempts.attempt import Attempt
from rialto_gateway.attempts.cards import merchants_fingerprint, saved_under
from rialto_gateway.pricing.view import statement_view

_SUBJECTS = {"increment": "inc", "capture": "cap", "refund": "re"}
"""What an attempt is for, by its step: what the id of that begins with."""


def payment_view(
    row: Mapping[str, Any],
    *,
    timeline: Sequence[Mapping[str, Any]] | None = None,
    captures: Sequence[Mapping[str, Any]] | None = None,
    increments: Sequence[Mapping[str, Any]] | None = None,
    attempts: Sequence[Attempt] | None = None,
    fees: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the payment object of a row of `gateway.payments`."""
    capturable = 0
    if row["state"] == "authorised" and row["void_reason"] is None:
        capturable = row["amount_minor"] - row["amount_captured_minor"] - row["capture_pending_minor"]
    view: dict[str, Any] = {
        "id": ids.to_text("pay", row["payment_id"]),
        "object": "payment",
        "merchant_id": ids.to_text("mer", row["merchant_id"]),
        "mode": row["mode"],
        "status": row["state"],
        "status_reason": row["reason"],
        "decline_code": row["decline_code"],
        "amount_minor": _minor(row["amount_minor"]),
        "currency": row["currency"],
        "amount_captured_minor": _minor(row["amount_captured_minor"]),
        "amount_capturable_minor": _minor(capturable),
        "amount_refunded_minor": _minor(row["amount_refunded_minor"]),
        "amount_disputed_minor": _minor(row["amount_disputed_minor"]),
        "fee_minor": _minor(row["fee_minor"]),
        "payment_method": _method(row),
        "next_action": _next_action(row),
        "capture_method": row["capture_method"],
        "terminal_id": row["terminal_id"],
        "description": row["description"],
        "metadata": orjson.loads(row["metadata"]),
        "settlement": _settlement(row),
        "payout_id": None if row["payout_id"] is None else ids.to_text("po", row["payout_id"]),
        "occurred_at": time_text(row["occurred_at"]),
        "created_at": time_text(row["created_at"]),
        "updated_at": time_text(row["updated_at"]),
        "authorised_at": time_text(row["authorised_at"]),
        "deadline_at": time_text(row["deadline_at"]),
    }
    if timeline is not None:
        view["timeline"] = [timeline_view(line) for line in timeline]
    if captures is not None:
        view["captures"] = [capture_view(capture) for capture in captures]
    if increments is not None:
        view["increments"] = [
            {
                "id": ids.to_text("inc", increment["increment_id"]),
                "object": "increment",
                "amount_before_minor": _minor(increment["amount_before_minor"]),
                "amount_minor": _minor(increment["amount_minor"]),
                "status": increment["state"],
                "failure_code": increment["failure_code"],
                "created_at": time_text(increment["created_at"]),
            }
            for increment in increments
        ]
    if attempts is not None:
        view["attempts"] = [attempt_view(attempt) for attempt in attempts]
    if fees is not None:
        view["fees"] = statement_view(fees)
    return view


def timeline_view(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of a payment's timeline."""
    return {
        "at": time_text(line["at"]),
        "status": line["state"],
        "event": line["event"],
        "cause": line["cause"],
        "actor": line["actor"],
        "detail": None if line["detail"] is None else orjson.loads(line["detail"]),
    }


def capture_view(capture: Mapping[str, Any]) -> dict[str, Any]:
    """Return the capture object of a row of `gateway.captures`."""
    return {
        "id": ids.to_text("cap", capture["capture_id"]),
        "object": "capture",
        "amount_minor": _minor(capture["amount_minor"]),
        "final": capture["final"],
        "status": capture["state"],
        "failure_code": capture["failure_code"],
        "created_at": time_text(capture["created_at"]),
    }


def attempt_view(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt; if its outcome was unknown, since when, and while it is, when it is asked about next."""
    subject = None
    if attempt.subject_id is not None:
        subject = ids.to_text(_SUBJECTS[attempt.step], attempt.subject_id)
    return {
        "id": attempt.reference,
        "object": "attempt",
        "step": attempt.step,
        "for": subject,
        "connector": attempt.connector,
        "status": attempt.state,
        "amount_minor": _minor(attempt.amount_minor),
        "code": attempt.code,
        "created_at": time_text(attempt.created_at),
        "started_at": time_text(attempt.started_at),
        "answered_at": time_text(attempt.answered_at),
        "unknown_since": time_text(attempt.unknown_since),
        "asked_next_at": time_text(attempt.due_at),
    }


def _method(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["card"] is None:
        return {"type": "wallet", "wallet_id": ids.to_text("wal", row["wallet_id"])}
    saved_as, mandate_id = saved_under(row["card"])
    return {
        "type": "card",
        "fingerprint": merchants_fingerprint(row["card"], row["merchant_id"]),
        "payment_method_id": None if saved_as is None else ids.to_text("pm", saved_as),
        "mandate_id": None if mandate_id is None else ids.to_text("mdt", mandate_id),
    }


def _next_action(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if row["state"] != "requires_action" or row["next_action_url"] is None:
        return None
    return {"type": "redirect", "url": row["next_action_url"]}


def as_accepted(row: Mapping[str, Any], decide_within: timedelta) -> dict[str, Any]:
    """Return the payment as it was when it was accepted: the first answer, also for a retry with the same key."""
    first = dict(row) | {
        "state": "created",
        "reason": None,
        "decline_code": None,
        "amount_minor": row.get("amount_assessed_minor") or row["amount_minor"],
        "amount_captured_minor": 0,
        "capture_pending_minor": 0,
        "void_reason": None,
        "amount_refunded_minor": 0,
        "amount_disputed_minor": 0,
        "fee_minor": 0,
        "next_action_url": None,
        "settlement": None,
        "payout_id": None,
        "authorised_at": None,
        "updated_at": row["created_at"],
        "deadline_at": row["created_at"] + decide_within,
    }
    return payment_view(first)


def time_text(at: datetime | None) -> str | None:
    """Return RFC 3339 in UTC with microseconds and Z."""
    return None if at is None else at.isoformat(timespec="microseconds")[:26] + "Z"


def _minor(value: Any) -> str:
    return str(int(value))


def _settlement(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if row["settlement"] is None:
        return None
    fields: dict[str, Any] = orjson.loads(row["settlement"])
    return {
        "id": ids.to_text("set", ids.derive(row["payment_id"], "settlement")),
        "rail": "chain",
        **{name: fields[name] for name in ("chain_id", "token", "token_amount", "tx_hash", "block_number")},
        "batch_id": ids.to_text("bat", UUID(fields["batch_id"])),
    }
