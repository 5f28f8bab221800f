"""Events in: each becomes a command; a batch is posted, and its outcomes told, in the frame's one transaction."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from rialto_common import ids
from rialto_common.bus.port import Transaction
from rialto_common.errors import MalformedEvent
from rialto_common.events import Event
from rialto_common.events.payments import (
    AcquirerSettled,
    AttemptData,
    AttemptResolved,
    AttemptUnknown,
    CaptureRequested,
    DisputeData,
    DisputeLost,
    DisputeOpened,
    DisputeWon,
    IncrementRequested,
    PaymentApproved,
    RefundData,
    RefundFailed,
    RefundRequested,
    RefundSucceeded,
    VoidRequested,
)
from rialto_common.events.settlements import DepositConfirmed, SettlementConfirmed, SettlementReorged
from rialto_common.runtime import Runtime
from rialto_ledger.application.ports import Ledger
from rialto_ledger.application.posting import post
from rialto_ledger.application.telling import Teller
from rialto_ledger.domain import chart, disputes, posting_rules
from rialto_ledger.domain.commands import (
    BookCapture,
    BookRefund,
    CaptureHold,
    CloseDispute,
    Command,
    ConfirmSettlement,
    DisputeCommand,
    FinishRefund,
    IncreaseHold,
    MovementCommand,
    OpenDispute,
    PlaceHold,
    PostEntry,
    ReturnCapture,
    ReverseSettlement,
    SuspendCapture,
    VoidHold,
)

Tx = TypeVar("Tx", bound=Transaction)

HOUSE_BANK = "house"
"""Where acquirers pay what they owe us."""


class LedgerConsumer(Generic[Tx]):
    """Handles batches of `rialto.payments.v1` and `rialto.settlements.v1`."""

    def __init__(self, ledger_of: Callable[[Tx], Ledger], runtime: Runtime) -> None:
        self._ledger_of = ledger_of
        self._runtime = runtime

    async def handle(self, transaction: Tx, events: Sequence[Event]) -> None:
        """Post a batch. A refusal is an outcome; only what the chain or an acquirer has done already (a deposit, a
        capture) has nobody to refuse to, and is parked for a person.

        Raises: MalformedEvent, LedgerError (what has happened already), InvariantViolated: the frame parks the one at
        fault.
        """
        now = self._runtime.now()
        asked = [(event, command) for event in events if (command := command_of(event)) is not None]
        if not asked:
            return
        posted = await post(self._ledger_of(transaction), [command for _, command in asked], now)
        teller = Teller(posted.accounts, now)
        for (event, command), outcome in zip(asked, posted.decision.outcomes, strict=True):
            if outcome.error is not None and _has_happened(command):
                raise outcome.error
            transaction.publish(*teller.events_of(outcome, event))


def _has_happened(command: Command) -> bool:
    if isinstance(command, BookRefund):
        return False
    return isinstance(command, PostEntry | MovementCommand | DisputeCommand)


def command_of(event: Event) -> Command | None:
    """Return what an event asks of the ledger; None where it moves no money here.

    Raises: MalformedEvent: unreadable, or of a type the ledger does not handle.
    """
    reader = _READERS.get(event.type)
    if reader is None:
        raise MalformedEvent(f"the ledger does not handle {event.type}")
    return reader(event)


def _place_hold(event: Event) -> Command:
    data = event.read(PaymentApproved)
    return PlaceHold(
        payment_id=data.payment_id,
        merchant_id=data.merchant_id,
        mode=data.mode,
        shard=event.shard,
        hold_id=ids.derive(data.payment_id, "hold"),
        account_id=data.wallet_id,
        currency=data.currency,
        amount_minor=data.amount_minor,
        expires_at=data.expires_at,
    )


def _capture(event: Event) -> Command:
    data = event.read(CaptureRequested)
    if data.fee_minor > data.amount_minor:
        raise MalformedEvent(f"a fee of {data.fee_minor} is more than the {data.amount_minor} captured")
    if data.acquirer is not None:
        return BookCapture(
            payment_id=data.payment_id,
            merchant_id=data.merchant_id,
            mode=data.mode,
            shard=event.shard,
            subject_id=data.capture_id,
            amount_minor=data.amount_minor,
            currency=data.currency,
            acquirer=data.acquirer,
            effective_at=data.requested_at or event.time,
            final=data.final,
            fee_minor=data.fee_minor,
        )
    return CaptureHold(
        payment_id=data.payment_id,
        merchant_id=data.merchant_id,
        mode=data.mode,
        shard=event.shard,
        hold_id=ids.derive(data.payment_id, "hold"),
        capture_id=data.capture_id,
        # From the capture, not from (payment, ordinal): whatever ordinal it is sent with, it is one movement.
        entry_id=ids.derive(data.capture_id, "journal_entry"),
        payable=chart.merchant_payable(data.merchant_id, data.currency, data.mode),
        amount_minor=data.amount_minor,
        final=data.final,
        effective_at=event.time,
        fee_minor=data.fee_minor,
    )


def _increase_hold(event: Event) -> Command:
    data = event.read(IncrementRequested)
    return IncreaseHold(
        payment_id=data.payment_id,
        merchant_id=data.merchant_id,
        mode=data.mode,
        shard=event.shard,
        hold_id=ids.derive(data.payment_id, "hold"),
        increment_id=data.increment_id,
        currency=data.currency,
        amount_minor=data.amount_minor,
    )


def _void_hold(event: Event) -> Command:
    data = event.read(VoidRequested)
    hold_id = ids.derive(data.payment_id, "hold")
    return VoidHold(data.payment_id, data.merchant_id, data.mode, event.shard, hold_id)


def _suspend(event: Event) -> Command | None:
    data = event.read(AttemptUnknown)
    named = _named_capture(event, data)
    return None if named is None else SuspendCapture(**named)


def _unsuspend(event: Event) -> Command | None:
    """Of one that succeeded the capture itself follows, and takes the money out of suspense."""
    data = event.read(AttemptResolved)
    named = _named_capture(event, data)
    return None if named is None or data.outcome == "succeeded" else ReturnCapture(**named)


def _named_capture(event: Event, data: AttemptData) -> dict[str, Any] | None:
    """Return what an attempt says of a capture at an acquirer; None where it is about something else."""
    if data.capture_id is None or data.acquirer is None or data.amount_minor is None or data.currency is None:
        return None
    return {
        "payment_id": data.payment_id,
        "merchant_id": data.merchant_id,
        "mode": data.mode,
        "shard": event.shard,
        "subject_id": data.capture_id,
        "amount_minor": data.amount_minor,
        "currency": data.currency,
        "acquirer": data.acquirer,
        "effective_at": event.time,
    }


def _book_refund(event: Event) -> Command:
    data = event.read(RefundRequested)
    return BookRefund(
        payment_id=data.payment_id,
        merchant_id=data.merchant_id,
        mode=data.mode,
        shard=event.shard,
        subject_id=data.refund_id,
        amount_minor=data.amount_minor,
        currency=data.currency,
        acquirer=data.acquirer,
        effective_at=event.time,
        wallet_id=data.wallet_id,
    )


def _refund_succeeded(event: Event) -> Command | None:
    data = event.read(RefundSucceeded)
    return _finish(event, data, data.requested_at, succeeded=True)


def _refund_failed(event: Event) -> Command | None:
    return _finish(event, event.read(RefundFailed), event.time, succeeded=False)


def _finish(event: Event, data: RefundData, effective_at: datetime, *, succeeded: bool) -> Command | None:
    """A refund to a wallet is finished once it is booked; one at an acquirer waits in suspense for this."""
    if data.acquirer is None:
        return None
    return FinishRefund(
        payment_id=data.payment_id,
        merchant_id=data.merchant_id,
        mode=data.mode,
        shard=event.shard,
        subject_id=data.refund_id,
        amount_minor=data.amount_minor,
        currency=data.currency,
        acquirer=data.acquirer,
        effective_at=effective_at,
        succeeded=succeeded,
    )


def _dispute_opened(event: Event) -> Command:
    data = event.read(DisputeOpened)
    return OpenDispute(**_named_dispute(event, data), fee_minor=data.fee_minor)


def _dispute_won(event: Event) -> Command:
    return CloseDispute(**_named_dispute(event, event.read(DisputeWon)), won=True)


def _dispute_lost(event: Event) -> Command:
    return CloseDispute(**_named_dispute(event, event.read(DisputeLost)), won=False)


def _named_dispute(event: Event, data: DisputeData) -> dict[str, Any]:
    return {
        "payment_id": data.payment_id,
        "merchant_id": data.merchant_id,
        "mode": data.mode,
        "shard": event.shard,
        "dispute_id": data.dispute_id,
        "amount_minor": data.amount_minor,
        "currency": data.currency,
        "acquirer": data.acquirer,
        "effective_at": event.time,
    }


def _confirm_settlement(event: Event) -> Command:
    data = event.read(SettlementConfirmed)
    return ConfirmSettlement(
        payment_id=data.payment_id,
        merchant_id=data.merchant_id,
        mode=data.mode,
        shard=event.shard,
        settlement_id=data.settlement_id,
        sequence=event.sequence,
        accounts=posting_rules.SettlementAccounts(
            payable=chart.merchant_payable(data.merchant_id, data.currency, data.mode),
            position=chart.fx_position(data.currency, data.token, data.currency, data.mode),
            token_position=chart.fx_position(data.currency, data.token, data.token, data.mode),
            treasury=chart.chain_treasury(data.chain_id, data.token, data.mode),
        ),
        amount_minor=data.amount_minor,
        token_amount=data.token_amount,
        metadata={
            "settlement_id": ids.to_text("set", data.settlement_id),
            "batch_id": ids.to_text("bat", data.batch_id),
            "tx_hash": data.tx_hash,
            "block_number": str(data.block_number),
            "block_hash": data.block_hash,
        },
        effective_at=event.time,
    )


def _reverse_settlement(event: Event) -> Command:
    data = event.read(SettlementReorged)
    return ReverseSettlement(
        payment_id=data.payment_id,
        merchant_id=data.merchant_id,
        mode=data.mode,
        shard=event.shard,
        settlement_id=data.settlement_id,
        sequence=event.sequence,
        metadata={
            "settlement_id": ids.to_text("set", data.settlement_id),
            "tx_hash": data.tx_hash,
            "block_number": str(data.block_number),
        },
        effective_at=event.time,
    )


def _post_deposit(event: Event) -> Command:
    data = event.read(DepositConfirmed)
    treasury = chart.chain_treasury(data.chain_id, data.token, data.mode)
    issuer = chart.chain_issuer(data.chain_id, data.token, data.mode)
    return PostEntry(
        entry_id=ids.derive(data.deposit_id, "deposit"),
        kind="deposit",
        about=treasury.id,
        mode=data.mode,
        shard=event.shard,
        merchant_id=None,
        postings=posting_rules.treasury_deposit(treasury, issuer, data.token_amount),
        opens=(treasury, issuer),
        effective_at=event.time,
        metadata={
            "deposit_id": ids.to_text("dep", data.deposit_id),
            "tx_hash": data.tx_hash,
            "block_number": str(data.block_number),
        },
        fact=True,
    )


def _post_acquirer_settlement(event: Event) -> Command:
    data = event.read(AcquirerSettled)
    accounts = posting_rules.AcquirerAccounts(
        receivable=chart.acquirer_receivable(data.acquirer, data.currency, data.mode),
        costs=chart.acquirer_costs(data.acquirer, data.currency, data.mode),
        cash=chart.bank_cash(HOUSE_BANK, data.currency, data.mode),
    )
    gross_minor = data.amount_minor if data.step == "capture" else -data.amount_minor
    settled = data.attempt_id or data.dispute_id
    if settled is None:
        raise MalformedEvent("a settlement is of an attempt or of a dispute")
    name = ids.to_text("dp" if data.attempt_id is None else "att", settled)
    return PostEntry(
        # From the attempt or dispute: whichever file or line settles it, it is one movement.
        entry_id=ids.derive(settled, "acquirer_settlement"),
        kind="acquirer_settlement",
        about=accounts.receivable.id,
        mode=data.mode,
        shard=event.shard,
        merchant_id=None,
        postings=posting_rules.acquirer_settlement(accounts, gross_minor, data.fee_minor),
        opens=(accounts.receivable, accounts.costs, accounts.cash),
        effective_at=event.time,
        metadata={
            "settles": name,
            "payment_id": ids.to_text("pay", data.payment_id),
            "file_id": ids.to_text("stf", data.file_id),
            "line": str(data.line),
        },
        fact=True,
        # An acquirer's accounts are of no merchant's shard, and each ledger has its part of them.
        key=name,
        nth=disputes.SETTLED if data.attempt_id is None else 1,
    )


_READERS: dict[str, Callable[[Event], Command | None]] = {
    PaymentApproved.type: _place_hold,
    CaptureRequested.type: _capture,
    IncrementRequested.type: _increase_hold,
    VoidRequested.type: _void_hold,
    AttemptUnknown.type: _suspend,
    AttemptResolved.type: _unsuspend,
    RefundRequested.type: _book_refund,
    RefundSucceeded.type: _refund_succeeded,
    RefundFailed.type: _refund_failed,
    DisputeOpened.type: _dispute_opened,
    DisputeWon.type: _dispute_won,
    DisputeLost.type: _dispute_lost,
    SettlementConfirmed.type: _confirm_settlement,
    SettlementReorged.type: _reverse_settlement,
    DepositConfirmed.type: _post_deposit,
    AcquirerSettled.type: _post_acquirer_settlement,
}
HANDLED_TYPES = frozenset(_READERS)
