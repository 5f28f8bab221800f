"""What recipes work with: payments that are made and brought to where they are wanted."""

import secrets
import time
from collections.abc import Callable

from rialto import Payment, Person, Rialto
from rialto_cli.console import Progress
from rialto_cli.errors import OperatorError
from rialto_cli.payments.account import Account

AMOUNT_MINOR = 1_250
PART_MINOR = 500
WAIT_SECONDS = 30.0
PATIENCE_SECONDS = 120.0
LOOK_EVERY_SECONDS = 0.2


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

    def captured_in_part(self, token: str) -> Payment:
        """Make a payment and capture a part of it: that is owed to the merchant, and not paid out yet."""
        payment = self.until(self.pay(token, 2 * AMOUNT_MINOR, manual=True, wait=WAIT_SECONDS), "authorised")
        self.client.payments.capture(payment.id, amount_minor=AMOUNT_MINOR, wait=WAIT_SECONDS)
        payment = self.when(payment, lambda now: now.amount_captured_minor == AMOUNT_MINOR, "captured in part")
        self.progress.done(f"a part of it was captured: {AMOUNT_MINOR}")
        return payment

    def refunded(self, token: str) -> Payment:
        """Make a payment, capture a part of it (of what is owed a refund is paid), and refund a part of that."""
        payment = self.captured_in_part(token)
        refund = self.client.payments.refund(payment.id, amount_minor=PART_MINOR, wait=WAIT_SECONDS)
        self.progress.done(f"{refund.id} was asked for: {refund.status}")
        return payment
