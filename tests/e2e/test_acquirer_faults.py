"""Every way in which an acquirer can fail, through the running platform: each payment ends as the acquirer has it."""

from typing import Any

import httpx
import pytest

from rialto_cli.acquirer_sim.tokens import DECLINES, FAULTS
from rialto_gateway.connectors.simulated import CODES

from .running import Rialto, eventually
from .shop import FINAL, Shop, done, new_name

AMOUNT = 1_250
RESOLVED_SECONDS = 120.0
"""An answer is waited for 10 s, then asked for after 2, 4, 8 … s; a settlement takes a few blocks more."""

APPROVED = (
    "tok_approve",
    "tok_slow",
    "tok_duplicate",
    "tok_out_of_order",
    "tok_late_approve",
    *(f"tok_{fault}_after" for fault in FAULTS),
)
LOST = tuple(f"tok_{fault}_before" for fault in FAULTS)


def charge(shop: Shop, token: str, **more: Any) -> str:
    """Send a payment by card; return its id. Each has a payer of its own, as one who pays so often is suspicious."""
    body = {
        "amount_minor": str(AMOUNT),
        "currency": "USD",
        "payment_method": {"type": "card", "token": token},
        "payer": {"name": f"Payer of {new_name('card')}", "country": "GB"},
        **more,
    }
    response = shop.client.post("/v1/payments", json=body, headers={"Idempotency-Key": new_name("card")})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def ended(shop: Shop, payment_id: str) -> dict[str, Any]:
    """Return a payment once it has ended."""

    def final() -> dict[str, Any]:
        payment = shop.get(payment_id)
        return payment if payment["status"] in FINAL else {}

    return eventually(final, f"{payment_id} has ended", RESOLVED_SECONDS)


def test_every_authorisation_ends_as_the_acquirer_has_it(rialto: Rialto, shop: Shop) -> None:
    approved = {token: charge(shop, token) for token in APPROVED}
    lost = {token: charge(shop, token) for token in LOST}
    declined = {code: charge(shop, f"tok_decline_{code}") for code in DECLINES}
    late = charge(shop, "tok_late_decline")
    for token, payment_id in approved.items():
        payment = ended(shop, payment_id)
        assert (token, payment["status"], payment["amount_captured_minor"]) == (token, "settled", str(AMOUNT))
        [authorised] = [each for each in payment["attempts"] if each["step"] == "authorise"]
        assert authorised["status"] == "succeeded"
    for payment_id in lost.values():
        payment = ended(shop, payment_id)
        assert (payment["status"], payment["status_reason"]) == ("failed", "acquirer_has_nothing")
    for code, payment_id in declined.items():
        payment = ended(shop, payment_id)
        assert (code, payment["status"], payment["decline_code"]) == (code, "declined", CODES[code])
    assert ended(shop, late)["decline_code"] == "do_not_honour"
    rialto.check_books()


@pytest.mark.parametrize(("answer", "status"), [("approve", "settled"), ("reject", "declined")])
def test_a_payer_confirms_or_refuses_at_the_bank(shop: Shop, answer: str, status: str) -> None:
    payment_id = charge(shop, "tok_3ds")
    payment = shop.until(payment_id, "requires_action")
    assert httpx.post(payment["next_action"]["url"], data={"answer": answer}).is_success
    assert ended(shop, payment_id)["status"] == status


def test_every_capture_and_void_ends_as_the_acquirer_has_it(rialto: Rialto, shop: Shop) -> None:
    made = {
        (step, fault, when): charge(shop, f"tok_{step}_{fault}_{when}", capture_method="manual")
        for step in ("capture", "void")
        for fault in FAULTS
        for when in ("before", "after")
    }
    refused = charge(shop, "tok_capture_decline", capture_method="manual")
    for payment_id in (*made.values(), refused):
        shop.until(payment_id, "authorised")
        step = next((step for (step, *_), each in made.items() if each == payment_id), "capture")
        key = {"Idempotency-Key": new_name(step)}
        done(shop.client.post(f"/v1/payments/{payment_id}/{step}", json={}, headers=key))
    for (step, _, when), payment_id in made.items():
        if step == "capture" and when == "after":
            assert ended(shop, payment_id)["status"] == "settled"
        elif step == "capture":
            payment = _capture_failed(shop, payment_id)
            assert payment["captures"][0]["failure_code"] == "acquirer_has_nothing"
        elif when == "after":
            assert ended(shop, payment_id)["status"] == "voided"
    assert _capture_failed(shop, refused)["captures"][0]["failure_code"] == "capture_refused"
    rialto.check_books()


def _capture_failed(shop: Shop, payment_id: str) -> dict[str, Any]:
    """Return a payment whose capture has failed: it stands authorised, to be captured or voided."""

    def failed() -> dict[str, Any]:
        payment = shop.get(payment_id)
        return payment if payment["captures"][0]["status"] == "failed" else {}

    payment = eventually(failed, f"the capture of {payment_id} has failed", RESOLVED_SECONDS)
    assert (payment["status"], payment["amount_captured_minor"]) == ("authorised", "0")
    return payment


