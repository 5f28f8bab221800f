"""What increments need of storage. Amounts and state are the payment's machine's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from rialto_gateway.payments.chapters.change import IncrementChange


class Increments(Protocol):
    """The increments' table, inside one transaction; their payments are locked before."""

    async def record(self, changes: Sequence[tuple[UUID, IncrementChange]], now: datetime) -> None:
        """Record increments asked for (payment id, increment), and the outcomes of earlier ones."""
        ...

    async def asked_under(self, payment_id: UUID, key: str, request_hash: bytes) -> bool:
        """Say whether this increment was asked for before under the key.

        Raises: IdempotencyKeyReused: another increment was.
        """
        ...

    async def name(self, increment_id: UUID, key: str, request_hash: bytes) -> None:
        """Remember the key of an increment just recorded, and what it stands for."""
        ...


class MandateUses(Protocol):
    """What was charged by mandates, inside one transaction."""

    async def check_raised(self, payment_id: UUID, amount_minor: int, now: datetime) -> None:
        """Hold a payment that is to be raised to what was agreed, as it was held to when it was accepted.

        Others that charge by its mandate wait until the transaction ends. Nothing is checked of one without a mandate.
        Raises: MandateNotActive, MandateLimitExceeded.
        """
        ...
