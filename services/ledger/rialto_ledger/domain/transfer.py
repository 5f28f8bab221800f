"""Transfers: money from one account to another, which may be in another ledger. The states, and the entries of each.

    in one ledger        (asked) ── transfer_booked ──▶ received

    in the sender's      (asked) ── transfer_sent ──▶ sent ──▶ received
                                                       └── transfer_returned ──▶ returned
    in the receiver's    (told)  ── transfer_received ──▶ received
                           └──────────▶ refused

Every entry's id is derived from the transfer's, so whatever is asked or told again moves nothing again. The first entry
has one id whether it is booked or sent: a transfer asked for again with another target is refused, never posted twice.
What is sent is in `in_transit:{shard}` until the receiver has answered, and it answers everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from rialto_common import ids
from rialto_common.errors import InvariantViolated
from rialto_ledger.domain import chart, posting_rules
from rialto_ledger.domain.account import AccountSpec, Mode, Side
from rialto_ledger.domain.commands import PostEntry
from rialto_ledger.domain.journal import JournalEntry, Posting, credit, debit

BOOKED, SENT, RECEIVED, RETURNED = "transfer_booked", "transfer_sent", "transfer_received", "transfer_returned"
KINDS = frozenset({BOOKED, SENT, RECEIVED, RETURNED})
"""Kinds of entries that are transfers': nobody posts or reverses them by hand."""
FIRST_KINDS = frozenset({BOOKED, SENT})

TRANSFER_ID, TO_ACCOUNT_ID, TO_SHARD = "transfer_id", "to_account_id", "to_shard"


class TransferState(StrEnum):
    """Sent: in transit. Received, returned: at its end. Refused: what the receiver says of one that is returned."""

    SENT = "sent"
    RECEIVED = "received"
    RETURNED = "returned"
    REFUSED = "refused"


class TransferSide(StrEnum):
    """Whose view it is: a ledger has both of a transfer whose shards have come together meanwhile."""

    SENDER = "sender"
    RECEIVER = "receiver"


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer as one side knows it; `merchant_id` None is the operator. `asked_at`: when this side heard of it."""

    id: UUID
    side: TransferSide
    merchant_id: UUID | None
    mode: Mode
    from_account_id: UUID
    from_shard: int
    to_account_id: UUID
    to_shard: int
    amount_minor: int
    currency: str
    state: TransferState
    asked_at: datetime
    ended_at: datetime | None = None
    refusal_code: str | None = None

    def received(self, now: datetime) -> "Transfer":
        """Return the transfer after its receiver said that it has the money.

        Raises: InvariantViolated: it was given back already.
        """
        if self.state is TransferState.RETURNED:
            raise InvariantViolated(f"transfer {self.id} was returned, and is said to be received")
        return self._ended(TransferState.RECEIVED, None, now)

    def returned(self, refusal_code: str, now: datetime) -> "Transfer":
        """Return the transfer after the money was given back.

        Raises: InvariantViolated: its receiver has the money.
        """
        if self.state is TransferState.RECEIVED:
            raise InvariantViolated(f"transfer {self.id} was received, and is said to be refused")
        return self._ended(TransferState.RETURNED, refusal_code, now)

    def is_same_movement(self, other: "Transfer") -> bool:
        """Whether both say the same, whatever has become of them."""
        return self == replace(
            other,
            side=self.side,
            state=self.state,
            asked_at=self.asked_at,
            ended_at=self.ended_at,
            refusal_code=self.refusal_code,
        )

    def _ended(self, state: TransferState, refusal_code: str | None, now: datetime) -> "Transfer":
        if self.state is not TransferState.SENT:
            return self
        return replace(self, state=state, refusal_code=refusal_code, ended_at=now)

    @property
    def in_transit(self) -> AccountSpec:
        """The account that both ledgers have the money on while it is under way."""
        return chart.shard_in_transit(self.to_shard, self.currency, self.mode)

    @property
    def movement(self) -> tuple[Posting, ...]:
        """What one ledger would have posted."""
        return (
            debit(self.from_account_id, self.amount_minor, self.currency),
            credit(self.to_account_id, self.amount_minor, self.currency),
        )


def first_entry_id(transfer_id: UUID) -> UUID:
    """Return the id of the entry that takes the money from its account."""
    return ids.derive(transfer_id, "transfer")


def received_entry_id(transfer_id: UUID) -> UUID:
    """Return the id of the receiver's entry."""
    return ids.derive(transfer_id, "transfer.received")


def returned_entry_id(transfer_id: UUID) -> UUID:
    """Return the id of the entry that gives the money back."""
    return ids.derive(transfer_id, "transfer.returned")


