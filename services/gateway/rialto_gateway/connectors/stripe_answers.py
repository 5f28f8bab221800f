"""What Stripe says, in the port's words; and its webhooks. No calls."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
import stripe

from rialto_gateway.connectors.port import (
    ActionRequired,
    Answer,
    Declined,
    NotFound,
    NotSent,
    Pending,
    Succeeded,
    Unknown,
)
from rialto_gateway.connectors.webhooks import Heard, WebhookInvalid

REFERENCE = "rialto_reference"
"""Where a PaymentIntent's or refund's metadata has our reference. A capture's is a key of its own in its intent's."""

CODES: Mapping[str, str] = {
    "insufficient_funds": "insufficient_funds",
    "expired_card": "card_expired",
    "do_not_honor": "do_not_honour",
    "generic_decline": "do_not_honour",
    "lost_card": "card_lost_or_stolen",
    "stolen_card": "card_lost_or_stolen",
    "pickup_card": "card_lost_or_stolen",
    "fraudulent": "fraud_suspected",
    "merchant_blacklist": "fraud_suspected",
    "card_velocity_exceeded": "card_limit_exceeded",
    "withdrawal_count_limit_exceeded": "card_limit_exceeded",
    "incorrect_number": "card_invalid",
    "invalid_number": "card_invalid",
    "invalid_account": "card_invalid",
    "incorrect_cvc": "card_invalid",
    "issuer_not_available": "issuer_unavailable",
    "processing_error": "issuer_unavailable",
    "try_again_later": "issuer_unavailable",
    "reenter_transaction": "issuer_unavailable",
    "authentication_required": "authentication_required",
    "payment_intent_authentication_failure": "authentication_failed",
}
"""Stripe's decline codes, or where there is none its error codes, and ours; any other is `declined_by_acquirer`."""

ELSEWHERE = frozenset({"issuer_unavailable"})
"""Declines of the way and not of the card: another acquirer may be asked."""

TOLD = frozenset(
    {
        "payment_intent.amount_capturable_updated",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.requires_action",
    }
)
REFUNDS_TOLD = frozenset({"refund.created", "refund.updated", "refund.failed"})
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Lost(stripe.APIConnectionError):
    """No answer came; `answer` says what that means."""

    def __init__(self, answer: NotSent | Unknown) -> None:
        super().__init__(answer.code)  # type: ignore[no-untyped-call]
        self.answer = answer


def answer_to(error: stripe.StripeError) -> Answer:
    """Return what an error says of the request that it answers."""
    if isinstance(error, Lost):
        return error.answer
    if isinstance(error, stripe.CardError):
        return declined(_field(error, "decline_code") or error.code)
    if isinstance(error, stripe.RateLimitError):
        return NotSent("acquirer_busy")
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return NotSent("acquirer_refuses_our_key")
    if isinstance(error, stripe.IdempotencyError):
        return Unknown("reference_reused")  # what the reference stands for may have been done
    if isinstance(error, stripe.InvalidRequestError):
        return Declined("declined_by_acquirer", label(error.code))
    return Unknown(f"http_{error.http_status}" if error.http_status else "answer_unreadable")


def is_burnt(error: stripe.StripeError) -> bool:
    """Whether Stripe has ended a request with an error of its own: its key will never do anything any more."""
    replayed = {name.lower(): value for name, value in (error.headers or {}).items()}.get("idempotent-replayed")
    return replayed == "true" and (error.http_status or 0) >= 500


def of_intent(intent: Any) -> Answer:
    """Return what a PaymentIntent says of the authorisation that it stands for; NotFound where it was not confirmed."""
    match intent["status"]:
        case "requires_capture" | "succeeded":
            return Succeeded(str(intent["id"]), int(intent["amount"]))
        case "processing":
            return Pending(str(intent["id"]))
        case "requires_action":
            redirect = (intent.get("next_action") or {}).get("redirect_to_url") or {}
            return ActionRequired(str(intent["id"]), str(redirect["url"])) if "url" in redirect else Unknown("no_url")
        case "requires_payment_method" if intent.get("last_payment_error"):
            error = intent["last_payment_error"]
            return declined(error.get("decline_code") or error.get("code"))
        case "canceled":
            # Never charged: we forgot it. Charged and then let go of: certainly nothing is held.
            return NotFound() if intent.get("latest_charge") is None else Declined("cancelled", "canceled")
        case "requires_confirmation" | "requires_payment_method":
            return NotFound()
        case _:
            return Unknown("answer_unreadable")


def of_refund(refund: Any) -> Answer:
    """Return what a refund says."""
    match refund["status"]:
        case "succeeded":
            return Succeeded(str(refund["id"]), int(refund["amount"]))
        case "pending" | "requires_action":
            return Pending(str(refund["id"]))
        case "failed" | "canceled":
            return Declined("refund_refused", label(refund.get("failure_reason") or refund["status"]))
        case _:
            return Unknown("answer_unreadable")


def declined(code: object) -> Declined:
    """Return a decline in our words."""
    theirs = label(code)
    ours = CODES.get(theirs, "declined_by_acquirer")
    return Declined(ours, theirs, retry_elsewhere=ours in ELSEWHERE)


def label(code: object) -> str:
    """Return a code that can go into logs and labels: what others send is not trusted to be one."""
    return code if isinstance(code, str) and _LABEL.fullmatch(code) else "unreadable"


def read_webhook(secret: str, body: bytes, headers: Mapping[str, str]) -> Heard:
    """Return what a message says. Raises: WebhookInvalid: not signed with the secret just now, or not readable."""
    try:
        text = body.decode()
        stripe.WebhookSignature.verify_header(
            text, headers.get("stripe-signature", ""), secret, stripe.Webhook.DEFAULT_TOLERANCE
        )
        event = orjson.loads(text)
        kind, about, message_id = str(event["type"]), event["data"]["object"], str(event["id"])
        reference = (about.get("metadata") or {}).get(REFERENCE)
        if isinstance(reference, str) and kind in TOLD:
            return Heard(message_id, reference, of_intent(about))
        if isinstance(reference, str) and kind in REFUNDS_TOLD:
            return Heard(message_id, reference, of_refund(about))
    except stripe.SignatureVerificationError as error:
        raise WebhookInvalid("the message is not signed by Stripe, or is older than five minutes") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WebhookInvalid("the message is not an event of Stripe's") from error
    return Heard(message_id, None, Unknown("of_nothing_here"))


def _field(error: stripe.StripeError, name: str) -> object:
    body = error.json_body
    found = body.get("error") if isinstance(body, dict) else None
    return found.get(name) if isinstance(found, dict) else None
