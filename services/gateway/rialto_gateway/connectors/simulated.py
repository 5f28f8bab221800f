"""The simulated acquirer (`rialto acquirer-sim`) behind the port: JSON over HTTP, test mode only."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
from standardwebhooks import Webhook, WebhookVerificationError

from rialto_gateway.connectors.disputes import DisputeAnswer, Standing, Status
from rialto_gateway.connectors.port import (
    ActionRequired,
    Answer,
    Authorise,
    Capture,
    Declined,
    Increment,
    NotFound,
    NotSent,
    Pending,
    Question,
    Refund,
    Succeeded,
    Unknown,
    Void,
)
from rialto_gateway.connectors.webhooks import Heard, WebhookInvalid

NAME = "sim"

CODES: Mapping[str, str] = {
    "insufficient_funds": "insufficient_funds",
    "card_expired": "card_expired",
    "do_not_honour": "do_not_honour",
    "lost_or_stolen": "card_lost_or_stolen",
    "fraud_suspected": "fraud_suspected",
    "limit_exceeded": "card_limit_exceeded",
    "invalid_card": "card_invalid",
    "issuer_unavailable": "issuer_unavailable",
    "authentication_failed": "authentication_failed",
    "authentication_required": "authentication_required",
    "capture_refused": "capture_refused",
    "refund_refused": "refund_refused",
    "amount_too_large": "amount_too_large",
}
"""The acquirer's codes and ours; any other is `declined_by_acquirer`."""

ELSEWHERE = frozenset({"issuer_unavailable"})
"""Declines of the way and not of the card: another acquirer may be asked."""

REASONS: Mapping[str, str] = {
    "fraudulent": "fraudulent",
    "not_received": "product_not_received",
    "not_as_described": "product_unacceptable",
    "duplicate": "duplicate",
    "cancelled": "subscription_cancelled",
    "credit_not_processed": "credit_not_processed",
}
"""The acquirer's reasons for disputes and ours; any other is `other`."""

_STATUSES: Mapping[str, Status] = {
    "needs_response": "needs_response",
    "under_review": "under_review",
    "won": "won",
    "lost": "lost",
}
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,39}")