def book(transfer: Transfer, metadata: Mapping[str, str], now: datetime) -> PostEntry:
    """Return what posts a transfer within one ledger."""
    return _first(transfer, BOOKED, transfer.movement, (), metadata, now)


def send(transfer: Transfer, metadata: Mapping[str, str], now: datetime) -> PostEntry:
    """Return what sends the money to another ledger."""
    postings = posting_rules.transfer_sent(transfer.movement, transfer.in_transit)
    return _first(transfer, SENT, postings, (transfer.in_transit,), metadata, now)


def receive(transfer: Transfer, effective_at: datetime) -> PostEntry:
    """Return what books the money on its account."""
    postings = posting_rules.transfer_received(transfer.movement, transfer.in_transit)
    return _later(transfer, RECEIVED, received_entry_id(transfer.id), transfer.to_account_id, postings, effective_at)


def give_back(transfer: Transfer, effective_at: datetime) -> PostEntry:
    """Return what undoes the sending."""
    sent = posting_rules.transfer_sent(transfer.movement, transfer.in_transit)
    postings = posting_rules.reversal(sent)
    entry_id = returned_entry_id(transfer.id)
    return _later(transfer, RETURNED, entry_id, transfer.from_account_id, postings, effective_at)


def set_aside(transfer: Transfer, effective_at: datetime) -> PostEntry:
    """Return what takes the money out of transit where its account does not take it back, as it was closed meanwhile.

    It waits in suspense for a person, who moves it on by an entry.
    """
    suspense = chart.suspense(transfer.currency, transfer.mode)
    postings = (
        credit(suspense.id, transfer.amount_minor, transfer.currency),
        debit(transfer.in_transit.id, transfer.amount_minor, transfer.currency),
    )
    command = _later(transfer, RETURNED, returned_entry_id(transfer.id), suspense.id, postings, effective_at)
    return command._replace(opens=(*command.opens, suspense), merchant_id=None)


def transfer_of(entry: JournalEntry, from_shard: int) -> Transfer:
    """Return the transfer whose first entry this is; the entry says everything about it."""
    [source] = [posting for posting in entry.postings if posting.side is Side.DEBIT]
    booked = entry.kind == BOOKED
    return Transfer(
        id=ids.from_text("trf", entry.metadata[TRANSFER_ID]),
        side=TransferSide.SENDER,
        merchant_id=entry.merchant_id,
        mode=entry.mode,
        from_account_id=source.account_id,
        from_shard=from_shard,
        to_account_id=ids.from_text("acc", entry.metadata[TO_ACCOUNT_ID]),
        to_shard=int(entry.metadata[TO_SHARD]),
        amount_minor=source.amount_minor,
        currency=source.currency,
        state=TransferState.RECEIVED if booked else TransferState.SENT,
        asked_at=entry.recorded_at,
        ended_at=entry.recorded_at if booked else None,
    )


def may_be_paid(target: AccountSpec | None, merchant_id: UUID | None) -> bool:
    """Whether a transfer may go there: the operator's anywhere, a merchant's to its own accounts and to wallets.

    What is not there is refused by the books.
    """
    if target is None or merchant_id is None or target.merchant_id == merchant_id:
        return True
    return target.merchant_id is None and chart.is_wallet(target)


def metadata_of(entry: JournalEntry) -> dict[str, str]:
    """Return what the caller gave with the transfer whose first entry this is."""
    return {key: text for key, text in entry.metadata.items() if key not in (TRANSFER_ID, TO_ACCOUNT_ID, TO_SHARD)}


def _first(
    transfer: Transfer,
    kind: str,
    postings: tuple[Posting, ...],
    opens: tuple[AccountSpec, ...],
    metadata: Mapping[str, str],
    now: datetime,
) -> PostEntry:
    return PostEntry(
        entry_id=first_entry_id(transfer.id),
        kind=kind,
        about=transfer.from_account_id,
        mode=transfer.mode,
        shard=None,
        merchant_id=transfer.merchant_id,
        postings=postings,
        opens=opens,
        effective_at=now,
        metadata={
            **metadata,
            TRANSFER_ID: ids.to_text("trf", transfer.id),
            TO_ACCOUNT_ID: ids.to_text("acc", transfer.to_account_id),
            TO_SHARD: str(transfer.to_shard),
        },
    )


def _later(
    transfer: Transfer,
    kind: str,
    entry_id: UUID,
    about: UUID,
    postings: tuple[Posting, ...],
    effective_at: datetime,
) -> PostEntry:
    return PostEntry(
        entry_id=entry_id,
        kind=kind,
        about=about,
        mode=transfer.mode,
        shard=None,
        merchant_id=transfer.merchant_id,
        postings=postings,
        opens=(transfer.in_transit,),
        effective_at=effective_at,
        metadata={TRANSFER_ID: ids.to_text("trf", transfer.id)},
    )
