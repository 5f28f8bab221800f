"""What refunds need of storage. Money and state are the payment's machine's."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from rialto_gateway.payments.chapters.change import RefundChange


class Refunds(Protocol):
    """The refunds' table, inside one transaction; their payments are locked before."""

    async def record(self, changes: Sequence[tuple[UUID, RefundChange]], now: datetime) -> None:
        """Record refunds asked for (payment id, refund), and the outcomes of earlier ones."""
        ...

    async def made_under(self, payment_id: UUID, key: str, request_hash: bytes) -> UUID | None:
        """Return the refund that was asked for before under the key, if any.

        Raises: IdempotencyKeyReused: another refund was.
        """
        ...

    async def name(self, refund_id: UUID, key: str, request_hash: bytes) -> None:
        """Remember the key of a refund just recorded, and what it stands for."""
        ...


class RefundReader(Protocol):
    """Reads of committed refunds, as rows of `gateway.refunds`."""

    async def get(self, refund_id: UUID, merchant_id: UUID | None, mode: str | None) -> Mapping[str, Any] | None:
        """Return a refund; None where there is none, or another merchant's or mode's (None: any)."""
        ...

    async def of_payment(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's refunds, in the order of their ordinals."""
        ...

    async def answered(self, refund_ids: Sequence[UUID]) -> list[UUID]:
        """Return which of these refunds are no longer pending."""
        ...
