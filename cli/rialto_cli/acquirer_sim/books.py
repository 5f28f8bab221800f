"""What the acquirer knows, in a SQLite file: durable before it answers, so that a kill loses and doubles nothing.

By reference it acts once: the same reference again is answered with what came of it. A reference that was asked about
and not known is remembered, too: a request that was delayed on its way is refused when it arrives after all.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rialto_cli.acquirer_sim.tokens import Behaviour, Step, token

SCHEMA = """
CREATE TABLE IF NOT EXISTS operations (
    reference TEXT PRIMARY KEY, id TEXT UNIQUE NOT NULL, step TEXT NOT NULL, authorisation TEXT NOT NULL,
    amount_minor TEXT NOT NULL, currency TEXT NOT NULL, token TEXT NOT NULL, status TEXT NOT NULL, code TEXT,
    final INTEGER NOT NULL, return_url TEXT, created_at REAL NOT NULL, decide_at REAL
);
CREATE TABLE IF NOT EXISTS forgotten (reference TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS webhooks (
    nth INTEGER PRIMARY KEY, id TEXT NOT NULL, body TEXT NOT NULL, due_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS settled (reference TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS settlement_files (nth INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS operations_of ON operations (authorisation);
CREATE INDEX IF NOT EXISTS operations_open ON operations (decide_at) WHERE decide_at IS NOT NULL;
"""
_DECIDE = "UPDATE operations SET status = ?, code = ?, decide_at = NULL WHERE reference = ?"
LATER_SECONDS = 2.0
"""When a late decision is made."""


class Refused(Exception):
    """The request cannot be taken; `status` is HTTP's, `code` stable."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


@dataclass(frozen=True, slots=True)
class Operation:
    """An authorisation, capture, void, refund or chargeback; amounts in minor units, as text in the file."""

    reference: str
    id: str
    step: str
    authorisation: str
    amount_minor: int
    currency: str
    token: str
    status: str
    code: str | None
    final: bool
    return_url: str | None
    created_at: float
    decide_at: float | None


class Books:
    """The operations, and what can be done to them; used by one thread."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + SCHEMA)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Do all of it or nothing; on the disk when this returns."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @property
    def file(self) -> sqlite3.Connection:
        """The file, to read from; what writes goes through `writing`."""
        return self._db

    def find(self, reference: str) -> Operation | None:
        """Return what came of a reference, or None."""
        return self._one("reference = ?", reference)

    def by_id(self, operation_id: str) -> Operation | None:
        """Return an operation by our own id, or None."""
        return self._one("id = ?", operation_id)

    def authorise(self, asked: Operation, behaviour: Behaviour) -> Operation:
        """Hold an amount on a card, or not. Raises: Refused."""
        status, code, decide_at = "authorised", None, None
        match behaviour.decision:
            case "decline":
                status, code = "declined", behaviour.code
            case "challenge":
                status = "requires_action"
            case "later_approve" | "later_decline":
                status, decide_at = "pending", asked.created_at + LATER_SECONDS
            case "approve":
                pass
        return self._add(replace(asked, status=status, code=code, decide_at=decide_at))

    def follow(self, asked: Operation, behaviour: Behaviour) -> Operation:
        """Raise, capture, void or refund an authorisation. Raises: Refused."""
        done = self.find(asked.reference)
        if done is not None:
            return self._same(done, asked)
        held = self.by_id(asked.authorisation)
        if held is None or held.step != "authorise":
            raise Refused(404, "authorisation_not_found", f"there is no authorisation {asked.authorisation}")
        asked = replace(asked, token=held.token, currency=asked.currency or held.currency)
        status, code, voided = "succeeded", None, None
        if behaviour.decision == "decline":
            status, code = "declined", behaviour.code
        elif asked.step == "void":
            if held.status in ("pending", "requires_action"):
                voided = held
            elif self.left(held, "capture") == 0:
                status, code = "declined", "nothing_held"
        elif asked.currency != held.currency:
            status, code = "declined", "currency_mismatch"
        elif asked.step == "increment":
            if self.left(held, "capture") == 0:
                status, code = "declined", "nothing_held"
            elif asked.amount_minor <= self.raised(held):
                status, code = "declined", "amount_not_above"
        elif asked.amount_minor > self.left(held, asked.step):
            status, code = "declined", "amount_too_large"
        return self._add(replace(asked, status=status, code=code), voided)

    def left(self, held: Operation, step: str) -> int:
        """Return how much of an authorisation may be captured still, or refunded."""
        if held.status != "authorised":
            return 0
        rows = self._db.execute(
            "SELECT step, amount_minor, final FROM operations WHERE authorisation = ? AND status = 'succeeded'",
            [held.id],
        ).fetchall()
        captured = sum(int(row["amount_minor"]) for row in rows if row["step"] == "capture")
        returned = sum(int(row["amount_minor"]) for row in rows if row["step"] in ("refund", "chargeback"))
        if step != "capture":
            return captured - returned
        is_closed = any(row["step"] == "void" or (row["step"] == "capture" and row["final"]) for row in rows)
        return 0 if is_closed else self.raised(held) - captured

    def raised(self, held: Operation) -> int:
        """Return what an authorisation comes to, with what it was raised to since."""
        rows = self._db.execute(
            "SELECT amount_minor FROM operations"
            " WHERE authorisation = ? AND step = 'increment' AND status = 'succeeded'",
            [held.id],
        )
        return max([held.amount_minor, *(int(row["amount_minor"]) for row in rows)])

    def decide(self, held: Operation, status: str, code: str | None) -> Operation:
        """Decide on an authorisation that was open."""
        with self.writing() as db:
            db.execute(_DECIDE, [status, code, held.reference])
        return replace(held, status=status, code=code, decide_at=None)

    def due(self, now: float) -> list[Operation]:
        """Return the authorisations whose late decision is due."""
        return [_operation(row) for row in self._db.execute("SELECT * FROM operations WHERE decide_at <= ?", [now])]

    def forget(self, reference: str) -> None:
        """Never act on a reference that is not known; a request under it that is still on its way is refused."""
        with self.writing() as db:
            db.execute("INSERT OR IGNORE INTO forgotten (reference) VALUES (?)", [reference])

    def unsettled(self, limit: int) -> list[Operation]:
        """Return what moved money and is in no settlement file yet, in its order."""
        rows = self._db.execute(
            "SELECT * FROM operations WHERE status = 'succeeded' AND step IN ('capture', 'refund', 'chargeback')"
            " AND reference NOT IN (SELECT reference FROM settled) ORDER BY created_at, reference LIMIT ?",
            [limit],
        )
        return [_operation(row) for row in rows]

    def keep_settlement_file(self, name: str, body: str, references: list[str]) -> None:
        """Keep a settlement file; the operations of these references are settled by it."""
        with self.writing() as db:
            db.execute("INSERT INTO settlement_files (name, body) VALUES (?, ?)", [name, body])
            db.executemany("INSERT INTO settled (reference) VALUES (?)", [[each] for each in references])

    def settlement_file(self, name: str) -> str | None:
        """Return a settlement file, or None."""
        row = self._db.execute("SELECT body FROM settlement_files WHERE name = ?", [name]).fetchone()
        return None if row is None else str(row["body"])

    def queue_webhook(self, message_id: str, body: str, due_at: float) -> None:
        """Put a message in line."""
        with self.writing() as db:
            db.execute("INSERT INTO webhooks (id, body, due_at) VALUES (?, ?, ?)", [message_id, body, due_at])

    def webhooks_due(self, now: float) -> list[Any]:
        """Return the messages to send now, in their order."""
        found: list[Any] = self._db.execute(
            "SELECT nth, id, body, attempts FROM webhooks WHERE due_at <= ? ORDER BY due_at, nth LIMIT 50", [now]
        ).fetchall()
        return found

    def webhook_taken(self, nth: int) -> None:
        """A message was taken."""
        with self.writing() as db:
            db.execute("DELETE FROM webhooks WHERE nth = ?", [nth])

    def webhook_failed(self, nth: int, again_at: float) -> None:
        """A message was not taken; try again later."""
        with self.writing() as db:
            db.execute("UPDATE webhooks SET attempts = attempts + 1, due_at = ? WHERE nth = ?", [again_at, nth])

    def _add(self, new: Operation, voided: Operation | None = None) -> Operation:
        """Keep an operation, and with it that an open authorisation is void; what a reference has come to stays."""
        with self.writing() as db:
            done = self.find(new.reference)
            if done is not None:
                return self._same(done, new)
            if db.execute("SELECT 1 FROM forgotten WHERE reference = ?", [new.reference]).fetchone():
                raise Refused(409, "reference_forgotten", "this reference was asked about before it came, and is void")
            if voided is not None:
                db.execute(_DECIDE, ["voided", None, voided.reference])
            self.write(db, new)
        return new

    def write(self, db: sqlite3.Connection, new: Operation) -> None:
        """Write an operation in a transaction of the caller's."""
        db.execute(
            "INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                new.reference,
                new.id,
                new.step,
                new.authorisation,
                str(new.amount_minor),
                new.currency,
                new.token,
                new.status,
                new.code,
                new.final,
                new.return_url,
                new.created_at,
                new.decide_at,
            ],
        )

    def _same(self, done: Operation, asked: Operation) -> Operation:
        same = (done.step, done.amount_minor, done.final) == (asked.step, asked.amount_minor, asked.final)
        if asked.step == "authorise":
            same = same and (done.currency, done.token) == (asked.currency, asked.token)
        else:
            same = same and done.authorisation == asked.authorisation
        if not same:
            raise Refused(422, "reference_reused", "this reference stands for another request")
        return done

    def _one(self, condition: str, value: str) -> Operation | None:
        row = self._db.execute(f"SELECT * FROM operations WHERE {condition}", [value]).fetchone()  # noqa: S608 - ours
        return None if row is None else _operation(row)


def behaviour_of(books: Books, step: Step, token_name: str, authorisation: str, acquirer: str) -> Behaviour:
    """Return what happens to a step: by its own token, or by that of the authorisation that it follows."""
    if step != "authorise":
        held = books.by_id(authorisation)
        token_name = "" if held is None else held.token
        if held is None:
            return Behaviour()
    return token(token_name, acquirer).behaviour(step)


def _operation(row: sqlite3.Row) -> Operation:
    return Operation(
        reference=row["reference"],
        id=row["id"],
        step=row["step"],
        authorisation=row["authorisation"],
        amount_minor=int(row["amount_minor"]),
        currency=row["currency"],
        token=row["token"],
        status=row["status"],
        code=row["code"],
        final=bool(row["final"]),
        return_url=row["return_url"],
        created_at=row["created_at"],
        decide_at=row["decide_at"],
    )
