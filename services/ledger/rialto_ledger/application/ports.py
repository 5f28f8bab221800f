"""What the use cases need from storage."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from rialto_common.errors import ServiceUnavailable
from rialto_ledger.domain.account import Account, AccountSpec, Mode
from rialto_ledger.domain.batch import Decision
from rialto_ledger.domain.blocks import Block, Growth
from rialto_ledger.domain.book import LedgerState
from rialto_ledger.domain.chain import ChainHead, Link
from rialto_ledger.domain.commands import ExpireHold
from rialto_ledger.domain.hold import Hold
from rialto_ledger.domain.journal import JournalEntry


class ConcurrentPosting(ServiceUnavailable):
    """Another transaction wrote what this batch took to be free; posting the batch again sees it."""

    code = "concurrent_posting"


@dataclass(slots=True)
class Keys:
    """What a batch touches: `opens` are opened if they are not there yet; unknown ids are simply not in the answer.

    `reversed_entries` are needed with their accounts. `settled_payments` are payments whose settlement is needed, with
    the entry that stands for it.
    """

    accounts: set[UUID] = field(default_factory=set)
    opens: dict[UUID, AccountSpec] = field(default_factory=dict)
    holds: set[UUID] = field(default_factory=set)
    entries: set[UUID] = field(default_factory=set)
    reversed_entries: set[UUID] = field(default_factory=set)
    settled_payments: set[UUID] = field(default_factory=set)


Ends = Mapping[int, ChainHead]
"""The ends of some shards' chains."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a batch was decided on: the versions of its accounts, and the ends of the chains that it adds to.

    `entry_ids` are those of all entries that it asks for, also where it refuses them.
    """

    versions: Mapping[UUID, int]
    entry_ids: Collection[UUID]
    ends: Ends


class Ledger(Protocol):
    """The books inside one transaction that someone else opens and commits."""

    async def load(self, keys: Keys, now: datetime) -> LedgerState:
        """Lock every account of the batch, also those of its holds, in the order of their ids; read what it needs."""
        ...

    async def accounts(self, account_ids: Collection[UUID]) -> Mapping[UUID, Account]:
        """Return those of these accounts that there are, as they are committed, without locking them."""
        ...

    async def save_as_known(
        self, known: Known, decision: Decision, links: Sequence[Link], now: datetime
    ) -> Ends | None:
        """Write a batch that was decided before, if all is as known, once its accounts and then its chains are locked.

        Returns: the ends of the chains before it. Where they are not those that the links begin at, nothing is written:
        the caller links the entries to these, and saves them. None, and nothing is written, if an account has another
        version than it was decided on, or an entry cannot be new: it is in the journal, or its month is archived.
        Raises: as `save`.
        """
        ...

    async def lock_heads(self, shards: Collection[int]) -> Ends:
        """Return the ends of these shards' chains, and keep others from adding to them until the transaction ends."""
        ...

    async def save(self, decision: Decision, links: Sequence[Link], now: datetime) -> None:
        """Write a decision, its entries with their links, in the same order.

        Raises: InvariantViolated when the database's own checks refuse it.
        """
        ...

    async def due_holds(self, now: datetime, limit: int) -> Sequence[ExpireHold]:
        """Return holds past their deadline whose accounts nobody else is posting on, and lock those accounts."""
        ...


class Chains(Protocol):
    """The chains and their blocks inside one transaction that someone else opens and commits."""

    async def try_to_seal(self) -> bool:
        """Return whether nobody else is sealing, and keep it so until the transaction ends."""
        ...

    async def growth(self) -> Sequence[Growth]:
        """Return what no block seals yet, one range a shard."""
        ...

    async def links(self, ranges: Sequence[Growth]) -> Sequence[Link]:
        """Return the links of these ranges, ordered by shard and position."""
        ...

    async def last_block(self) -> tuple[int, bytes]:
        """Return the number and the super-root of the newest block; 0 and BEFORE_THE_FIRST before there is one."""
        ...

    async def add_block(self, block: Block) -> None:
        """Append a block. Raises: ConcurrentPosting: another one got its number, or seals what it does."""
        ...


class ChainReader(Protocol):
    """Reads of the committed chains."""

    async def place(self, entry_id: UUID) -> Link | None:
        """Return an entry's link; None where it has none, as entries from before there were chains."""
        ...

    async def block_of(self, shard: int, position: int) -> Block | None:
        """Return the block that seals a position, or None."""
        ...

    async def links(self, shard: int, first_position: int, last_position: int) -> Sequence[Link]:
        """Return the links of these positions in order, also of entries that were archived."""
        ...

    async def blocks(self, after: int, limit: int) -> Sequence[Block]:
        """Return blocks numbered above `after`, in order."""
        ...


class Reader(Protocol):
    """Reads of committed books."""

    async def account(self, account_id: UUID) -> Account | None:
        """Return an account, or None."""
        ...

    async def accounts_by_code(self, code: str, mode: Mode) -> Sequence[Account]:
        """Return the accounts of a code in a mode, one a currency, in the order of currencies."""
        ...

    async def hold(self, hold_id: UUID) -> Hold | None:
        """Return a hold, or None."""
        ...

    async def entry(self, entry_id: UUID) -> JournalEntry | None:
        """Return an entry with its postings, or None."""
        ...

    async def entries_of_payment(self, payment_id: UUID) -> Sequence[JournalEntry]:
        """Return a payment's entries, oldest first."""
        ...

    async def codes(self, account_ids: Iterable[UUID]) -> dict[UUID, str]:
        """Return what these accounts are called."""
        ...
