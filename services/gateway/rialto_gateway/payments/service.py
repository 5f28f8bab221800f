"""What the API does with payments: accept, look up, capture, void, decide a review."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from rialto_common import ids
from rialto_common.errors import IdempotencyKeyReused, PaymentError
from rialto_common.runtime import Runtime
from rialto_gateway.attempts.cards import GivenCard
from rialto_gateway.attempts.ports import AttemptReader, Connectors
from rialto_gateway.merchants.keys import Principal
from rialto_gateway.payments.accept import Accepted, Acceptor, AcceptRequest
from rialto_gateway.payments.bodies import CardPayment, CreatePayment, SavedPayment, WalletPayment
from rialto_gateway.payments.errors import (
    CurrencyNotSupported,
    MethodNotAvailable,
    OccurredAtInLiveMode,
    PaymentNotFound,
    WalletCurrencyMismatch,
)
from rialto_gateway.payments.facts import CaptureAsked, Fact
from rialto_gateway.payments.handlers import Occurrence, apply_all
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.ports import PaymentReader, SavedCards, Unit, Units
from rialto_gateway.payments.states import UNDECIDED
from rialto_gateway.payments.view import as_accepted, payment_view, time_text
from rialto_gateway.payments.wait import Waiters
from rialto_gateway.pricing.ports import FeeReader
from rialto_gateway.wallets.directory import WalletDirectory

LOOKED_AT = 10_000
"""Payments looked at for a page of those in one state; more than a page can hold."""

LAST_ID = UUID(int=(1 << 128) - 1)
FIRST_ID = UUID(int=0)
VISIBLE_AFTER = timedelta(seconds=1)
"""How old a change must be to be listed by `updated_since`: younger ones may still be joined by an earlier one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A payment and how it came about."""

    payment: dict[str, Any]
    decided: bool
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class _Charged:
    """What a payment is charged to, a wallet or a card, and the facts of who pays."""

    payer: dict[str, object]
    wallet_id: UUID | None
    card: GivenCard | None


class PaymentService:
    """The commands and queries behind the routes."""

    def __init__(
        self,
        *,
        units: Units,
        reader: PaymentReader,
        acceptor: Acceptor,
        attempts: AttemptReader,
        connectors: Connectors,
        wallets: WalletDirectory,
        saved: SavedCards,
        fees: FeeReader,
        runtime: Runtime,
        deadlines: Deadlines,
        currencies: frozenset[str],
    ) -> None:
        self._units = units
        self._reader = reader
        self._acceptor = acceptor
        self._attempts = attempts
        self._connectors = connectors
        self._decisions = Waiters(reader.decided, runtime)
        self._answers = Waiters(reader.answered, runtime)
        self._wallets = wallets
        self._saved = saved
        self._fees = fees
        self._runtime = runtime
        self._deadlines = deadlines
        self._currencies = currencies

    async def create(
        self,
        principal: Principal,
        body: CreatePayment,
        *,
        key: str,
        request_hash: bytes,
        traceparent: str | None,
        wait_seconds: float,
    ) -> Answer:
        """Accept a payment; durable when this returns.

        Raises: Forbidden, CurrencyNotSupported, MethodNotAvailable, WalletNotFound, WalletCurrencyMismatch,
        OccurredAtInLiveMode, IdempotencyKeyReused, ServiceUnavailable, CommitUnknown, and what refuses a saved card.
        """
        merchant_id, mode, settlement_address = principal.merchant()
        if body.currency not in self._currencies:
            supported = ", ".join(sorted(self._currencies))
            raise CurrencyNotSupported(
                f"{body.currency} cannot be settled here; supported: {supported}", param="currency"
            )
        if body.occurred_at is not None and mode == "live":
            raise OccurredAtInLiveMode("occurred_at is for test mode only", param="occurred_at")
        method = body.payment_method
        if isinstance(method, SavedPayment):
            # What it may be charged to can change; what was accepted under the key before stands.
            before = await self._reader.made_under((merchant_id, mode, key))
            if before is not None:
                return await self._answer(principal, _accepted_before(before, request_hash), wait_seconds)
        charged = await self._charged_to(principal, body, key)
        request = AcceptRequest(
            merchant_id=merchant_id,
            mode=mode,
            idempotency_key=key,
            request_hash=request_hash,
            amount_minor=body.amount_minor,
            currency=body.currency,
            wallet_id=charged.wallet_id,
            card=charged.card,
            capture_method=body.capture_method,
            terminal_id=body.terminal_id,
            description=body.description,
            metadata=body.metadata,
            payer=charged.payer,
            payee=None if body.payee is None else body.payee.model_dump(exclude_none=True),
            payee_address=settlement_address,
            occurred_at=body.occurred_at,
            traceparent=traceparent,
        )
        try:
            accepted = await self._acceptor.accept(request)
        except PaymentError as refusal:
            # Under a key that stands for another request, the use may be that one's, whose payment is yet to come.
            used_in_vain = not (refusal.retryable or isinstance(refusal, IdempotencyKeyReused))
            if isinstance(method, SavedPayment) and used_in_vain:
                await self._saved.take_back(method, key)
            raise
        return await self._answer(principal, accepted, wait_seconds)

    async def _charged_to(self, principal: Principal, body: CreatePayment, key: str) -> "_Charged":
        merchant_id, mode, _ = principal.merchant()
        method = body.payment_method
        payer = {} if body.payer is None else body.payer.model_dump(exclude_none=True)
        if isinstance(method, WalletPayment):
            wallet = await self._wallets.chargeable(principal, method.wallet_id)
            if wallet.currency != body.currency:
                raise WalletCurrencyMismatch(
                    f"the wallet is in {wallet.currency}, not {body.currency}", param="currency"
                )
            return _Charged(payer, method.wallet_id, None)
        if not self._connectors.takes_cards(mode):
            raise MethodNotAvailable(f"no acquirer takes cards in {mode} mode here", param="payment_method")
        if isinstance(method, CardPayment):
            return _Charged(payer, None, GivenCard(method.token, method.return_url, method.descriptor))
        saved = await self._saved.charge(merchant_id, mode, method, body.amount_minor, body.currency, key)
        card = GivenCard(
            saved.token,
            method.return_url,
            method.descriptor,
            saved_as=method.payment_method_id,
            mandate_id=method.mandate_id,
            off_session=method.initiator == "merchant",
        )
        return _Charged(saved.payer, None, card)

    async def _answer(self, principal: Principal, accepted: Accepted, wait_seconds: float) -> Answer:
        replayed = accepted.row is None
        if wait_seconds > 0:
            await self._decisions.wait(accepted.payment_id, wait_seconds)
            row = await self._row(accepted.payment_id, principal)
            decided = row["state"] not in UNDECIDED
            return Answer(payment_view(row) if decided else self._first_answer(row), decided, replayed)
        row = accepted.row if accepted.row is not None else await self._row(accepted.payment_id, principal)
        return Answer(self._first_answer(row), decided=False, replayed=replayed)

    async def get(self, principal: Principal, payment_id: UUID) -> dict[str, Any]:
        """Return one payment with its timeline, captures, increments and fees.

        Raises: PaymentNotFound: none, or another merchant's or mode's.
        """
        row = await self._row(payment_id, principal)
        timeline = await self._reader.timeline(payment_id)
        captures = await self._reader.captures(payment_id)
        increments = [] if row["increments"] == 0 else await self._reader.increments(payment_id)
        attempts = await self._attempts.of_payment(payment_id) if row["card"] is not None else []
        # A payment from a wallet is charged with its captures alone, and most cost nothing.
        may_have_fees = row["fee_minor"] > 0 or row["card"] is not None
        fees = await self._fees.of_payment(payment_id) if may_have_fees else []
        return payment_view(
            row, timeline=timeline, captures=captures, increments=increments, attempts=attempts, fees=fees
        )

    async def newest(
        self, principal: Principal, mode: str, *, limit: int, before: UUID | None, status: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page, newest first, and the cursor of the next (None at the end).

        No more than LOOKED_AT payments are looked at for one, so that a page of a state that few are in comes as soon
        as any other: it may then be short, or empty, and have a next all the same.
        """
        cursor, floor = before or LAST_ID, None
        if status is not None or principal.merchant_id is None:
            floor = await self._reader.floor(principal.merchant_id, mode, before=cursor, depth=LOOKED_AT)
        rows = await self._reader.newest(
            principal.merchant_id, mode, before=cursor, state=status, limit=limit + 1, down_to=floor
        )
        page, after = rows[:limit], floor
        if len(rows) > limit:
            after = page[-1]["payment_id"]
        return [payment_view(row) for row in page], None if after is None else ids.to_text("pay", after)

    async def changed_since(
        self, principal: Principal, mode: str, *, since: datetime, after: UUID, status: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str, bool]:
        """Return payments that changed, oldest change first, the cursor to go on from, and whether there are more."""
        changes = await self._reader.changes(principal.merchant_id, mode, since=since, after=after, limit=limit + 1)
        ripe = self._runtime.now() - VISIBLE_AFTER
        page = [change for change in changes[:limit] if change[0] <= ripe]
        unique = list(dict.fromkeys(payment_id for _, payment_id in page))
        by_id = {row["payment_id"]: row for row in await self._reader.rows(unique)}
        last_at, last_id = page[-1] if page else (since, after)
        cursor = f"{time_text(last_at)}/{ids.to_text('pay', last_id)}"
        changed = [by_id[payment_id] for payment_id in unique]
        return (
            [payment_view(row) for row in changed if status in (None, row["state"])],
            cursor,
            len(page) == limit < len(changes),
        )

    async def capture(
        self,
        principal: Principal,
        payment_id: UUID,
        fact: CaptureAsked,
        *,
        key: str | None,
        request_hash: bytes,
        wait_seconds: float,
    ) -> tuple[dict[str, Any], bool]:
        """Capture, with an idempotency key once however often it is sent; return the payment, and whether it was.

        Raises: PaymentNotFound, PaymentNotCapturable, CaptureAboveAuthorised, IdempotencyKeyReused.
        """
        await self._row(payment_id, principal)
        async with self._units.begin() as unit:
            payments = unit.payments
            await payments.lock([payment_id])
            replayed = key is not None and await payments.captured_under(payment_id, key, request_hash)
            if not replayed:
                await self._apply(unit, Occurrence(payment_id, fact))
                if key is not None:
                    await payments.name_capture(payment_id, key, request_hash)
            self._runtime.crash_point("gateway.capture.before_commit")
        self._runtime.crash_point("gateway.capture.after_commit")
        if wait_seconds > 0:
            await self._answers.wait(payment_id, wait_seconds)
        return await self.get(principal, payment_id), replayed

    async def command(
        self, principal: Principal, payment_id: UUID, fact: Fact, *, actor: str, wait_seconds: float = 0.0
    ) -> dict[str, Any]:
        """Apply a merchant's or operator's command and return the payment after it.

        Raises: PaymentNotFound and what the state machine refuses.
        """
        await self._row(payment_id, principal)
        async with self._units.begin() as unit:
            await self._apply(unit, Occurrence(payment_id, fact, actor=actor))
            self._runtime.crash_point("gateway.command.before_commit")
        self._runtime.crash_point("gateway.command.after_commit")
        if wait_seconds > 0:
            await self._answers.wait(payment_id, wait_seconds)
        return await self.get(principal, payment_id)

    async def settled_down(self, principal: Principal, payment_id: UUID, wait_seconds: float) -> dict[str, Any]:
        """Return the payment once every increment, capture and void has been answered, or the time is over."""
        await self._answers.wait(payment_id, wait_seconds)
        return await self.get(principal, payment_id)

    async def _apply(self, unit: Unit, occurrence: Occurrence) -> None:
        await apply_all([occurrence], unit, now=self._runtime.now(), deadlines=self._deadlines)

    def _first_answer(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return as_accepted(row, self._deadlines.by_state["created"].after)

    async def _row(self, payment_id: UUID, principal: Principal) -> Mapping[str, Any]:
        row = await self._reader.row(payment_id, principal.merchant_id, principal.mode)
        if row is None:
            raise PaymentNotFound(f"there is no payment {ids.to_text('pay', payment_id)} for this key")
        return row


def _accepted_before(before: tuple[UUID, bytes], request_hash: bytes) -> Accepted:
    payment_id, first = before
    if not hmac.compare_digest(first, request_hash):
        raise IdempotencyKeyReused("this Idempotency-Key was used for another request; use a new key for a new payment")
    return Accepted(payment_id, None)
