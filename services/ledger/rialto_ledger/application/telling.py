"""Outcomes as events. Ids are derived from what they are about, so telling the same answer again is the same event.

`sequence` grows within a payment: two numbers a version of its hold (the entry, then the hold's own event), and beyond
them the settlement's. Captures and refunds that come to no hold are told under their own keys, in the order of their
entries. Within an account it is a run of numbers for each version that the account had before a batch. A
refusal changes nothing and carries the number of what stands.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_common.errors import InvariantViolated
from rialto_common.events import Event, EventData, compose, compose_written
from rialto_common.events import ledger as events
from rialto_ledger.domain.account import Account, Mode
from rialto_ledger.domain.commands import (
    BookCapture,
    BookRefund,
    CaptureHold,
    Command,
    ConfirmSettlement,
    DisputeCommand,
    ExpireHold,
    FinishRefund,
    HoldCommand,
    IncreaseHold,
    MovementCommand,
    PlaceHold,
    PostEntry,
    ReverseSettlement,
    SettlementCommand,
)
from rialto_ledger.domain.errors import LedgerError
from rialto_ledger.domain.hold import Hold
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.domain.outcomes import (
    EntryPosted,
    HoldCaptured,
    HoldIncreased,
    HoldPlaced,
    HoldReleased,
    LinkedPosted,
    MovementPosted,
    Outcome,
    SettlementPosted,
)

Step = Literal["authorise", "capture", "void", "settle"]

SOURCE = "rialto.ledger"
SETTLEMENT_SEQUENCES = 1_000_000
"""Where the settlement's numbers begin: after any number of captures."""

ENTRIES_A_BATCH = 10_000
"""More than one batch can hold: a batch raises an account's version once, whatever the number of its entries."""


