"""Settlement files in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_common.database import Connection, Pool, load_queries
from rialto_common.errors import InvalidId
from rialto_gateway.cursors import Place
from rialto_gateway.settlement_files.file import Line, SettlementFile
from rialto_gateway.settlement_files.matching import EarlyLine, Known, Matched

QUERIES = load_queries(__package__)


async def known_by_reference(
    reader: "Connection | Pool", connector: str, lines: Sequence[Line], *, lock: bool
) -> dict[str, Known]:
    """Return the attempts at an acquirer, and its disputes, that the references of lines name, locked where asked."""
    wanted = sorted({found for line in lines if (found := _attempt_id(line.reference)) is not None})
    rows = await reader.fetch(QUERIES["lock_attempts_of" if lock else "attempts_of"], wanted, connector)
    asked = {ids.to_text("att", row["attempt_id"]): _known(row) for row in rows}
    disputed = sorted({line.reference for line in lines if line.kind == "chargeback"})
    rows = await reader.fetch(QUERIES["lock_disputes_of" if lock else "disputes_of"], disputed, connector)
    return asked | {row["reference"]: _known_dispute(row) for row in rows}


async def file_of_hash(reader: "Connection | Pool", connector: str, digest: bytes) -> Mapping[str, Any] | None:
    """Return the row of a file with these bytes, or None."""
    row: Mapping[str, Any] | None = await reader.fetchrow(QUERIES["file_of_hash"], connector, digest)
    return row


async def keep_file(
    connection: Connection,
    file_id: UUID,
    connector: str,
    digest: bytes,
    file: SettlementFile,
    matched: Matched,
    now: datetime,
) -> None:
    """Record a file, its lines, what they clear and where they differ."""
    totals = [
        {
            "currency": total.currency,
            "lines": total.lines,
            "gross_minor": str(total.gross_minor),
            "fee_minor": str(total.fee_minor),
            "net_minor": str(total.net_minor),
        }
        for total in file.totals
    ]
    counts = len(file.lines), len(matched.cleared), len(matched.differences)
    await connection.execute(
        QUERIES["add_file"], file_id, connector, file.name, digest, *counts, orjson.dumps(totals).decode(), now
    )
    attempts = {line.number: known.id for line, known in matched.cleared if known.step != "chargeback"}
    disputes = {line.number: known.id for line, known in matched.cleared if known.step == "chargeback"}
    fields = ("number", "kind", "acquirer_id", "reference", "authorisation", "currency")
    amounts = ("gross_minor", "fee_minor", "net_minor", "settled_on")
    columns = [[getattr(line, name) for line in file.lines] for name in (*fields, *amounts)]
    cleared = [[of.get(line.number) for line in file.lines] for of in (attempts, disputes)]
    await connection.execute(QUERIES["add_lines"], file_id, *columns, *cleared)
    await connection.execute(QUERIES["settle_attempts"], list(attempts.values()), now, f"settled by file {file.name}")
    await connection.execute(QUERIES["settle_disputes"], list(disputes.values()), now)
    if found := matched.differences:
        await connection.execute(
            QUERIES["add_differences"],
            file_id,
            connector,
            now,
            [ids.derive(file_id, "settlement_difference", each.line.number) for each in found],
            [each.line.number for each in found],
            [each.attempt_id for each in found],
            [each.line.reference for each in found],
            [each.reason for each in found],
            [each.line.currency for each in found],
            [each.line.gross_minor for each in found],
            [each.expected for each in found],
            [each.found for each in found],
        )


async def early_lines(reader: "Connection | Pool", connector: str, limit: int) -> list[EarlyLine]:
    """Return lines that came early, and what they name is done now; the oldest first."""
    rows = await reader.fetch(QUERIES["early_lines"], connector, limit)
    return [EarlyLine(row["difference_id"], row["file_id"], _line(row)) for row in rows]


async def clear_early(connection: Connection, cleared: Sequence[tuple[EarlyLine, Known]], now: datetime) -> None:
    """Record that lines clear what they name after all."""
    how = "cleared once what it names was known to be done"
    disputes = [known.id for _, known in cleared if known.step == "chargeback"]
    columns = [
        [early.file_id for early, _ in cleared],
        [early.line.number for early, _ in cleared],
        [known.attempt_id for _, known in cleared],
        [known.id if known.step == "chargeback" else None for _, known in cleared],
    ]
    await connection.execute(QUERIES["clear_early"], *columns)
    attempts = [known.attempt_id for _, known in cleared if known.attempt_id is not None]
    await connection.execute(QUERIES["settle_attempts"], attempts, now, how)
    await connection.execute(QUERIES["settle_disputes"], disputes, now)
    await connection.execute(QUERIES["resolve_early"], [early.difference_id for early, _ in cleared], now, how)


class SettlementDifferences:
    """Reads of committed differences, and what people and the clock make of them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def newest(self, connector: str, state: str | None, before: Place, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return an acquirer's differences after a place, the newest first."""
        return await self._pool.fetch(QUERIES["differences"], connector, state, before.at, before.id, limit)

    async def one(self, connector: str, difference_id: UUID) -> Mapping[str, Any] | None:
        """Return a difference, or None."""
        row: Mapping[str, Any] | None = await self._pool.fetchrow(QUERIES["difference"], connector, difference_id)
        return row

    async def count_open(self) -> Mapping[tuple[str, str], int]:
        """Return how many are open, by acquirer and reason."""
        rows = await self._pool.fetch(QUERIES["open_differences"])
        return {(row["connector"], row["reason"]): row["count"] for row in rows}

    async def add_missing(self, connector: str, before: datetime, now: datetime, limit: int) -> int:
        """Record what was captured or refunded before a time and is in no file; return how much was found."""
        rows = await self._pool.fetch(QUERIES["overdue"], connector, before, limit)
        if rows:
            await self._pool.execute(
                QUERIES["add_missing"],
                connector,
                now,
                [ids.derive(row["attempt_id"], "settlement_missing") for row in rows],
                [row["attempt_id"] for row in rows],
                [ids.to_text("att", row["attempt_id"]) for row in rows],
                [row["currency"] for row in rows],
                [_signed(row) for row in rows],
                [f"a line for the {row['step']} of {row['answered_at'].date().isoformat()}" for row in rows],
            )
        return len(rows)


def _line(row: Mapping[str, Any]) -> Line:
    return Line(
        number=row["line"],
        kind=row["kind"],
        acquirer_id=row["acquirer_id"],
        reference=row["reference"],
        authorisation=row["authorisation"],
        currency=row["currency"],
        gross_minor=int(row["gross_minor"]),
        fee_minor=int(row["fee_minor"]),
        net_minor=int(row["net_minor"]),
        settled_on=row["settled_on"],
    )


def _signed(row: Mapping[str, Any]) -> Any:
    return row["amount_minor"] if row["step"] == "capture" else -row["amount_minor"]


def _attempt_id(reference: str) -> UUID | None:
    try:
        return ids.from_text("att", reference)
    except InvalidId:
        return None


def _known_dispute(row: Mapping[str, Any]) -> Known:
    return Known(
        id=row["dispute_id"],
        payment_id=row["payment_id"],
        merchant_id=row["merchant_id"],
        mode=row["mode"],
        step="chargeback",
        subject_id=None,
        currency=row["currency"],
        amount_minor=int(row["amount_minor"]),
        state="succeeded" if row["state"] == "lost" else row["state"],
        is_settled=row["settled_at"] is not None,
    )


def _known(row: Mapping[str, Any]) -> Known:
    return Known(
        id=row["attempt_id"],
        payment_id=row["payment_id"],
        merchant_id=row["merchant_id"],
        mode=row["mode"],
        step=row["step"],
        subject_id=row["subject_id"],
        currency=row["currency"],
        amount_minor=int(row["amount_minor"]),
        state=row["state"],
        is_settled=row["settled_at"] is not None,
    )
