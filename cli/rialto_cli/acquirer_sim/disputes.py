"""Disputes at the acquirer: opened by a test, answered by the platform, decided by a test or by time.

What a dispute is answered with is taken once; the same again, or anything later, is answered with how it stands. One
that is lost takes the money back: a chargeback under the dispute's own name, in that day's settlement file.
"""

import json
import sqlite3
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rialto_cli.acquirer_sim.books import Books, Operation, Refused

SCHEMA = """
CREATE TABLE IF NOT EXISTS disputes (
    id TEXT PRIMARY KEY, authorisation TEXT NOT NULL, amount_minor TEXT NOT NULL, reason TEXT NOT NULL,
    status TEXT NOT NULL, evidence TEXT, opened_at REAL NOT NULL, respond_by REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS disputes_open ON disputes (respond_by) WHERE status = 'needs_response';
"""
ENDED = ("won", "lost")


@dataclass(frozen=True, slots=True)
class Dispute:
    """A cardholder's dispute; its amount in minor units of the authorisation's currency, times in seconds."""

    id: str
    authorisation: str
    amount_minor: int
    reason: str
    status: str
    evidence: str | None
    opened_at: float
    respond_by: float


class DisputeBooks:
    """The disputes in the acquirer's file."""

    def __init__(self, books: Books) -> None:
        self._books = books
        books.file.executescript(SCHEMA)

    def open(self, dispute: Dispute) -> Dispute:
        """Keep a new one. Raises: Refused: nothing that could be given back was captured."""
        held = self._held(dispute)
        if dispute.amount_minor > self._books.left(held, "refund"):
            raise Refused(409, "amount_too_large", "more is disputed than was captured and not given back")
        with self._books.writing() as db:
            db.execute(
                "INSERT INTO disputes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    dispute.id,
                    dispute.authorisation,
                    str(dispute.amount_minor),
                    dispute.reason,
                    dispute.status,
                    dispute.evidence,
                    dispute.opened_at,
                    dispute.respond_by,
                ],
            )
        return dispute

    def find(self, dispute_id: str) -> Dispute:
        """Return one. Raises: Refused."""
        row = self._books.file.execute("SELECT * FROM disputes WHERE id = ?", [dispute_id]).fetchone()
        if row is None:
            raise Refused(404, "dispute_not_found", f"there is no dispute {dispute_id}")
        return _dispute(row)

    def answer(self, dispute: Dispute, evidence: dict[str, Any], now: float) -> Dispute:
        """Take evidence, once and in time."""
        if dispute.status != "needs_response" or now >= dispute.respond_by:
            return dispute
        return self._save(replace(dispute, status="under_review", evidence=json.dumps(evidence)))

    def close(self, dispute: Dispute, outcome: str) -> Dispute:
        """End one, once; one that is lost takes the money back."""
        if dispute.status in ENDED:
            return dispute
        held = self._held(dispute)
        ended = replace(dispute, status=outcome)
        taken = Operation(
            reference=dispute.id,
            id=f"cbk_{dispute.id.removeprefix('dsp_')}",
            step="chargeback",
            authorisation=held.id,
            amount_minor=dispute.amount_minor,
            currency=held.currency,
            token=held.token,
            status="succeeded",
            code=None,
            final=False,
            return_url=None,
            created_at=time.time(),
            decide_at=None,
        )
        return self._save(ended, taken if outcome == "lost" else None)

    def expired(self, now: float) -> list[Dispute]:
        """Return those whose time to answer is over."""
        rows = self._books.file.execute(
            "SELECT * FROM disputes WHERE status = 'needs_response' AND respond_by <= ?", [now]
        )
        return [_dispute(row) for row in rows]

    def view(self, dispute: Dispute) -> dict[str, Any]:
        """Return a dispute as the API shows it; `reference` is the platform's, of the authorisation."""
        held = self._held(dispute)
        return {
            "id": dispute.id,
            "reference": held.reference,
            "authorisation": dispute.authorisation,
            "amount_minor": str(dispute.amount_minor),
            "currency": held.currency,
            "reason": dispute.reason,
            "status": dispute.status,
            "opened_at": _instant(dispute.opened_at),
            "respond_by": _instant(dispute.respond_by),
        }

    def token_of(self, dispute: Dispute) -> str:
        """Return the token of the card that was charged."""
        return self._held(dispute).token

    def _held(self, dispute: Dispute) -> Operation:
        held = self._books.by_id(dispute.authorisation)
        if held is None or held.step != "authorise":
            raise Refused(404, "authorisation_not_found", f"there is no authorisation {dispute.authorisation}")
        return held

    def _save(self, dispute: Dispute, taken: Operation | None = None) -> Dispute:
        with self._books.writing() as db:
            db.execute(
                "UPDATE disputes SET status = ?, evidence = ? WHERE id = ?",
                [dispute.status, dispute.evidence, dispute.id],
            )
            if taken is not None:
                self._books.write(db, taken)
        return dispute


def _dispute(row: sqlite3.Row) -> Dispute:
    return Dispute(
        id=row["id"],
        authorisation=row["authorisation"],
        amount_minor=int(row["amount_minor"]),
        reason=row["reason"],
        status=row["status"],
        evidence=row["evidence"],
        opened_at=row["opened_at"],
        respond_by=row["respond_by"],
    )


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
