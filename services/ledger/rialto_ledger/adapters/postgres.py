"""The books in PostgreSQL: one batch is a few set-based statements, each account locked, read and written once."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from rialto_common.database import Connection, Pool, column, load_queries
from rialto_common.errors import InvariantViolated
from rialto_ledger.adapters import rows
from rialto_ledger.application.ports import ConcurrentPosting, Keys, Known
from rialto_ledger.domain.account import Account, AccountDelta, AccountSpec, Mode, StatusChange
from rialto_ledger.domain.batch import Decision
from rialto_ledger.domain.book import NOTHING_ARCHIVED, LedgerState
from rialto_ledger.domain.chain import ChainHead, Link
from rialto_ledger.domain.commands import ExpireHold
from rialto_ledger.domain.hold import Hold
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.domain.settlement import Settlement

_QUERIES = load_queries(__package__)

_WRITTEN_MEANWHILE = re.compile("holds_pk|accounts_pk|accounts_code_unique|(journal_entries|postings)_[a-z0-9]+_pkey")
"""A key that was free when it was read and is taken when it is written: another transaction wrote the same identity.
The journal's keys have a name in each of its partitions.
"""

_ARCHIVED_MEANWHILE = "journal_entries_not_archived"
"""The check by which the default partition, where ids without a month of their own go, refuses those of archived ones.
Asked again, the posting is refused for that.
"""


class PostgresLedger:
    """The books inside one transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def load(self, keys: Keys, now: datetime) -> LedgerState:
        """Lock and read what a batch needs, opening the accounts that it opens.

        Raises: ConcurrentPosting: another transaction opened an account, or added a hold or an entry, between the locks
        and the reads, or the two were waiting for each other's accounts.
        """
        try:
            accounts, opened, ids_from, posted = await self._lock_and_open(keys, now)
        except asyncpg.DeadlockDetectedError as error:
            raise ConcurrentPosting("two transactions were opening accounts for each other") from error
        holds = await self._holds(keys.holds)
        settlements = await self._settlements(keys.settled_payments)
        standing = {settlement.entry_id for settlement in settlements.values()}
        entries = await _entries(self._connection, posted | keys.reversed_entries | standing)
        needed = {hold.account_id for hold in holds.values() if hold.remaining_minor > 0}
        bound = (standing | keys.reversed_entries) & entries.keys()
        needed.update(posting.account_id for entry_id in bound for posting in entries[entry_id].postings)
        if not needed <= accounts.keys():
            raise ConcurrentPosting("a hold, a settlement or an entry appeared while its accounts were being locked")
        return LedgerState(accounts, opened, holds, entries, settlements, ids_from)

    async def accounts(self, account_ids: Collection[UUID]) -> dict[UUID, Account]:
        """Return accounts as they are committed."""
        found = await self._connection.fetch(_QUERIES["accounts"], list(account_ids))
        return {row["id"]: rows.account_of(row) for row in found}

    async def save_as_known(
        self, known: Known, decision: Decision, links: Sequence[Link], now: datetime
    ) -> dict[int, ChainHead] | None:
        """Lock what a batch was decided on, and write it in the same statement if all is as known.

        Raises: as `save`.
        """
        versions, entry_ids, ends = known.versions, known.entry_ids, sorted(known.ends.items())
        with _refusals():
            found = await self._connection.fetch(
                _QUERIES["add_entries_as_known"],
                list(versions),
                list(versions.values()),
                list(entry_ids),
                min(entry_ids, default=None),
                max(entry_ids, default=None),
                [shard for shard, _ in ends],
                [end.position for _, end in ends],
                [end.hash if end.position else None for _, end in ends],
                *_entries_columns(decision, links, now),
            )
        if not found[0]["stands"]:
            return None
        heads = (row for row in found if row["head_shard"] is not None)
        return {row["head_shard"]: _head(row["head_shard"], row["head_position"], row["head_hash"]) for row in heads}

    async def lock_heads(self, shards: Collection[int]) -> dict[int, ChainHead]:
        """Lock the ends of these shards' chains: always after the accounts, so that nobody waits in a circle."""
        if not shards:
            return {}
        heads = await self._connection.fetch(_QUERIES["lock_heads"], list(shards))
        return {row["shard"]: _head(row["shard"], row["position"], row["hash"]) for row in heads}

    async def save(self, decision: Decision, links: Sequence[Link], now: datetime) -> None:
        """Write a decision, its entries with their links.

        Raises: ConcurrentPosting: the same identity was written, or its month archived, meanwhile. InvariantViolated: a
        check of the database refuses it, which deciding should have done.
        """
        with _refusals():
            if decision.entries:
                await self._connection.execute(_QUERIES["add_entries"], *_entries_columns(decision, links, now))
            else:
                await self._change_accounts(decision.deltas)
            await self._add_holds(decision.new_holds)
            await self._change_holds(decision.changed_holds)
            await self._keep_settlements(decision.settlements)
            await self._change_statuses(decision.status_changes, now)

    async def due_holds(self, now: datetime, limit: int) -> Sequence[ExpireHold]:
        """Return holds past their deadline on accounts nobody is posting on, and lock those accounts."""
        due = await self._connection.fetch(_QUERIES["due_holds"], now, limit)
        return [ExpireHold(row["payment_id"], row["merchant_id"], row["mode"], row["shard"], row["id"]) for row in due]

    async def _lock_and_open(
        self, keys: Keys, now: datetime
    ) -> tuple[dict[UUID, Account], frozenset[UUID], UUID, set[UUID]]:
        """Return the accounts, those that are new, from which id on nothing is archived, and which entries are there.

        The last as of when the locks were asked for: an entry that was posted while they were waited for is met when
        the batch is written, and the batch begun again.
        """
        locked = await self._lock(keys)
        posted = set(locked[0]["posted"]) if locked else keys.entries
        accounts = {row["id"]: rows.account_of(row) for row in locked}
        opened: frozenset[UUID] = frozenset()
        if missing := [spec for spec in keys.opens.values() if spec.id not in accounts]:
            opened = await self._open(missing, now)
            locked = await self._lock_late([spec.id for spec in missing])
            accounts |= {row["id"]: rows.account_of(row) for row in locked}
        ids_from = next((row["ids_from"] for row in locked if row["ids_from"]), NOTHING_ARCHIVED)
        return accounts, opened, ids_from, posted

    async def _lock(self, keys: Keys) -> Sequence[rows.Row]:
        locked: Sequence[rows.Row] = await self._connection.fetch(
            _QUERIES["lock_accounts"],
            list(keys.accounts | keys.opens.keys()),
            list(keys.holds),
            list(keys.settled_payments),
            list(keys.reversed_entries),
            list(keys.entries),
            min(keys.entries, default=None),
            max(keys.entries, default=None),
        )
        return locked

    async def _lock_late(self, account_ids: Sequence[UUID]) -> Sequence[rows.Row]:
        try:
            locked: Sequence[rows.Row] = await self._connection.fetch(_QUERIES["lock_late_accounts"], account_ids)
        except asyncpg.LockNotAvailableError as error:
            raise ConcurrentPosting("another transaction opened an account meanwhile, and holds it") from error
        return locked

    async def _open(self, specs: Sequence[AccountSpec], now: datetime) -> frozenset[UUID]:
        opened = await self._connection.fetch(
            _QUERIES["open_accounts"],
            [spec.id for spec in specs],
            [spec.code for spec in specs],
            [spec.type for spec in specs],
            [spec.type.normal_side for spec in specs],
            [spec.currency for spec in specs],
            [spec.merchant_id for spec in specs],
            [spec.mode for spec in specs],
            [spec.shard for spec in specs],
            [_text(spec.minimum_available_minor) for spec in specs],
            [_text(spec.maximum_balance_minor) for spec in specs],
            [spec.owner for spec in specs],
            [spec.identifier for spec in specs],
            [_json(spec.metadata) for spec in specs],
            now,
        )
        return frozenset(row["id"] for row in opened)

    async def _holds(self, hold_ids: Collection[UUID]) -> dict[UUID, Hold]:
        if not hold_ids:
            return {}
        found = await self._connection.fetch(_QUERIES["holds"], list(hold_ids))
        return {row["id"]: rows.hold_of(row) for row in found}

    async def _settlements(self, payment_ids: Collection[UUID]) -> dict[UUID, Settlement]:
        if not payment_ids:
            return {}
        found = await self._connection.fetch(_QUERIES["settlements"], list(payment_ids))
        return {row["payment_id"]: rows.settlement_of(row) for row in found}

    async def _add_holds(self, holds: Sequence[Hold]) -> None:
        if not holds:
            return
        await self._connection.execute(
            _QUERIES["add_holds"],
            [hold.id for hold in holds],
            [hold.payment_id for hold in holds],
            [hold.account_id for hold in holds],
            [hold.merchant_id for hold in holds],
            [hold.mode for hold in holds],
            [hold.shard for hold in holds],
            [hold.currency for hold in holds],
            [str(hold.amount_minor) for hold in holds],
            [str(hold.captured_minor) for hold in holds],
            [str(hold.released_minor) for hold in holds],
            [hold.status for hold in holds],
            [hold.refusal_code for hold in holds],
            [hold.placed_at for hold in holds],
            [hold.expires_at for hold in holds],
            [hold.closed_at for hold in holds],
            [hold.version for hold in holds],
            [str(hold.increased_minor) for hold in holds],
        )

    async def _change_holds(self, holds: Sequence[Hold]) -> None:
        if not holds:
            return
        await self._connection.execute(
            _QUERIES["change_holds"],
            [hold.id for hold in holds],
            [str(hold.captured_minor) for hold in holds],
            [str(hold.released_minor) for hold in holds],
            [hold.status for hold in holds],
            [hold.expires_at for hold in holds],
            [hold.closed_at for hold in holds],
            [hold.version for hold in holds],
            [str(hold.amount_minor) for hold in holds],
            [str(hold.increased_minor) for hold in holds],
        )

    async def _keep_settlements(self, settlements: Sequence[Settlement]) -> None:
        if not settlements:
            return
        await self._connection.execute(
            _QUERIES["keep_settlements"],
            [settlement.payment_id for settlement in settlements],
            [settlement.settlement_id for settlement in settlements],
            [settlement.ordinal for settlement in settlements],
            [settlement.status for settlement in settlements],
            [settlement.entry_id for settlement in settlements],
            [settlement.sequence for settlement in settlements],
        )

    async def _change_accounts(self, deltas: Mapping[UUID, AccountDelta]) -> None:
        if not deltas:
            return
        await self._connection.execute(_QUERIES["change_accounts"], *_totals(deltas))

    async def _change_statuses(self, changes: Sequence[StatusChange], now: datetime) -> None:
        if not changes:
            return
        await self._connection.execute(
            _QUERIES["change_statuses"],
            [change.account_id for change in changes],
            [change.status for change in changes],
            [change.reason for change in changes],
            now,
        )


