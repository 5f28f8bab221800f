"""Histories and verdicts in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import orjson

from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.database import Connection, load_queries
from rialto_common.events import Event
from rialto_fraud.adapters.history_codec import pack, unpack
from rialto_fraud.domain.assessment import Assessment, Versions
from rialto_fraud.domain.features import FEATURE_NAMES
from rialto_fraud.domain.history import History
from rialto_fraud.domain.policy import Outcome
from rialto_fraud.domain.reasons import Reason

_QUERIES = load_queries(__package__)


class PostgresHistories:
    """The table `fraud.histories`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lock(self, subjects: Collection[str]) -> dict[str, History]:
        """Return the histories, locked in id order; those that are missing are made empty.

        Rows are made before any is locked, both in id order, so that two batches cannot wait for each other in a ring.
        """
        modes, names = _columns(sorted(subjects))
        await self._connection.execute(_QUERIES["make_histories"], modes, names)
        rows = await self._connection.fetch(_QUERIES["lock_histories"], modes, names)
        return {f"{row['mode']}/{row['subject']}": unpack(row["history"]) for row in rows}

    async def save(self, histories: Mapping[str, History]) -> None:
        """Replace the histories by one statement."""
        modes, names = _columns(histories)
        packed = [pack(history) for history in histories.values()]
        await self._connection.execute(_QUERIES["save_histories"], modes, names, packed)


class PostgresAssessments:
    """The table `fraud.assessments`, read through the view `fraud.verdicts`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def known(self, payment_ids: Collection[UUID]) -> set[UUID]:
        """Return which of these payments have been assessed."""
        rows = await self._connection.fetch(_QUERIES["known_assessments"], list(payment_ids))
        return {row["payment_id"] for row in rows}

    async def save(self, assessments: Sequence[Assessment]) -> None:
        """Keep new verdicts by one statement."""
        await self._connection.execute(
            _QUERIES["save_assessments"],
            [assessment.payment_id for assessment in assessments],
            [assessment.merchant_id for assessment in assessments],
            [assessment.mode for assessment in assessments],
            [assessment.shard for assessment in assessments],
            [assessment.score for assessment in assessments],
            [assessment.outcome.value for assessment in assessments],
            [orjson.dumps(assessment.reasons).decode() for assessment in assessments],
            [assessment.versions.features for assessment in assessments],
            [assessment.versions.model for assessment in assessments],
            [assessment.versions.policy for assessment in assessments],
            [assessment.occurred_at for assessment in assessments],
            [assessment.assessed_at for assessment in assessments],
            [value for assessment in assessments for value in assessment.features],
            len(FEATURE_NAMES),
        )

    async def find(self, payment_id: UUID) -> Assessment | None:
        """Return a payment's verdict."""
        row = await self._connection.fetchrow(_QUERIES["find_assessment"], payment_id)
        if row is None:
            return None
        return Assessment(
            payment_id=row["payment_id"],
            merchant_id=row["merchant_id"],
            mode=row["mode"],
            shard=row["shard"],
            score=row["score"],
            outcome=Outcome(row["outcome"]),
            reasons=tuple(Reason(**reason) for reason in orjson.loads(row["reasons"])),
            features=tuple(row["features"]),
            versions=Versions(row["feature_version"], row["model_version"], row["policy_version"]),
            occurred_at=row["occurred_at"],
            assessed_at=row["assessed_at"],
        )


class PostgresUnit:
    """The handler's view of one transaction."""

    def __init__(self, transaction: PostgresTransaction) -> None:
        self._transaction = transaction
        self.histories = PostgresHistories(transaction.connection)
        self.assessments = PostgresAssessments(transaction.connection)

    def publish(self, *events: Event) -> None:
        """Put events on the bus when the transaction commits."""
        self._transaction.publish(*events)


def _columns(subjects: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the modes and the names of keys such as `test/wal_…`."""
    pairs = [subject.split("/", 1) for subject in subjects]
    return [mode for mode, _ in pairs], [name for _, name in pairs]