class SimulatedAcquirer:
    """Asks the simulated acquirer."""

    def __init__(self, http: httpx.AsyncClient, name: str = NAME) -> None:
        """`http` has the acquirer's address, its key and time limits."""
        self._http = http
        self.name = name

    async def authorise(self, question: Authorise) -> Answer:
        """Ask for an authorisation."""
        body = {
            "reference": question.reference,
            "amount_minor": str(question.amount_minor),
            "currency": question.currency,
            "token": question.token,
            "descriptor": question.descriptor,
            "return_url": question.return_url,
            "off_session": question.off_session,
        }
        return await self._ask("/v1/authorisations", body)

    async def increment(self, question: Increment) -> Answer:
        """Ask for more to be authorised."""
        return await self._ask("/v1/increments", _of_authorisation(question))

    async def capture(self, question: Capture) -> Answer:
        """Ask for a capture."""
        body = _of_authorisation(question) | {"final": question.final}
        return await self._ask("/v1/captures", body)

    async def void(self, question: Void) -> Answer:
        """Ask for a void."""
        return await self._ask("/v1/voids", {"reference": question.reference, "authorisation": question.authorisation})

    async def refund(self, question: Refund) -> Answer:
        """Ask for a refund."""
        return await self._ask("/v1/refunds", _of_authorisation(question))

    async def lookup(self, question: Question) -> Answer:
        """Ask what came of a question. What the acquirer does not know, it will refuse should it arrive later."""
        answer = await self._ask("/v1/lookups", {"reference": question.reference}, is_lookup=True)
        return Unknown(answer.code) if isinstance(answer, NotSent) else answer

    async def submit_evidence(self, reference: str, evidence: Mapping[str, str]) -> DisputeAnswer:
        """Answer a dispute."""
        return await self._ask_of_dispute("POST", f"/v1/disputes/{reference}/evidence", {"evidence": dict(evidence)})

    async def accept_dispute(self, reference: str) -> DisputeAnswer:
        """Give a dispute up."""
        return await self._ask_of_dispute("POST", f"/v1/disputes/{reference}/accept", {})

    async def look_up_dispute(self, reference: str) -> DisputeAnswer:
        """Ask how a dispute stands."""
        return await self._ask_of_dispute("GET", f"/v1/disputes/{reference}", None)

    async def _ask_of_dispute(self, method: str, path: str, body: dict[str, Any] | None) -> DisputeAnswer:
        try:
            response = await self._http.request(method, path, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            return NotSent("not_connected")
        except httpx.HTTPError:
            return Unknown("connection_lost")
        view = _object(response)
        if response.status_code == 404:
            return NotFound()
        if response.status_code != 200 or view is None:
            return Unknown(f"http_{response.status_code}")
        return standing_of(view) or Unknown("answer_unreadable")

    async def _ask(self, path: str, body: dict[str, Any], *, is_lookup: bool = False) -> Answer:
        try:
            response = await self._http.post(path, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            return NotSent("not_connected")
        except httpx.TimeoutException:
            return Unknown("timed_out")
        except httpx.HTTPError:
            return Unknown("connection_lost")
        view = _object(response)
        if response.status_code == 200:
            return Unknown("answer_unreadable") if view is None else answer_of(view)
        if response.status_code == 429:
            return NotSent("acquirer_busy")
        if response.status_code == 503 and view is not None and view.get("code") == "not_processed" and not is_lookup:
            return NotSent("acquirer_unavailable")  # it says itself that it has not looked at the request
        if response.status_code >= 500 or view is None:
            return Unknown(f"http_{response.status_code}")
        if is_lookup:
            return NotFound() if view.get("code") == "reference_not_found" else Unknown(f"http_{response.status_code}")
        if response.status_code in (401, 403):
            return NotSent("acquirer_refuses_our_key")
        if view.get("code") == "reference_forgotten":
            return NotSent("reference_forgotten")
        if view.get("code") == "reference_reused":
            return Unknown("reference_reused")  # what the reference stands for may have been done
        return Declined("declined_by_acquirer", _label(view.get("code")))


def read_webhook(secret: str, body: bytes, headers: Mapping[str, str]) -> Heard:
    """Return what a message says. Raises: WebhookInvalid: not signed with the secret just now, or not readable."""
    try:
        view = Webhook(secret).verify(body, dict(headers))
    except (WebhookVerificationError, ValueError) as error:
        raise WebhookInvalid("the message is not signed by the acquirer, or is older than five minutes") from error
    if isinstance(view, dict) and isinstance(view.get("dispute"), dict):
        standing = standing_of(view["dispute"])
        if standing is None:
            raise WebhookInvalid("the message is of a dispute and cannot be read")
        return Heard(headers["webhook-id"], standing.attempt, standing)
    if not isinstance(view, dict) or not isinstance(view.get("reference"), str):
        raise WebhookInvalid("the message names no reference")
    return Heard(headers["webhook-id"], view["reference"], answer_of(view))


def standing_of(view: Mapping[str, Any]) -> Standing | None:
    """Return what the acquirer says of a dispute, in the port's words; None where it cannot be read."""
    try:
        status = _STATUSES[view["status"]]
        respond_by, opened_at = (datetime.fromisoformat(view[name]) for name in ("respond_by", "opened_at"))
        amount_minor = int(view["amount_minor"])
        if amount_minor <= 0 or respond_by.tzinfo is None or opened_at.tzinfo is None:
            return None
        reason = REASONS.get(_label(view["reason"]), "other")
        reference, attempt, currency = (str(view[name]) for name in ("id", "reference", "currency"))
        return Standing(reference, attempt, amount_minor, currency, reason, status, respond_by, opened_at)
    except (KeyError, TypeError, ValueError):
        return None


def answer_of(view: Mapping[str, Any]) -> Answer:
    """Return what the acquirer says of an operation, in the port's words."""
    try:
        operation, amount_minor = str(view["id"]), int(view["amount_minor"])
        match view["status"]:
            case "authorised" | "succeeded":
                return Succeeded(operation, amount_minor)
            case "pending":
                return Pending(operation)
            case "requires_action":
                return ActionRequired(operation, str(view["url"]))
            case "declined":
                code = _label(view["code"])
                return Declined(CODES.get(code, "declined_by_acquirer"), code, retry_elsewhere=code in ELSEWHERE)
            case "voided":
                return Declined("cancelled", "voided")
    except (KeyError, TypeError, ValueError):
        pass
    return Unknown("answer_unreadable")


def _of_authorisation(question: Increment | Capture | Refund) -> dict[str, Any]:
    return {
        "reference": question.reference,
        "authorisation": question.authorisation,
        "amount_minor": str(question.amount_minor),
        "currency": question.currency,
    }


def _object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        view = response.json()
    except ValueError:
        return None
    return view if isinstance(view, dict) else None


def _label(code: object) -> str:
    """Return a code that can go into logs and labels: what others send is not trusted to be one."""
    return code if isinstance(code, str) and _LABEL.fullmatch(code) else "unreadable"
