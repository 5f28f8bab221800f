"""Checks I3, I4 and I7 of payments by card, against what the acquirers hold, have captured and have given back.

Like `invariants.py` it reads rows and does its own sums. An acquirer moves money at most once for a reference by its
own care; what is checked is that we never have it moved by two references that stand for the same thing.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Any
from uuid import UUID

from rialto_cli.sim.acquirer import Acquirer
from rialto_cli.sim.world import World
from rialto_common import ids
from rialto_gateway.connectors.port import Authorise, Capture, Refund

CHARGED_NOTHING = frozenset({"declined", "voided", "expired", "failed"})
OPEN = frozenset({"queued", "started", "pending", "requires_action", "unknown"})


class CardChecker:
    """Looks at the acquirers of one world, and at what the gateway knows of them, again and again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: dict[str, int] = defaultdict(int)
        self._payment_of: dict[tuple[str, str], UUID] = {}
        """By acquirer and its id of the authorisation."""

        self._captured: dict[UUID, int] = defaultdict(int)
        self._refunded: dict[UUID, int] = defaultdict(int)

    def look(self) -> Iterator[str]:
        """Yield what is wrong with what acquirers were asked since the last look."""
        for acquirer in self._world.acquirers:
            yield from acquirer.violations
            for authorisation, question in islice(acquirer.moved, self._seen[acquirer.name], None):
                yield from self._take(acquirer, authorisation, question)
            self._seen[acquirer.name] = len(acquirer.moved)

    def _take(self, acquirer: Acquirer, authorisation: str, question: Any) -> Iterator[str]:
        gateway = self._world.stores.gateway
        attempt = gateway.attempts.rows.get(ids.from_text("att", question.reference))
        if attempt is None or attempt.started_at is None or attempt.connector != acquirer.name:
            yield f"I3: {acquirer.name} was asked {question.reference}, which is not on record as asked of it"
            return
        payment_id = attempt.payment_id
        if isinstance(question, Authorise):
            self._payment_of[acquirer.name, authorisation] = payment_id
        elif self._payment_of.get((acquirer.name, authorisation)) != payment_id:
            yield f"I4: {question.reference} is about an authorisation of another payment"
        if isinstance(question, Capture):
            self._captured[payment_id] += question.amount_minor
        elif isinstance(question, Refund):
            self._refunded[payment_id] += question.amount_minor
        name, amount = ids.to_text("pay", payment_id), gateway.payments[payment_id].amount_minor
        if self._captured[payment_id] > amount:
            yield f"I4: {name} of {amount} has {self._captured[payment_id]} captured at acquirers"
        if self._refunded[payment_id] > self._captured[payment_id]:
            yield f"I4: {name} has {self._refunded[payment_id]} of {self._captured[payment_id]} refunded at acquirers"

    def end(self, refunded_by_ledger: dict[UUID, int]) -> Iterator[str]:
        """Yield what is wrong once all faults have ended and time has passed."""
        gateway = self._world.stores.gateway
        for attempt in gateway.attempts.rows.values():
            if attempt.state in OPEN:
                yield f"I3: {attempt.reference} to {attempt.step} is still {attempt.state}: {attempt.code}"
        for row in gateway.refunds.rows.values():
            if row["state"] == "pending":
                yield f"I3: refund {ids.to_text('re', row['refund_id'])} is still pending"
        for payment in gateway.payments.values():
            yield from self._refunds(payment, refunded_by_ledger[payment.id])
            if payment.method == "card":
                yield from self._card(payment)
        yield from self._held()
        yield from self._accounts()

    def _refunds(self, payment: Any, by_ledger: int) -> Iterator[str]:
        rows = [row for row in self._world.stores.gateway.refunds.rows.values() if row["payment_id"] == payment.id]
        recorded = sum(row["amount_minor"] for row in rows if row["state"] == "succeeded")
        at_acquirers = self._refunded[payment.id] if payment.method == "card" else by_ledger
        if not payment.amount_refunded_minor == recorded == by_ledger == at_acquirers:
            yield (
                f"I7: {ids.to_text('pay', payment.id)} has {payment.amount_refunded_minor} refunded, its refunds come "
                f"to {recorded}, the ledger has {by_ledger}, the acquirers {at_acquirers}"
            )

    def _card(self, payment: Any) -> Iterator[str]:
        name, captured = ids.to_text("pay", payment.id), self._captured[payment.id]
        if captured != payment.amount_captured_minor:
            yield f"I7: {name} has {payment.amount_captured_minor} captured, the acquirers have {captured}"
        if payment.state in CHARGED_NOTHING and captured:
            yield f"I4: {name} is {payment.state} and {captured} of it was captured at an acquirer"

    def _held(self) -> Iterator[str]:
        """Nothing of a payment that has come to its end is held."""
        charged: dict[UUID, set[str]] = defaultdict(set)
        for acquirer in self._world.acquirers:
            for own, held in acquirer.authorisations.items():
                payment = self._world.stores.gateway.payments[self._payment_of[acquirer.name, own]]
                if held.held_minor:
                    yield (
                        f"I4: {acquirer.name} still holds {held.held_minor} by {held.reference} of "
                        f"{ids.to_text('pay', payment.id)}, which is {payment.state}"
                    )
                if payment.authorisation == own and payment.amount_minor != held.amount_minor:
                    yield (
                        f"I7: {ids.to_text('pay', payment.id)} is of {payment.amount_minor}, and {acquirer.name} has "
                        f"authorised {held.amount_minor}"
                    )
                if held.captured_minor:
                    charged[payment.id].add(own)
        for payment_id, authorisations in charged.items():
            if len(authorisations) > 1:
                yield f"I4: {ids.to_text('pay', payment_id)} was charged by {sorted(authorisations)}"

    def _accounts(self) -> Iterator[str]:
        """The ledger's accounts of acquirers say what these say, and nothing is left in suspense."""
        owed = {
            f"acquirer:{each.name}:receivable": sum(
                held.captured_minor - held.refunded_minor for held in each.authorisations.values()
            )
            for each in self._world.acquirers
        }
        for account in self._world.stores.ledger.books.accounts.values():
            balance = account.debits_minor - account.credits_minor
            expected = 0 if account.spec.code == "suspense:unknown" else owed.get(account.spec.code, balance)
            if balance != expected:
                yield f"I7: {account.spec.code} is at {balance}, the acquirers say {expected}"
