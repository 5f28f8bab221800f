"""Journal entries: atomic, balanced, append-only.

The law of double entry (I1): in each currency of an entry, debits equal credits. An entry that would break it cannot be
constructed. Corrections are new entries that reverse old ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from rialto_common import ids
from rialto_common.money import MAX_MINOR
from rialto_ledger.domain.account import Mode, Side
from rialto_ledger.domain.errors import EntryUnbalanced, PostingInvalid

NO_METADATA: Mapping[str, str] = MappingProxyType({})


class Posting(NamedTuple):
    """One line of an entry: an account debited or credited by an amount greater than zero, which the entry checks."""

    account_id: UUID
    side: Side
    amount_minor: int
    currency: str

    def reversed(self) -> "Posting":
        """Return the posting that undoes this one."""
        return Posting(self.account_id, self.side.opposite, self.amount_minor, self.currency)


def debit(account_id: UUID, amount_minor: int, currency: str) -> Posting:
    """Return a debit of an account. Raises: PostingInvalid: not an amount greater than zero of at most 38 digits."""
    return Posting(account_id, Side.DEBIT, _amount(amount_minor), currency)


def credit(account_id: UUID, amount_minor: int, currency: str) -> Posting:
    """Return a credit of an account. Raises: PostingInvalid: not an amount greater than zero of at most 38 digits."""
    return Posting(account_id, Side.CREDIT, _amount(amount_minor), currency)


def _amount(amount_minor: int) -> int:
    if not 0 < amount_minor <= MAX_MINOR:
        raise PostingInvalid("a posting's amount is greater than zero and has at most 38 digits")
    return amount_minor


def reversal_id(entry_id: UUID) -> UUID:
    """Return the id of the one entry that may undo this one: by its identity it happens once (I4)."""
    return ids.derive(entry_id, "reversal")


@dataclass(slots=True)
class JournalEntry:
    """An atomic, balanced set of postings.

    `id` is the idempotency key of the movement. `effective_at` is when it happened, `recorded_at` when we wrote it.
    `reverses` names the entry that this one undoes. Never changed once made; not frozen only because that makes an
    entry ten times as costly to make. Raises: PostingInvalid, EntryUnbalanced.
    """

    id: UUID
    kind: str
    mode: Mode
    shard: int
    merchant_id: UUID | None
    payment_id: UUID | None
    effective_at: datetime
    recorded_at: datetime
    postings: tuple[Posting, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    reverses: UUID | None = None

    def __post_init__(self) -> None:
        if len(self.postings) == 2:
            # Most entries: an amount from one account to another, seen to balance at a glance.
            one, other = self.postings
            amount = one.amount_minor
            if (
                amount == other.amount_minor
                and one.side != other.side
                and one.currency == other.currency
                and 0 < amount <= MAX_MINOR
            ):
                return
        if len(self.postings) < 2:
            raise PostingInvalid(f"entry {self.id} has fewer than two postings")
        differences: dict[str, int] = {}
        for posting in self.postings:
            amount = _amount(posting.amount_minor)
            signed = amount if posting.side is Side.DEBIT else -amount
            differences[posting.currency] = differences.get(posting.currency, 0) + signed
        for currency, difference in differences.items():
            if difference != 0:
                raise EntryUnbalanced(self.id, currency, difference)

    def same_content(self, other: "JournalEntry") -> bool:
        """Whether both say the same movement; times may differ, as a retry comes later."""
        return (
            self.kind == other.kind
            and self.mode == other.mode
            and self.merchant_id == other.merchant_id
            and self.payment_id == other.payment_id
            and self.reverses == other.reverses
            and self.postings == other.postings
            and dict(self.metadata) == dict(other.metadata)
        )
