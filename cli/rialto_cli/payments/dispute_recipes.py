"""Disputes, as the simulated acquirer of `rialto up` opens and decides them."""

import time
from dataclasses import dataclass
from typing import Any

import httpx

from rialto import Dispute, Payment
from rialto_cli.errors import OperatorError
from rialto_cli.payments.stage import LOOK_EVERY_SECONDS, PART_MINOR, PATIENCE_SECONDS, Stage


@dataclass(frozen=True, slots=True)
class _Disputed:
    """A payment, the dispute of it, and what the acquirer calls that."""

    payment: Payment
    dispute: Dispute
    at_acquirer: str


def disputed(stage: Stage) -> Payment:
    """Have a cardholder dispute a payment."""
    return _open(stage).payment


def answered(stage: Stage) -> Payment:
    """Have a payment disputed, and answer with evidence."""
    return _answer(stage).payment


def won(stage: Stage) -> Payment:
    """Have a payment disputed, answer, and let the issuer decide for the merchant."""
    opened = _answer(stage)
    _until(stage, opened.dispute, "under_review")
    _ask(stage, f"/test/disputes/{opened.at_acquirer}/close", {"outcome": "won"})
    stage.progress.done("the issuer decided for the merchant")
    return opened.payment


def accepted(stage: Stage) -> Payment:
    """Have a payment disputed, and give it up."""
    opened = _open(stage)
    stage.client.disputes.accept(opened.dispute.id)
    stage.progress.done("the merchant accepted it")
    return opened.payment


def _open(stage: Stage) -> _Disputed:
    payment = stage.client.payments.retrieve(stage.captured_in_part("tok_approve").id)
    reference = next(each.id for each in payment.attempts or () if each.step == "authorise")
    authorisation = _ask(stage, "/v1/lookups", {"reference": reference})["id"]
    made = _ask(stage, "/test/disputes", {"authorisation": authorisation, "amount_minor": str(PART_MINOR)})
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := list(stage.client.disputes.list(payment_id=payment.id))):
        if time.monotonic() > deadline:
            raise OperatorError(
                f"{payment.id} has no dispute",
                f"the gateway was not told of it within {PATIENCE_SECONDS:.0f} s",
                "read logs/acquirer.log in the data directory",
            )
        time.sleep(LOOK_EVERY_SECONDS)
    stage.progress.done(f"{found[0].id} was opened for {PART_MINOR}")
    return _Disputed(payment, found[0], str(made["id"]))


def _answer(stage: Stage) -> _Disputed:
    opened = _open(stage)
    stage.client.disputes.post_evidence(opened.dispute.id, product_description="rialto payments trigger")
    stage.client.disputes.submit(opened.dispute.id)
    stage.progress.done("evidence was submitted")
    return opened


def _until(stage: Stage, dispute: Dispute, status: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while stage.client.disputes.retrieve(dispute.id).status != status:
        if time.monotonic() > deadline:
            raise OperatorError(
                f"{dispute.id} did not come to be {status}",
                f"it is not after {PATIENCE_SECONDS:.0f} s",
                "read logs/gateway.log in the data directory",
            )
        time.sleep(LOOK_EVERY_SECONDS)


def _ask(stage: Stage, path: str, body: dict[str, str]) -> dict[str, Any]:
    """Ask the simulated acquirer.

    Raises: OperatorError: it is not at hand, or does not do it.
    """
    if stage.account.acquirer is None:
        raise OperatorError(
            "A dispute cannot be triggered with this key",
            "a dispute begins at the payer's bank, and the simulated one belongs to the platform of `rialto up`",
            "leave --api-key and --url out, on the machine where it runs",
        )
    address, key = stage.account.acquirer
    try:
        answer = httpx.post(f"{address}{path}", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=10.0)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise OperatorError(
            "The simulated acquirer did not do it", str(error).splitlines()[0] or type(error).__name__, "try again"
        ) from error
    return dict(answer.json())