def test_every_refund_ends_as_the_acquirer_has_it(rialto: Rialto, shop: Shop) -> None:
    # Captured in part, so that the merchant is owed what it gives back: what is captured in whole is paid out at once.
    owed = charge(shop, "tok_approve", capture_method="manual", amount_minor="100000")
    shop.until(owed, "authorised")
    key = {"Idempotency-Key": new_name("capture")}
    done(shop.client.post(f"/v1/payments/{owed}/capture", json={"amount_minor": "50000"}, headers=key))
    made = {
        (fault, when): charge(shop, f"tok_refund_{fault}_{when}") for fault in FAULTS for when in ("before", "after")
    }
    refused = charge(shop, "tok_refund_decline")
    refunds = {}
    for payment_id in (*made.values(), refused):
        ended(shop, payment_id)
        key = {"Idempotency-Key": new_name("refund")}
        refunds[payment_id] = done(shop.client.post(f"/v1/payments/{payment_id}/refunds", json={}, headers=key))
    for (_, when), payment_id in made.items():
        refund = _refunded(shop, refunds[payment_id]["id"])
        expected = ("succeeded", None) if when == "after" else ("failed", "acquirer_has_nothing")
        assert (refund["status"], refund["failure_code"]) == expected
        refunded = str(AMOUNT) if when == "after" else "0"
        assert shop.get(payment_id)["amount_refunded_minor"] == refunded
    assert _refunded(shop, refunds[refused]["id"])["failure_code"] == "refund_refused"
    rialto.check_books()


def _refunded(shop: Shop, refund_id: str) -> dict[str, Any]:
    """Return a refund once it has ended."""

    def ended_refund() -> dict[str, Any]:
        refund = done(shop.client.get(f"/v1/refunds/{refund_id}"))
        return refund if refund["status"] != "pending" else {}

    return eventually(ended_refund, f"{refund_id} has ended", RESOLVED_SECONDS)


def test_a_dispute_is_heard_of_answered_and_decided_by_the_acquirer(rialto: Rialto, shop: Shop) -> None:
    where = rialto.installation
    key = {"Authorization": f"Bearer {where.secrets.acquirer_key}"}
    made = {"won": charge(shop, "tok_out_of_order"), "lost": charge(shop, "tok_duplicate")}
    with httpx.Client(base_url=where.url("acquirer"), headers=key, timeout=30) as acquirer:
        for outcome, payment_id in made.items():
            [attempt] = [each for each in ended(shop, payment_id)["attempts"] if each["step"] == "authorise"]
            body = {"reference": attempt["id"], "amount_minor": "500", "respond_within_seconds": 600}
            reference = done(acquirer.post("/test/disputes", json=body))["id"]
            if outcome == "lost":
                # Of the other, the news comes only after what is newer.
                dispute = _dispute(shop, payment_id, "needs_response")
                for what, evidence in (("evidence", {"other": "sent by post"}), ("submit", {})):
                    named = {"Idempotency-Key": new_name(what)}
                    done(shop.client.post(f"/v1/disputes/{dispute['id']}/{what}", json=evidence, headers=named))
                _dispute(shop, payment_id, "under_review")
            done(acquirer.post(f"/test/disputes/{reference}/close", json={"outcome": outcome}))
    for outcome, payment_id in made.items():
        assert _dispute(shop, payment_id, outcome)["amount_minor"] == "500"
        assert shop.get(payment_id)["amount_disputed_minor"] == ("0" if outcome == "won" else "500")
    rialto.check_books()


def _dispute(shop: Shop, payment_id: str, status: str) -> dict[str, Any]:
    """Return a payment's dispute once it stands so."""

    def standing() -> dict[str, Any]:
        found = done(shop.client.get("/v1/disputes", params={"payment_id": payment_id}))["data"]
        return next((each for each in found if each["status"] == status), {})

    return eventually(standing, f"the dispute of {payment_id} is {status}", RESOLVED_SECONDS)


def test_every_increment_ends_as_the_acquirer_has_it(rialto: Rialto, shop: Shop) -> None:
    made = {
        (fault, when): charge(shop, f"tok_increment_{fault}_{when}", capture_method="manual")
        for fault in FAULTS
        for when in ("before", "after")
    }
    refused = charge(shop, "tok_increment_decline", capture_method="manual")
    for payment_id in (*made.values(), refused):
        shop.until(payment_id, "authorised")
        for what, body in (("increments", {"amount_minor": "1500"}), ("capture", {"amount_minor": "1000"})):
            key = {"Idempotency-Key": new_name(what)}
            done(shop.client.post(f"/v1/payments/{payment_id}/{what}", json=body, headers=key))
    for (_, when), payment_id in made.items():
        raised = when == "after"
        payment = _captured_in_part(shop, payment_id)
        expected = ("succeeded", None, "1500") if raised else ("failed", "acquirer_has_nothing", str(AMOUNT))
        [increment] = payment["increments"]
        assert (increment["status"], increment["failure_code"], payment["amount_minor"]) == expected
    [increment] = _captured_in_part(shop, refused)["increments"]
    assert (increment["status"], increment["failure_code"]) == ("failed", "insufficient_funds")
    rialto.check_books()


def _captured_in_part(shop: Shop, payment_id: str) -> dict[str, Any]:
    """Return a payment once the capture that waited behind its increment is made."""

    def captured() -> dict[str, Any]:
        payment = shop.get(payment_id)
        return payment if payment["amount_captured_minor"] == "1000" else {}

    return eventually(captured, f"the capture of {payment_id} is made", RESOLVED_SECONDS)
