"""Where the chain has a transaction, and what that means: a pure function of what we recorded and what the node says.

pending ──in a block──▶ mined ──deep, succeeded──▶ confirmed
   ▲  ◀──dropped──────────┤ └──deep, no effect──▶ reverted
   │  ◀──dropped or moved─┴─ confirmed, reverted: the chain was reorganised, or the node lost its state
   └──its nonce used up by another transaction, deep──▶ replaced
"""

from dataclasses import dataclass
from enum import StrEnum


class TransactionState(StrEnum):
    """As in the table `chain_bridge.transactions`."""

    PENDING = "pending"
    MINED = "mined"
    CONFIRMED = "confirmed"
    REVERTED = "reverted"
    REPLACED = "replaced"


FINAL = frozenset({TransactionState.CONFIRMED, TransactionState.REVERTED})


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the chain."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A transaction's place in the chain; `succeeded` is False when it was executed without effect."""

    block: Block
    succeeded: bool
    gas_used: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a transaction stands: its inclusion is known unless it is pending or replaced."""

    state: TransactionState
    inclusion: Inclusion | None = None


def is_deep(block: Block, head: Block, confirmations: int) -> bool:
    """Say whether so many blocks lie on top of this one."""
    return head.number - block.number >= confirmations


def judge(recorded: Standing, found: Inclusion | None, head: Block, confirmations: int) -> Standing:
    """Return where a transaction stands now.

    Args: found: its place in the chain as the node has it, None when in no block.
    A final transaction that the chain moved goes back to `mined` even when it is deep again, so that its confirmation
    is taken back before it is given anew.
    """
    if recorded.state is TransactionState.REPLACED:
        return recorded
    if found is None:
        return Standing(TransactionState.PENDING)
    if recorded.state in FINAL:
        moved = recorded.inclusion is None or recorded.inclusion.block != found.block
        return Standing(TransactionState.MINED, found) if moved else recorded
    if not is_deep(found.block, head, confirmations):
        return Standing(TransactionState.MINED, found)
    return Standing(TransactionState.CONFIRMED if found.succeeded else TransactionState.REVERTED, found)


def is_reorged(before: Standing, after: Standing) -> bool:
    """Say whether the chain took something back that it had shown: others must hear of it."""
    if before.state is TransactionState.MINED:
        return after.state is TransactionState.PENDING
    return before.state in FINAL and after.state not in FINAL
