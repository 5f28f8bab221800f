"""A dispute, and what is made of what the acquirer says and the merchant wants. Pure.

| state | waits for | its deadline | leads to |
|---|---|---|---|
| `needs_response` | the merchant's answer | `respond_by`; then the acquirer is asked | `under_review`, `won`, `lost` |
| `under_review` | the issuer | asked about daily | `won`, `lost` |
| `accepted` | the acquirer to close it, as the merchant gave up | asked about at least every 5 min | `lost` |
| `won`, `lost` | nothing: final | none | |

`lost` has a cause: `decided` by the issuer, `accepted` by the merchant, or `expired` without an answer. The acquirer
alone says how a dispute ends. What it says is taken in whatever order it comes: a dispute never goes back.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from rialto_common import ids
from rialto_gateway.attempts.attempt import pause
from rialto_gateway.connectors.disputes import Standing, Status

State = Literal["needs_response", "under_review", "accepted", "won", "lost"]
Sending = Literal["evidence", "acceptance"]
Happening = Literal["opened", "evidence_submitted", "accepted", "won", "lost"]

ENDED: frozenset[State] = frozenset({"won", "lost"})
LOOKED_AT_EVERY = timedelta(days=1)
"""How often one that the issuer decides on is asked about, should its news be lost."""

ROOT_RANDOM = 0
RANK: dict[State, int] = {"needs_response": 0, "accepted": 1, "under_review": 1, "won": 2, "lost": 2}


@dataclass(frozen=True, slots=True)
class Dispute:
    """What is known of a dispute; amounts in minor units of `currency`.

    `sending` is what the acquirer is still to be told, `asks` counts the tries since the last news.
    """

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    mode: Literal["test", "live"]
    currency: str
    connector: str
    reference: str
    amount_minor: int
    fee_minor: int
    reason: str
    respond_by: datetime
    opened_at: datetime
    due_at: datetime | None
    state: State = "needs_response"
    cause: str | None = None
    has_evidence: bool = False
    sending: Sending | None = None
    asks: int = 0
    submitted_at: datetime | None = None
    closed_at: datetime | None = None

    def answerable(self, now: datetime) -> bool:
        """Whether the merchant may still answer."""
        return self.state == "needs_response" and self.sending is None and now < self.respond_by


def dispute_id(connector: str, standing: Standing) -> UUID:
    """Return the id of a dispute: derived from the acquirer's reference, so that told twice it is one.

    Its time is that of the dispute and not of the payment, whose month the ledger may have archived.
    """
    opened_ms = int(standing.opened_at.timestamp() * 1000)
    return ids.derive(ids.uuid7(opened_ms, ROOT_RANDOM), f"dispute|{connector}|{standing.reference}")


def opened(
    standing: Standing,
    connector: str,
    payment_id: UUID,
    merchant_id: UUID,
    mode: Literal["test", "live"],
    fee_minor: int,
) -> Dispute:
    """Return a dispute that is heard of for the first time, as it was opened."""
    return Dispute(
        id=dispute_id(connector, standing),
        payment_id=payment_id,
        merchant_id=merchant_id,
        mode=mode,
        currency=standing.currency,
        connector=connector,
        reference=standing.reference,
        amount_minor=standing.amount_minor,
        fee_minor=fee_minor,
        reason=standing.reason,
        respond_by=standing.respond_by,
        opened_at=standing.opened_at,
        due_at=standing.respond_by,
    )


def heard(dispute: Dispute, standing: Standing, now: datetime) -> tuple[Dispute, Happening | None]:
    """Return the dispute after what the acquirer says of it, and what has happened to it by that."""
    told: State = standing.status
    if dispute.state in ENDED or RANK[told] < RANK[dispute.state]:
        return (dispute if dispute.state in ENDED else _asked_again(dispute, now)), None
    if told == "won":
        return _ended(dispute, "won", None, now), "won"
    if told == "lost":
        return _ended(dispute, "lost", _cause(dispute), now), "lost"
    if told == "under_review" and dispute.state == "needs_response":
        reviewed = replace(
            dispute, state="under_review", sending=None, asks=0, submitted_at=now, due_at=now + LOOKED_AT_EVERY
        )
        return reviewed, "evidence_submitted"
    return _asked_again(replace(dispute, respond_by=standing.respond_by), now), None


def not_heard(dispute: Dispute, now: datetime) -> Dispute:
    """Return the dispute after a question that brought no answer."""
    return (
        dispute if dispute.state in ENDED else replace(dispute, asks=dispute.asks + 1, due_at=now + pause(dispute.asks))
    )


def submit(dispute: Dispute, now: datetime) -> Dispute:
    """Return the dispute whose evidence is to be sent, at once."""
    return replace(dispute, sending="evidence", asks=0, due_at=now)


def accept(dispute: Dispute, now: datetime) -> Dispute:
    """Return the dispute that the merchant gives up; the acquirer is told at once."""
    return replace(dispute, state="accepted", sending="acceptance", asks=0, due_at=now)


def contradicts(dispute: Dispute, status: Status) -> bool:
    """Whether the acquirer denies how it said a dispute ended."""
    return dispute.state in ENDED and status in ENDED and status != dispute.state


def _ended(dispute: Dispute, state: Literal["won", "lost"], cause: str | None, now: datetime) -> Dispute:
    return replace(dispute, state=state, cause=cause, sending=None, asks=0, closed_at=now, due_at=None)


def _cause(dispute: Dispute) -> str:
    if dispute.state == "accepted":
        return "accepted"
    return "decided" if dispute.state == "under_review" or dispute.sending == "evidence" else "expired"


def _asked_again(dispute: Dispute, now: datetime) -> Dispute:
    """Set when it is told or asked about next: at its own time, or ever more seldom once that is over."""
    if dispute.state == "under_review":
        return replace(dispute, asks=0, due_at=now + LOOKED_AT_EVERY)
    if dispute.state == "needs_response" and dispute.sending is None and now < dispute.respond_by:
        return replace(dispute, asks=0, due_at=dispute.respond_by)
    return not_heard(dispute, now)
