"""What the handler needs from outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from rialto_common.events import Event
from rialto_fraud.domain.assessment import Assessment
from rialto_fraud.domain.features import FloatArray
from rialto_fraud.domain.history import History


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model says of each row: the probability of fraud, and the same in log-odds (which do not saturate)."""

    probability: FloatArray
    log_odds: FloatArray


class Scorer(Protocol):
    """The model."""

    @property
    def version(self) -> str:
        """Return the model's version."""
        ...

    async def score_batch(self, features: FloatArray) -> Scores:
        """Return the scores of some rows.

        Raises: ModelInputInvalid: wrong width, or any NaN or infinity.
        """
        ...


class Histories(Protocol):
    """The running state of wallets and terminals; part of the transaction. Keys begin with the mode and a slash."""

    async def lock(self, subjects: Collection[str]) -> dict[str, History]:
        """Return these histories, empty ones for those nobody has seen, and keep others from them until the end."""
        ...

    async def save(self, histories: Mapping[str, History]) -> None:
        """Replace histories that were locked."""
        ...


class Assessments(Protocol):
    """The verdicts; part of the transaction. None is ever changed."""

    async def known(self, payment_ids: Collection[UUID]) -> set[UUID]:
        """Return which of these payments have been assessed."""
        ...

    async def save(self, assessments: Sequence[Assessment]) -> None:
        """Keep new verdicts."""
        ...

    async def find(self, payment_id: UUID) -> Assessment | None:
        """Return a payment's verdict."""
        ...


class Unit(Protocol):
    """One transaction of the handler."""

    @property
    def histories(self) -> Histories: ...

    @property
    def assessments(self) -> Assessments: ...

    def publish(self, *events: Event) -> None:
        """Put events on the bus when the transaction commits."""
        ...