class PostgresReader:
    """Reads of committed books, each on a connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def account(self, account_id: UUID) -> Account | None:
        """Return an account, or None."""
        row = await self._pool.fetchrow(_QUERIES["account"], account_id)
        return None if row is None else rows.account_of(row)

    async def accounts_by_code(self, code: str, mode: Mode) -> Sequence[Account]:
        """Return the accounts of a code in a mode, in the order of currencies."""
        return [rows.account_of(row) for row in await self._pool.fetch(_QUERIES["accounts_by_code"], code, mode)]

    async def hold(self, hold_id: UUID) -> Hold | None:
        """Return a hold, or None."""
        row = await self._pool.fetchrow(_QUERIES["holds"], [hold_id])
        return None if row is None else rows.hold_of(row)

    async def entry(self, entry_id: UUID) -> JournalEntry | None:
        """Return an entry, or None."""
        return (await _entries(self._pool, [entry_id])).get(entry_id)

    async def entries_of_payment(self, payment_id: UUID) -> Sequence[JournalEntry]:
        """Return a payment's entries, oldest first."""
        found = await self._pool.fetch(_QUERIES["entries_of_payment"], payment_id)
        entries = await _entries(self._pool, [row["id"] for row in found])
        return sorted(entries.values(), key=attrgetter("recorded_at", "id"))

    async def codes(self, account_ids: Iterable[UUID]) -> dict[UUID, str]:
        """Return what these accounts are called."""
        found = await self._pool.fetch(_QUERIES["account_codes"], list(account_ids))
        return {row["id"]: row["code"] for row in found}


