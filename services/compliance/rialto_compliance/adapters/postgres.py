"""Verdicts and lists in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

import orjson

from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.database import Connection, load_queries
from rialto_common.events import Event
from rialto_common.keyring import Keyring
from rialto_compliance.adapters.people import KeyringPeople
from rialto_compliance.application.handlers import published_hits
from rialto_compliance.application.ports import KeptScreening, LoadedList, Screening
from rialto_compliance.domain.sanctions import SanctionsList

_QUERIES = load_queries(__package__)


class PostgresScreenings:
    """The table `compliance.screenings`, read through the view `compliance.verdicts`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def save(self, screenings: Sequence[Screening]) -> set[UUID]:
        """Keep each verdict once, all by one statement, and return the payments that had none before."""
        rows = await self._connection.fetch(
            _QUERIES["save_screenings"],
            [screening.payment_id for screening in screenings],
            [screening.merchant_id for screening in screenings],
            [screening.mode for screening in screenings],
            [screening.shard for screening in screenings],
            [screening.verdict.outcome for screening in screenings],
            [_json([hit.model_dump() for hit in published_hits(screening.verdict)]) for screening in screenings],
            [_json([asdict(rule) for rule in screening.verdict.rules]) for screening in screenings],
            [_json(screening.list_versions) for screening in screenings],
            [screening.verdict.policy_version for screening in screenings],
            [screening.screened_at for screening in screenings],
        )
        return {row["payment_id"] for row in rows}

    async def find(self, payment_id: UUID) -> KeptScreening | None:
        """Return a payment's screening."""
        row = await self._connection.fetchrow(_QUERIES["find_screening"], payment_id)
        if row is None:
            return None
        return KeptScreening(
            payment_id=row["payment_id"],
            merchant_id=row["merchant_id"],
            mode=row["mode"],
            outcome=row["outcome"],
            hits=orjson.loads(row["hits"]),
            rules=orjson.loads(row["rules"]),
            list_versions=orjson.loads(row["list_versions"]),
            policy_version=row["policy_version"],
            screened_at=row["screened_at"],
        )


class PostgresLists:
    """The table `compliance.lists`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def record(self, lists: Sequence[SanctionsList], loaded_at: datetime) -> None:
        """Note that these lists are in force from now on."""
        await self._connection.execute(
            _QUERIES["record_lists"],
            [source.list_id for source in lists],
            [source.version for source in lists],
            [len(source.entities) for source in lists],
            [source.name_count for source in lists],
            loaded_at,
        )

    async def in_force(self) -> list[LoadedList]:
        """Return the lists that were loaded last."""
        rows = await self._connection.fetch(_QUERIES["lists_in_force"])
        return [LoadedList(**row) for row in rows]


class PostgresUnit:
    """The handler's view of one transaction."""

    def __init__(self, transaction: PostgresTransaction, keyring: Keyring) -> None:
        self._transaction = transaction
        self.people = KeyringPeople(keyring, transaction.connection)
        self.screenings = PostgresScreenings(transaction.connection)

    def publish(self, *events: Event) -> None:
        """Put events on the bus when the transaction commits."""
        self._transaction.publish(*events)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