class Teller:
    """Turns the outcomes of one batch into events; `accounts` are as they were before it."""

    def __init__(self, accounts: Mapping[UUID, Account], now: datetime) -> None:
        self._accounts = accounts
        self._told: Counter[UUID] = Counter()
        self._now = now

    def events_of(self, outcome: Outcome, cause: Event | None = None) -> list[Event]:
        """Return the events that tell one outcome, in order; `cause` is the event that asked for it."""
        command, result = outcome.command, outcome.result
        match result:
            case EntryPosted(entry) if isinstance(command, PostEntry) and command.key is not None:
                return [self._entry_keyed(entry, command.key, entry.shard, command.nth, cause)]
            case EntryPosted(entry, about):
                return [self._entry_about(about, entry, cause)]
            case LinkedPosted(outcomes):
                return [event for each in outcomes for event in self.events_of(each, cause)]
        if isinstance(command, MovementCommand):
            return self._of_movement(command, outcome, cause)
        if isinstance(command, DisputeCommand) and isinstance(result, MovementPosted):
            # The gateway knows already; the entry is told in the dispute's own history.
            key = ids.to_text("dp", command.dispute_id)
            return [self._entry_keyed(result.entry, key, command.shard, result.nth, cause)]
        if isinstance(command, SettlementCommand) or (isinstance(command, HoldCommand) and command.payment_id):
            return self._of_payment(_Payment.of(command), outcome, cause)
        if isinstance(result, HoldCaptured):
            # A hold of the API's is no payment that anyone would know; its entry is in the account's history.
            return [self._entry_about(result.entry.postings[0].account_id, result.entry, cause)]
        return []

    def _of_payment(self, payment: "_Payment", outcome: Outcome, cause: Event | None) -> list[Event]:
        command, result = outcome.command, outcome.result
        if outcome.error is not None:
            return [self._refused(payment, command, outcome.error, outcome.hold_version, cause)]
        sequence = 2 * outcome.hold_version + 1
        match result:
            case HoldPlaced(hold):
                placed = events.HoldPlaced(
                    **_of_hold(hold), amount_minor=hold.placed_minor, expires_at=hold.expires_at or self._now
                )
                return [self._event(placed, payment, payment.id, sequence, cause)]
            case HoldCaptured():
                return self._captured(result, payment, sequence, cause, fee_minor=_fee_of(command))
            case HoldIncreased(hold) if isinstance(command, IncreaseHold):
                # The amount that was asked for: the same event if it is told again, after more was asked for.
                increased = events.HoldIncreased(
                    **_of_hold(hold), increment_id=command.increment_id, amount_minor=command.amount_minor
                )
                return [self._event(increased, payment, command.increment_id, sequence, cause)]
            case HoldReleased(hold, released):
                kind = events.HoldExpired if isinstance(command, ExpireHold) else events.HoldVoided
                data = kind(**_of_hold(hold), amount_released_minor=released)
                return [self._event(data, payment, payment.id, sequence, cause)]
            case SettlementPosted(entry, ordinal):
                number = SETTLEMENT_SEQUENCES + 2 * ordinal + isinstance(command, ReverseSettlement)
                return [self._entry_of(payment, entry, number, cause)]
            case _:
                return []

    def _of_movement(self, command: MovementCommand, outcome: Outcome, cause: Event | None) -> list[Event]:
        """Tell what became of a capture or refund that comes to no hold, under its own key."""
        is_refund = isinstance(command, BookRefund | FinishRefund)
        key = ids.to_text("re" if is_refund else "cap", command.subject_id)
        common = {
            "payment_id": command.payment_id,
            "merchant_id": command.merchant_id,
            "mode": command.mode,
            "refund_id" if is_refund else "capture_id": command.subject_id,
            "amount_minor": command.amount_minor,
            "currency": command.currency,
        }
        if outcome.error is not None:
            refused = events.RefundRefused(**common, code=outcome.error.stable_code, detail=outcome.error.detail)
            return [self._keyed(refused, command, key, 1, cause)]
        result = outcome.result
        if not isinstance(result, MovementPosted):
            return []
        entry = result.entry
        told = [self._entry_keyed(entry, key, command.shard, 2 * result.nth - 1, cause)]
        if isinstance(command, BookCapture):
            more = {"final": command.final, "acquirer": command.acquirer, "fee_minor": command.fee_minor}
            booked = events.CaptureBooked(**common, entry_id=entry.id, **more)
            told.append(self._keyed(booked, command, key, 2 * result.nth, cause))
        if isinstance(command, BookRefund):
            taken = events.RefundBooked(**common, entry_id=entry.id, requested_at=entry.effective_at)
            told.append(self._keyed(taken, command, key, 2 * result.nth, cause))
        return told

    def _keyed(self, data: EventData, command: MovementCommand, key: str, sequence: int, cause: Event | None) -> Event:
        return compose(
            data,
            source=SOURCE,
            root=command.subject_id,
            key=key,
            shard=command.shard,
            time=self._now,
            sequence=sequence,
            cause=cause,
        )

    def _captured(
        self, result: HoldCaptured, payment: "_Payment", sequence: int, cause: Event | None, *, fee_minor: int
    ) -> list[Event]:
        captured = events.HoldCaptured(
            **_of_hold(result.hold),
            capture_id=result.capture_id,
            entry_id=result.entry.id,
            amount_minor=result.amount_minor,
            remaining_minor=result.remaining_minor,
            final=result.final,
            fee_minor=fee_minor,
        )
        return [
            self._entry_of(payment, result.entry, sequence - 1, cause),
            self._event(captured, payment, result.capture_id, sequence, cause),
        ]

    def _refused(
        self, payment: "_Payment", command: Command, error: LedgerError, version: int, cause: Event | None
    ) -> Event:
        if isinstance(command, IncreaseHold):
            not_increased = events.HoldIncreaseRefused(
                payment_id=payment.id,
                merchant_id=payment.merchant_id,
                mode=payment.mode,
                hold_id=command.hold_id,
                currency=command.currency,
                increment_id=command.increment_id,
                amount_minor=command.amount_minor,
                code=error.stable_code,
                detail=error.detail,
            )
            return self._event(not_increased, payment, command.increment_id, 2 * version + 1, cause)
        step, root = _step_of(payment, command)
        data = events.PostingRefused(
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            mode=payment.mode,
            step=step,
            capture_id=command.capture_id if isinstance(command, CaptureHold) else None,
            amount_minor=getattr(command, "amount_minor", None),
            fee_minor=_fee_of(command),
            code=error.stable_code,
            detail=error.detail,
        )
        return self._event(data, payment, root, 2 * version + 1, cause)

    def _entry_about(self, about: UUID, entry: JournalEntry, cause: Event | None) -> Event:
        account = self._accounts[about]
        self._told[about] += 1
        return compose_written(
            events.JournalEntryPosted,
            self._entry(entry),
            source=SOURCE,
            root=entry.id,
            key=ids.to_text("acc", about),
            shard=entry.shard,
            time=self._now,
            sequence=account.version * ENTRIES_A_BATCH + self._told[about],
            cause=cause,
        )

    def _entry_of(self, payment: "_Payment", entry: JournalEntry, sequence: int, cause: Event | None) -> Event:
        return self._entry_keyed(entry, ids.to_text("pay", payment.id), payment.shard, sequence, cause)

    def _entry_keyed(self, entry: JournalEntry, key: str, shard: int, sequence: int, cause: Event | None) -> Event:
        return compose_written(
            events.JournalEntryPosted,
            self._entry(entry),
            source=SOURCE,
            root=entry.id,
            key=key,
            shard=shard,
            time=self._now,
            sequence=sequence,
            cause=cause,
        )

    def _entry(self, entry: JournalEntry) -> bytes:
        """Return a `JournalEntryPosted` as JSON, written out: through the model it takes five times as long."""
        return orjson.dumps(
            {
                "entry_id": ids.to_text("je", entry.id),
                "kind": entry.kind,
                "payment_id": None if entry.payment_id is None else ids.to_text("pay", entry.payment_id),
                "merchant_id": None if entry.merchant_id is None else ids.to_text("mer", entry.merchant_id),
                "mode": entry.mode,
                "postings": [
                    {
                        "account": self._accounts[account_id].spec.code,
                        "side": side,
                        "amount_minor": str(amount_minor),
                        "currency": currency,
                    }
                    for account_id, side, amount_minor, currency in entry.postings
                ],
            }
        )

    def _event(self, data: EventData, payment: "_Payment", root: UUID, sequence: int, cause: Event | None) -> Event:
        return compose(
            data,
            source=SOURCE,
            root=root,
            key=ids.to_text("pay", payment.id),
            shard=payment.shard,
            time=self._now,
            sequence=sequence,
            cause=cause,
        )


