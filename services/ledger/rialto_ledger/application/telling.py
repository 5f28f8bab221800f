"""Outcomes as events. Ids are derived from what they are about, so telling the same answer again is the same event.

`sequence` grows within a payment: two numbers a version of its hold (the entry, then the hold's own event), and beyond
them the settlement's. Within an account it is a run of numbers for each version that the account had before a batch. A
refusal changes nothing and carries the number of what stands.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from rialto_common import ids
from rialto_common.events import Event, EventData, compose
from rialto_common.events import ledger as events
from rialto_ledger.application.posting import Posted
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.commands import (
    CaptureHold,
    ConfirmSettlement,
    ExpireHold,
    PaymentCommand,
    PlaceHold,
    PostEntry,
    ReverseSettlement,
)
from rialto_ledger.domain.errors import LedgerError
from rialto_ledger.domain.hold import Hold
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.domain.outcomes import (
    EntryPosted,
    HoldCaptured,
    HoldPlaced,
    HoldReleased,
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
    """Turns the outcomes of one posted batch into events."""

    def __init__(self, posted: Posted, now: datetime) -> None:
        self._accounts: Mapping[UUID, Account] = posted.accounts
        self._told: Counter[UUID] = Counter()
        self._now = now

    def events_of(self, outcome: Outcome, cause: Event | None = None) -> list[Event]:
        """Return the events that tell one outcome, in order; `cause` is the event that asked for it."""
        command, result = outcome.command, outcome.result
        if isinstance(command, PostEntry):
            return [self._entry_about(command, result.entry, cause)] if isinstance(result, EntryPosted) else []
        if not isinstance(command, PaymentCommand):
            return []
        if outcome.error is not None:
            return [self._refused(command, outcome.error, outcome.hold_version, cause)]
        sequence = 2 * outcome.hold_version + 1
        match result:
            case HoldPlaced(hold):
                placed = events.HoldPlaced(
                    **_of_hold(hold), amount_minor=hold.amount_minor, expires_at=hold.expires_at or self._now
                )
                return [self._event(placed, command, command.payment_id, sequence, cause)]
            case HoldCaptured():
                return self._captured(result, command, sequence, cause)
            case HoldReleased(hold, released):
                kind = events.HoldExpired if isinstance(command, ExpireHold) else events.HoldVoided
                data = kind(**_of_hold(hold), amount_released_minor=released)
                return [self._event(data, command, command.payment_id, sequence, cause)]
            case SettlementPosted(entry, ordinal):
                number = SETTLEMENT_SEQUENCES + 2 * ordinal + isinstance(command, ReverseSettlement)
                return [self._event(self._entry(entry), command, entry.id, number, cause)]
            case _:
                return []

    def _captured(
        self, result: HoldCaptured, command: PaymentCommand, sequence: int, cause: Event | None
    ) -> list[Event]:
        captured = events.HoldCaptured(
            **_of_hold(result.hold),
            capture_id=result.capture_id,
            entry_id=result.entry.id,
            amount_minor=result.amount_minor,
            remaining_minor=result.remaining_minor,
            final=result.final,
        )
        return [
            self._event(self._entry(result.entry), command, result.entry.id, sequence - 1, cause),
            self._event(captured, command, result.capture_id, sequence, cause),
        ]

    def _refused(self, command: PaymentCommand, error: LedgerError, version: int, cause: Event | None) -> Event:
        step, root = _step_of(command)
        data = events.PostingRefused(
            payment_id=command.payment_id,
            merchant_id=command.merchant_id,
            mode=command.mode,
            step=step,
            capture_id=command.capture_id if isinstance(command, CaptureHold) else None,
            amount_minor=getattr(command, "amount_minor", None),
            code=error.stable_code,
            detail=error.detail,
        )
        return self._event(data, command, root, 2 * version + 1, cause)

    def _entry_about(self, command: PostEntry, entry: JournalEntry, cause: Event | None) -> Event:
        account = self._accounts[command.about]
        self._told[account.id] += 1
        return compose(
            self._entry(entry),
            source=SOURCE,
            root=entry.id,
            key=ids.to_text("acc", account.id),
            shard=command.shard,
            time=self._now,
            sequence=account.version * ENTRIES_A_BATCH + self._told[account.id],
            cause=cause,
        )

    def _entry(self, entry: JournalEntry) -> events.JournalEntryPosted:
        return events.JournalEntryPosted(
            entry_id=entry.id,
            kind=entry.kind,
            payment_id=entry.payment_id,
            merchant_id=entry.merchant_id,
            mode=entry.mode,
            postings=[
                events.PostingLine(
                    account=self._accounts[posting.account_id].spec.code,
                    side=posting.side.value,
                    amount_minor=posting.amount_minor,
                    currency=posting.currency,
                )
                for posting in entry.postings
            ],
        )

    def _event(self, data: EventData, command: PaymentCommand, root: UUID, sequence: int, cause: Event | None) -> Event:
        return compose(
            data,
            source=SOURCE,
            root=root,
            key=ids.to_text("pay", command.payment_id),
            shard=command.shard,
            time=self._now,
            sequence=sequence,
            cause=cause,
        )


def _step_of(command: PaymentCommand) -> tuple[Step, UUID]:
    """Return what was refused, and the id that stands for it: a refusal told again is the same event."""
    if isinstance(command, PlaceHold):
        return "authorise", command.payment_id
    if isinstance(command, CaptureHold):
        return "capture", command.capture_id
    if isinstance(command, ConfirmSettlement | ReverseSettlement):
        return "settle", command.settlement_id
    return "void", ids.derive(command.payment_id, "hold")


def _of_hold(hold: Hold) -> dict[str, object]:
    return {
        "payment_id": hold.payment_id,
        "merchant_id": hold.merchant_id,
        "mode": hold.mode,
        "hold_id": hold.id,
        "currency": hold.currency,
    }
