"""The port's second part: disputes, for acquirers that tell of them and take answers to them.

An acquirer names a dispute by a reference of its own. All that it says of one is the whole of how it stands, so that
news may come late, twice or out of order. What it is told is idempotent: the same again changes nothing. A connector
answers with a value and does not raise for what an acquirer or a network does (`connectors/port.py` has the words).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from rialto_gateway.connectors.port import NotFound, NotSent, Unknown

Status = Literal["needs_response", "under_review", "won", "lost"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a dispute stands. Amounts in minor units.

    `reference` is the acquirer's, `attempt` our reference of the authorisation that is disputed, `reason` one of our
    codes, `respond_by` when the merchant must have answered, `opened_at` never changes.
    """

    reference: str
    attempt: str
    amount_minor: int
    currency: str
    reason: str
    status: Status
    respond_by: datetime
    opened_at: datetime


DisputeAnswer = Standing | NotSent | Unknown | NotFound


class DisputeConnector(Protocol):
    """One acquirer, as far as disputes go."""

    @property
    def name(self) -> str:
        """Return its name, as in `acquirer:{name}:receivable`."""

    async def submit_evidence(self, reference: str, evidence: Mapping[str, str]) -> DisputeAnswer:
        """Answer a dispute, once; what was submitted before stays."""

    async def accept_dispute(self, reference: str) -> DisputeAnswer:
        """Give a dispute up."""

    async def look_up_dispute(self, reference: str) -> DisputeAnswer:
        """Ask how a dispute stands."""