async def _entries(connection: "Connection | Pool", entry_ids: Collection[UUID]) -> dict[UUID, JournalEntry]:
    if not entry_ids:
        return {}
    found = await connection.fetch(_QUERIES["entries"], list(entry_ids), min(entry_ids), max(entry_ids))
    return rows.entries_of(found)


@contextmanager
def _refusals() -> Iterator[None]:
    """Say what the database refuses in our words. Raises: as `PostgresLedger.save`."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        if _WRITTEN_MEANWHILE.fullmatch(error.constraint_name or ""):
            raise ConcurrentPosting("the same identity was written by another transaction") from error
        raise
    except (asyncpg.CheckViolationError, asyncpg.ForeignKeyViolationError) as error:
        if error.constraint_name == _ARCHIVED_MEANWHILE:
            raise ConcurrentPosting("the month of an entry was archived while it was being posted") from error
        raise InvariantViolated(f"the database refuses a decision by {error.constraint_name}") from error


def _entries_columns(decision: Decision, links: Sequence[Link], now: datetime) -> list[Any]:
    """Return the columns of a decision's entries, their postings, the chains' new ends and the accounts' changes."""
    entries, ends = decision.entries, {link.shard: link for link in links}
    ids, numbers, postings = [], [], []
    for entry in entries:
        for number, posting in enumerate(entry.postings):
            ids.append(entry.id)
            numbers.append(number)
            postings.append(posting)
    return [
        [entry.id for entry in entries],
        column([entry.kind for entry in entries]),
        column([entry.mode for entry in entries]),
        column([entry.shard for entry in entries]),
        column([entry.merchant_id for entry in entries]),
        column([entry.payment_id for entry in entries]),
        column([entry.reverses for entry in entries]),
        column([entry.effective_at for entry in entries]),
        now,
        column([_json(entry.metadata) for entry in entries]),
        [link.position for link in links],
        [link.hash for link in links],
        ids,
        numbers,
        [posting.account_id for posting in postings],
        [posting.side for posting in postings],
        column([str(posting.amount_minor) for posting in postings]),
        column([posting.currency for posting in postings]),
        list(ends),
        [end.position for end in ends.values()],
        [end.hash for end in ends.values()],
        *_totals(decision.deltas),
    ]


def _head(shard: int, position: int, hashed: bytes) -> ChainHead:
    return ChainHead(shard, position, hashed) if position else ChainHead.genesis(shard)


def _totals(deltas: Mapping[UUID, AccountDelta]) -> list[list[Any]]:
    """Return the columns of what is added to accounts' totals."""
    changes = deltas.values()
    return [
        list(deltas),
        column([str(delta.debits_minor) for delta in changes]),
        column([str(delta.credits_minor) for delta in changes]),
        column([str(delta.held_minor) for delta in changes]),
    ]


def _json(metadata: Mapping[str, str]) -> str:
    return orjson.dumps(dict(metadata)).decode() if metadata else "{}"


def _text(amount_minor: int | None) -> str | None:
    return None if amount_minor is None else str(amount_minor)
