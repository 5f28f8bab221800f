"""Makes a real object go through an event: a payment by a test token, as a merchant's own would.

Nothing is made up: the event that comes is told to every webhook endpoint and to `rialto payments listen`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rialto import Event, Payment, Rialto
from rialto_cli.errors import OperatorError
from rialto_cli.payments.dispute_recipes import accepted, answered, disputed, won
from rialto_cli.payments.stage import LOOK_EVERY_SECONDS, PATIENCE_SECONDS, WAIT_SECONDS, Stage

REVIEWED_MINOR = 1_000_000
"""10,000.00: an amount that compliance always lets a person look at."""


@dataclass(frozen=True, slots=True)
class Triggered:
    """The payment that went through it, and the merchant's event of it; attempts have none."""

    payment: Payment
    event: Event | None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an event is brought about."""

    says: str
    make: Callable[[Stage], Payment]
    is_told: bool = True
    """Whether merchants hear of it by webhook; attempts are shown on the payment instead."""


def _unknown(stage: Stage) -> Payment:
    payment = stage.pay("tok_reset_after")
    return stage.when(payment, _was_unknown, "unknown")


def _resolved(stage: Stage) -> Payment:
    payment = stage.when(stage.pay("tok_reset_after"), _was_unknown, "unknown")
    stage.progress.done("the acquirer's answer was lost; it is asked by our reference")
    return stage.until(payment, "authorised", "captured", "settled")


def _was_unknown(payment: Payment) -> bool:
    return any(line.status == "unknown" for line in payment.timeline or ())


def _reviewed(stage: Stage) -> Payment:
    if stage.account.admin_key is None:
        raise OperatorError(
            "payment.review_closed cannot be triggered with this key",
            "a review is decided by the platform's operator",
            "trigger payment.review_opened, and let the operator decide; or use the platform of `rialto up`",
        )
    payment = stage.until(stage.pay("tok_approve", REVIEWED_MINOR, manual=True), "review")
    with Rialto(stage.account.admin_key, base_url=stage.account.url) as operator:
        operator.request("POST", f"/v1/payments/{payment.id}/review", body={"decision": "approve"})
    stage.progress.done("the operator approved it")
    return payment


def _confirmed(stage: Stage) -> Payment:
    payment = stage.until(stage.pay("tok_3ds"), "requires_action")
    if payment.next_action is not None and payment.next_action.url is not None:
        stage.progress.note(f"the payer would confirm at {payment.next_action.url}")
    return payment


def _refunded_by(token: str) -> Callable[[Stage], Payment]:
    return lambda stage: stage.refunded(token)


def _voided(stage: Stage) -> Payment:
    return stage.client.payments.void(stage.authorised().id, wait=WAIT_SECONDS)


def _raised(token: str) -> Callable[[Stage], Payment]:
    def raised(stage: Stage) -> Payment:
        payment = stage.until(stage.pay(token, manual=True, wait=WAIT_SECONDS), "authorised")
        return stage.client.payments.increment(
            payment.id, amount_minor=payment.amount_minor + payment.amount_minor // 4, wait=WAIT_SECONDS
        )

    return raised


RECIPES: Mapping[str, Recipe] = {
    "payment.authorised": Recipe("tok_approve, to be captured by hand", Stage.authorised),
    "payment.incremented": Recipe("tok_approve, raised by a quarter", _raised("tok_approve")),
    "payment.increment_failed": Recipe("tok_increment_decline, the same", _raised("tok_increment_decline")),
    "payment.captured": Recipe("tok_approve", lambda stage: stage.pay("tok_approve", wait=WAIT_SECONDS)),
    "payment.settled": Recipe("tok_approve, paid out on chain", lambda stage: stage.pay("tok_approve")),
    "payment.declined": Recipe(
        "tok_decline_insufficient_funds",
        lambda stage: stage.pay("tok_decline_insufficient_funds", wait=WAIT_SECONDS),
    ),
    "payment.requires_action": Recipe("tok_3ds", _confirmed),
    "payment.voided": Recipe("tok_approve, then a void", _voided),
    "payment.failed": Recipe(
        "tok_reset_before: the acquirer never had it", lambda stage: stage.pay("tok_reset_before")
    ),
    "payment.review_opened": Recipe(
        "an amount that a person must look at", lambda stage: stage.pay("tok_approve", REVIEWED_MINOR, manual=True)
    ),
    "payment.review_closed": Recipe("the same, approved by the operator", _reviewed),
    "refund.succeeded": Recipe(
        "tok_approve, captured and refunded in part", lambda stage: stage.refunded("tok_approve")
    ),
    "refund.failed": Recipe("tok_refund_decline, the same", _refunded_by("tok_refund_decline")),
    "dispute.opened": Recipe("tok_approve, captured in part, and disputed at the simulated acquirer", disputed),
    "dispute.evidence_submitted": Recipe("the same, answered with evidence", answered),
    "dispute.won": Recipe("the same, decided for the merchant", won),
    "dispute.lost": Recipe("tok_approve, disputed, and accepted by the merchant", accepted),
    "attempt.unknown": Recipe("tok_reset_after: done, and the answer lost", _unknown, is_told=False),
    "attempt.resolved": Recipe("the same, until the acquirer was asked", _resolved, is_told=False),
}

_BY_SCHEDULE = (
    "it would change the merchant's payout schedule",
    "set the schedule to manual (PATCH /v1/payout_settings), capture payments, and ask for a payout (POST /v1/payouts)",
)
CANNOT: Mapping[str, tuple[str, str]] = {
    "payout.paid": _BY_SCHEDULE,
    "payout.failed": _BY_SCHEDULE,
    "payment.expired": (
        "an authorisation expires after days",
        "leave one that stands authorised (`rialto payments trigger payment.authorised`) alone for that long",
    ),
    "payment.created": (
        "it is the answer to your own request, and told nobody else",
        "make a payment with `rialto payments create`",
    ),
}


def trigger(kind: str, stage: Stage) -> Triggered:
    """Bring an event about, and return once it is there.

    Raises: OperatorError: it cannot be, or did not come in time; RialtoError.
    """
    recipe = recipe_of(kind)
    if "_live_" in stage.account.key:
        raise OperatorError(
            f"{kind} was not triggered", "this is a live key, and what is made here is a test", "use a test key"
        )
    payment = recipe.make(stage)
    if not recipe.is_told:
        return Triggered(stage.client.payments.retrieve(payment.id), None)
    deadline = time.monotonic() + PATIENCE_SECONDS
    stage.progress.waiting(f"waiting for {kind}")
    while True:
        [*found] = stage.client.events.list(type=kind, object_id=payment.id)
        if found:
            event = stage.client.events.retrieve(found[0].id)
            return Triggered(stage.client.payments.retrieve(payment.id), event)
        if time.monotonic() > deadline:
            raise OperatorError(
                f"{kind} did not come",
                f"{payment.id} has no such event after {PATIENCE_SECONDS:.0f} s",
                f"look at it with `rialto payments get {payment.id}`",
            )
        time.sleep(LOOK_EVERY_SECONDS)


def recipe_of(kind: str) -> Recipe:
    """Return how an event is brought about.

    Raises: OperatorError: it cannot be; the text says how it comes about, or what there is instead.
    """
    if kind in CANNOT:
        why, instead = CANNOT[kind]
        raise OperatorError(f"{kind} cannot be triggered", why, instead)
    if kind not in RECIPES:
        raise OperatorError(f"There is no event {kind[:60]} to trigger", f"these are: {', '.join(RECIPES)}", "name one")
    return RECIPES[kind]
