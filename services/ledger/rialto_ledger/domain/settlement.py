"""What the ledger remembers of a payment's settlement, so that the chain's reorganisations never pay it twice (I4)."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from rialto_common import ids


class SettlementStatus(StrEnum):
    """Posted: its latest entry stands. Reversed: the chain took it back, and a later confirmation posts again."""

    POSTED = "posted"
    REVERSED = "reversed"


@dataclass(frozen=True, slots=True)
class Settlement:
    """The latest settlement entry of a payment: `ordinal` counts how often the chain confirmed it, from 0.

    `sequence` is the chain-bridge's, of the last fact applied: an older one is never applied over it.
    """

    payment_id: UUID
    settlement_id: UUID
    ordinal: int
    status: SettlementStatus
    entry_id: UUID
    sequence: int


def settlement_entry_id(payment_id: UUID, ordinal: int) -> UUID:
    """Return the id of the entry that books the payment's nth confirmation."""
    return ids.derive(payment_id, "settlement", ordinal)


def reversal_entry_id(payment_id: UUID, ordinal: int) -> UUID:
    """Return the id of the entry that undoes the payment's nth confirmation."""
    return ids.derive(payment_id, "settlement.reversal", ordinal)
