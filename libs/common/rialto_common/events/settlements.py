"""The chain-bridge's facts, on `rialto.settlements.v1`, keyed by payment id (a deposit by its own id, totals by
merchant id).
"""

from typing import ClassVar

from rialto_common.events.common import SETTLEMENTS, BatchId, DepositId, MerchantId, Mode, PaymentId, SettlementId
from rialto_common.events.envelope import EventData, MinorUnits
from rialto_common.events.totals import ControlTotals


class SettlementData(EventData):
    """What every event of a settlement names: one settlement a payment."""

    topic: ClassVar[str] = SETTLEMENTS

    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode
    settlement_id: SettlementId


class SettlementSubmitted(SettlementData):
    """The transaction that pays it was sent to the chain."""

    type: ClassVar[str] = "rialto.settlement.submitted.v1"

    batch_id: BatchId
    chain_id: int
    tx_hash: str


class SettlementConfirmed(SettlementData):
    """The payment is deep enough in the chain to count: `token_amount` in the token's smallest unit."""

    type: ClassVar[str] = "rialto.settlement.confirmed.v1"

    batch_id: BatchId
    amount_minor: MinorUnits
    currency: str
    chain_id: int
    token: str
    token_amount: MinorUnits
    tx_hash: str
    block_number: int
    block_hash: str


class SettlementReorged(SettlementData):
    """The chain dropped the block that paid it; the same transaction is being sent again."""

    type: ClassVar[str] = "rialto.settlement.reorged.v1"

    batch_id: BatchId
    chain_id: int
    tx_hash: str
    block_number: int
    was_confirmed: bool


class SettlementFailed(SettlementData):
    """It can never be paid as asked; a person must look."""

    type: ClassVar[str] = "rialto.settlement.failed.v1"

    code: str
    detail: str


class DepositConfirmed(EventData):
    """Tokens arrived in the treasury."""

    type: ClassVar[str] = "rialto.deposit.confirmed.v1"
    topic: ClassVar[str] = SETTLEMENTS

    deposit_id: DepositId
    mode: Mode
    chain_id: int
    token: str
    token_amount: MinorUnits
    tx_hash: str
    block_number: int


class SettlementTotalsReported(ControlTotals):
    """What the chain-bridge has of a merchant's closed day: the settlements that stand, by when they were confirmed."""

    type: ClassVar[str] = "rialto.settlement_totals.reported.v1"
    topic: ClassVar[str] = SETTLEMENTS


MODELS: tuple[type[EventData], ...] = (
    SettlementSubmitted,
    SettlementConfirmed,
    SettlementReorged,
    SettlementFailed,
    DepositConfirmed,
    SettlementTotalsReported,
)
