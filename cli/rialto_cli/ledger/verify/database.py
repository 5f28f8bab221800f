"""Records from a running installation: the journal as the auditor reads it, in one snapshot."""

import heapq
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import psycopg
from psycopg.rows import dict_row

from rialto_cli.ledger.verify.file import InputUnreadable
from rialto_cli.ledger.verify.records import Numbered, read

ROWS_AT_A_TIME = 2000
_SESSION = "-c timezone=UTC -c jit=off -c application_name=rialto-ledger-verify"

Row = dict[str, Any]


class JournalDatabase:
    """A ledger's database. Its records are those an export file holds, in the same order."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def raw(self) -> Iterator[dict[str, Any]]:
        """Return every record as JSON, streamed. Raises: InputUnreadable: the database does not let us."""
        try:
            with psycopg.connect(self._dsn, connect_timeout=10, options=_SESSION) as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
                for row in stream(connection, "blocks"):
                    yield _block(row)
                # Both in the order of the chains; what has no place in one comes last in its shard.
                entries = (entry_record(row) for row in stream(connection, "entries"))
                archived = (_archived(row) for row in stream(connection, "archived"))
                yield from heapq.merge(entries, archived, key=_place)
        except psycopg.Error as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise InputUnreadable(
                "The journal cannot be read", said.rstrip("."), "see `rialto status`, then run the command again"
            ) from error

    def records(self) -> Iterator[Numbered]:
        """Return every record."""
        for raw in self.raw():
            yield None, read(raw)

    def progress(self) -> str:
        """How many there will be is not known before they are read."""
        return "the running installation"


def stream(
    connection: psycopg.Connection[Any], name: str, parameters: Mapping[str, Any] | None = None
) -> Iterator[Row]:
    """Return the rows of a query, some at a time."""
    text = resources.files(__package__ or "rialto_cli.ledger.verify").joinpath("queries.sql").read_text()
    _, *named = re.split(r"^-- name: (.+)$", text, flags=re.MULTILINE)
    queries = dict(zip(named[::2], named[1::2], strict=True))
    with connection.cursor(name, row_factory=dict_row) as cursor:
        cursor.itersize = ROWS_AT_A_TIME
        cursor.execute(queries[name].encode(), parameters)
        yield from cursor


def entry_record(row: Row) -> dict[str, Any]:
    """Return an entry's record."""
    return {
        "type": "entry",
        "shard": row["shard"],
        "chain_position": row["chain_position"],
        "hash": _hex(row["hash"]),
        "id": str(row["id"]),
        "kind": row["kind"],
        "mode": row["mode"],
        "merchant_id": _text(row["merchant_id"]),
        "payment_id": _text(row["payment_id"]),
        "reverses": _text(row["reverses"]),
        "effective_at": _time(row["effective_at"]),
        "recorded_at": _time(row["recorded_at"]),
        "postings": [
            {"account_id": account_id, "side": side, "amount_minor": amount_minor, "currency": currency}
            for account_id, side, amount_minor, currency in row["postings"]
        ],
        "metadata": row["metadata"],
    }


def _block(row: Row) -> dict[str, Any]:
    return {
        "type": "block",
        "number": row["number"],
        "sealed_at": _time(row["sealed_at"]),
        "previous": _hex(row["previous"]),
        "super_root": _hex(row["super_root"]),
        "shards": [
            {
                "shard": shard,
                "first_position": first_position,
                "last_position": last_position,
                "last_hash": last_hash,
                "root": root,
            }
            for shard, first_position, last_position, last_hash, root in row["shards"]
        ],
    }


def _archived(row: Row) -> dict[str, Any]:
    return {"type": "archived", "shard": row["shard"], "position": row["chain_position"], "hash": _hex(row["hash"])}


def _place(raw: dict[str, Any]) -> tuple[int, float]:
    position = raw.get("chain_position") or raw.get("position")
    return raw["shard"], math.inf if position is None else position


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _time(value: datetime) -> str:
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
