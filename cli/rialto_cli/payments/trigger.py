"""Makes a real object go through an event: a payment by a test token, as a merchant's own would.

Nothing is made up: the event that comes is told to every webhook endpoint and to `rialto payments listen`.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rialto import Event, Payment, Person, Rialto
from rialto_cli.console import Progress
from rialto_cli.errors import OperatorError
from rialto_cli.payments.account import Account

AMOUNT_MINOR = 1_250
PART_MINOR = 500
REVIEWED_MINOR = 1_000_000
"""10,000.00: an amount that compliance always lets a person look at."""
WAIT_SECONDS = 30.0
PATIENCE_SECONDS = 120.0
LOOK_EVERY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Triggered:
    """The payment that went through it, and the merchant's event of it; attempts have none."""

    payment: Payment
    event: Event | None


class Stage:
    """Where recipes work: a client, a payer nobody has seen, and a word about each step."""

    def __init__(self, client: Rialto, account: Account, progress: Progress) -> None:
        self.client = client
        self.account = account
        self.progress = progress

    def pay(self, token: str, amount_minor: int = AMOUNT_MINOR, *, manual: bool = False, wait: float = 0) -> Payment:
        """Make a payment by card."""
        # One who pays often is suspicious, so each payment has a payer of its own.
        payer: Person = {"name": f"Payer {secrets.token_hex(4)}", "country": "GB"}
        payment = self.client.payments.create(
            amount_minor=amount_minor,
            currency="USD",
            payment_method={"type": "card", "token": token},
            payer=payer,
            capture_method="manual" if manual else "automatic",
            description="rialto payments trigger",
            wait=wait or None,
        )
        self.progress.done(f"{payment.id} was made with {token}: {payment.status}")
        return payment

    def authorised(self) -> Payment:
        """Make a payment that stands authorised."""
        return self.until(self.pay("tok_approve", manual=True, wait=WAIT_SECONDS), "authorised")

    def until(self, payment: Payment, *statuses: str) -> Payment:
        """Return the payment once it is in one of some states.

        Raises: OperatorError: not in time.
        """
        return self.when(payment, lambda now: now.status in statuses, " or ".join(statuses))

    def when(self, payment: Payment, condition: Callable[[Payment], bool], what: str) -> Payment:
        """Return the payment once a condition is true.

        Raises: OperatorError: not in time.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition(payment):
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"{payment.id} did not come to be {what}",
                    f"it is {payment.status} after {PATIENCE_SECONDS:.0f} s",
                    f"look at it with `rialto payments get {payment.id}`",
                )
            time.sleep(LOOK_EVERY_SECONDS)
            payment = self.client.payments.retrieve(payment.id)
        return payment

    def refunded(self, token: str) -> Payment:
        """Make a payment, capture a part of it (of what is owed a refund is paid), and refund a part of that."""
        payment = self.until(self.pay(token, 2 * AMOUNT_MINOR, manual=True, wait=WAIT_SECONDS), "authorised")
        self.client.payments.capture(payment.id, amount_minor=AMOUNT_MINOR, wait=WAIT_SECONDS)
        payment = self.when(payment, lambda now: now.amount_captured_minor == AMOUNT_MINOR, "captured in part")
        self.progress.done(f"a part of it was captured: {AMOUNT_MINOR}")
        refund = self.client.payments.refund(payment.id, amount_minor=PART_MINOR, wait=WAIT_SECONDS)
        self.progress.done(f"{refund.id} was asked for: {refund.status}")
        return payment


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


RECIPES: Mapping[str, Recipe] = {
    "payment.authorised": Recipe("tok_approve, to be captured by hand", Stage.authorised),
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
    "attempt.unknown": Recipe("tok_reset_after: done, and the answer lost", _unknown, is_told=False),
    "attempt.resolved": Recipe("the same, until the acquirer was asked", _resolved, is_told=False),
}

_AT_THE_BANK = (
    "a dispute begins at the payer's bank",
    "pay with a test token, and let the simulated acquirer open one: docs/ACQUIRER_SIM.md says how",
)
_BY_SCHEDULE = (
    "it would change the merchant's payout schedule",
    "set the schedule to manual (PATCH /v1/payout_settings), capture payments, and ask for a payout (POST /v1/payouts)",
)
CANNOT: Mapping[str, tuple[str, str]] = {
    **{f"dispute.{name}": _AT_THE_BANK for name in ("opened", "evidence_submitted", "won", "lost")},
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
