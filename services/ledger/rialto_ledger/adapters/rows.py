"""Rows to domain objects."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import orjson

from rialto_ledger.domain.account import Account, AccountSpec, AccountStatus, AccountType, Side
from rialto_ledger.domain.hold import Hold, HoldStatus
from rialto_ledger.domain.journal import JournalEntry, Posting
from rialto_ledger.domain.settlement import Settlement, SettlementStatus

Row = Mapping[str, Any]

NO_METADATA: Mapping[str, str] = {}
# Looked up, as an enum's call costs more than the rest of a row.
_TYPES = {kind.value: kind for kind in AccountType}
_STATUSES = {status.value: status for status in AccountStatus}


def account_of(row: Row) -> Account:
    """Return an account; NUMERIC(38,0) arrives as a whole Decimal, or as text, which is read faster."""
    minimum, maximum, metadata = row["minimum_available_minor"], row["maximum_balance_minor"], row["metadata"]
    spec = AccountSpec(
        id=row["id"],
        code=row["code"],
        type=_TYPES[row["type"]],
        currency=row["currency"],
        merchant_id=row["merchant_id"],
        mode=row["mode"],
        shard=row["shard"],
        minimum_available_minor=None if minimum is None else int(minimum),
        maximum_balance_minor=None if maximum is None else int(maximum),
        owner=row["owner"],
        identifier=row["identifier"],
        metadata=NO_METADATA if metadata == "{}" else orjson.loads(metadata),
    )
    return Account(
        spec=spec,
        status=_STATUSES[row["status"]],
        debits_minor=int(row["debits_minor"]),
        credits_minor=int(row["credits_minor"]),
        held_minor=int(row["held_minor"]),
        version=row["version"],
    )


def hold_of(row: Row) -> Hold:
    """Return a hold."""
    return Hold(
        id=row["id"],
        payment_id=row["payment_id"],
        account_id=row["account_id"],
        merchant_id=row["merchant_id"],
        mode=row["mode"],
        shard=row["shard"],
        currency=row["currency"],
        amount_minor=int(row["amount_minor"]),
        status=HoldStatus(row["status"]),
        placed_at=row["placed_at"],
        expires_at=row["expires_at"],
        captured_minor=int(row["captured_minor"]),
        released_minor=int(row["released_minor"]),
        refusal_code=row["refusal_code"],
        closed_at=row["closed_at"],
        version=row["version"],
        increased_minor=int(row["increased_minor"]),
    )


def settlement_of(row: Row) -> Settlement:
    """Return a payment's settlement."""
    return Settlement(
        payment_id=row["payment_id"],
        settlement_id=row["settlement_id"],
        ordinal=row["ordinal"],
        status=SettlementStatus(row["status"]),
        entry_id=row["entry_id"],
        sequence=row["sequence"],
    )


def entries_of(rows: Iterable[Row]) -> dict[UUID, JournalEntry]:
    """Return entries by id from rows of one posting each, in order."""
    lines: dict[UUID, list[Row]] = {}
    for row in rows:
        lines.setdefault(row["id"], []).append(row)
    return {entry_id: _entry_of(of_entry) for entry_id, of_entry in lines.items()}


def _entry_of(lines: list[Row]) -> JournalEntry:
    head = lines[0]
    return JournalEntry(
        id=head["id"],
        kind=head["kind"],
        mode=head["mode"],
        shard=head["shard"],
        merchant_id=head["merchant_id"],
        payment_id=head["payment_id"],
        effective_at=head["effective_at"],
        recorded_at=head["recorded_at"],
        postings=tuple(
            Posting(line["account_id"], Side(line["side"]), int(line["amount_minor"]), line["currency"])
            for line in lines
        ),
        metadata=orjson.loads(head["metadata"]),
        reverses=head["reverses"],
    )