@dataclass(frozen=True, slots=True)
class _Payment:
    """The payment in whose history an event belongs."""

    id: UUID
    merchant_id: UUID
    mode: Mode
    shard: int

    @classmethod
    def of(cls, command: HoldCommand | SettlementCommand) -> "_Payment":
        if command.payment_id is None or command.merchant_id is None:
            raise InvariantViolated("a payment's command without its payment or merchant")
        return cls(command.payment_id, command.merchant_id, command.mode, command.shard)


def _fee_of(command: Command) -> int:
    return command.fee_minor if isinstance(command, CaptureHold) else 0


def _step_of(payment: _Payment, command: Command) -> tuple[Step, UUID]:
    """Return what was refused, and the id that stands for it: a refusal told again is the same event."""
    if isinstance(command, PlaceHold):
        return "authorise", payment.id
    if isinstance(command, CaptureHold):
        return "capture", command.capture_id
    if isinstance(command, ConfirmSettlement | ReverseSettlement):
        return "settle", command.settlement_id
    return "void", ids.derive(payment.id, "hold")


def _of_hold(hold: Hold) -> dict[str, object]:
    return {
        "payment_id": hold.payment_id,
        "merchant_id": hold.merchant_id,
        "mode": hold.mode,
        "hold_id": hold.id,
        "currency": hold.currency,
    }
