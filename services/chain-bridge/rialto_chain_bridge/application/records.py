"""What the bridge keeps, as the application handles it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from rialto_chain_bridge.domain.confirmation import Standing


@dataclass(frozen=True, slots=True)
class Deployment:
    """The contracts in use. Addresses are in lower case; `treasury_amount` was minted, in the token's smallest unit."""

    chain_id: int
    operator_address: str
    token: str
    token_decimals: int
    token_address: str
    settlement_address: str
    mode: str
    treasury_amount: int | None
    deposit_id: UUID | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Intent:
    """A payment to be settled, as it was asked for. `token_amount` is None for one that was refused on arrival."""

    payment_id: UUID
    settlement_id: UUID
    merchant_id: UUID
    mode: str
    shard: int
    amount_minor: int
    currency: str
    payee_address: str
    token_amount: int | None
    failure_code: str | None
    failure_detail: str | None
    cause_id: UUID
    traceparent: str | None
    requested_at: datetime
    deadline_at: datetime

    def content(self) -> tuple[object, ...]:
        """Return what a second request for the same payment must have in common with the first."""
        return (
            self.settlement_id,
            self.merchant_id,
            self.mode,
            self.amount_minor,
            self.currency,
            self.payee_address,
        )


@dataclass(frozen=True, slots=True)
class NewTransaction:
    """A signed transaction to be recorded before it is sent."""

    id: UUID
    nonce: int
    kind: str
    tx_hash: str
    raw: bytes
    payment_ids: tuple[UUID, ...]
    recorded_at: datetime
    deadline_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A recorded transaction that is to be handed to the node now."""

    id: UUID
    raw: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class Tracked:
    """A transaction whose place in the chain is being watched. `confirmed_before`: now, or before a reorganisation."""

    id: UUID
    nonce: int
    kind: str
    tx_hash: str
    standing: Standing
    payment_ids: tuple[UUID, ...]
    reorgs: int
    submitted: bool
    confirmed_before: bool


@dataclass(frozen=True, slots=True)
class Assigned:
    """A settlement in a transaction: what its events and its next attempt need."""

    payment_id: UUID
    transaction_id: UUID
    settlement_id: UUID
    merchant_id: UUID
    mode: str
    shard: int
    amount_minor: int
    currency: str
    payee_address: str
    token_amount: int
    submissions: int
    deadline_at: datetime
    cause_id: UUID
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class SettlementView:
    """A settlement as the API shows it."""

    payment_id: UUID
    settlement_id: UUID
    merchant_id: UUID
    mode: str
    amount_minor: int
    currency: str
    payee_address: str
    token_amount: int | None
    state: str
    failure_code: str | None
    failure_detail: str | None
    chain_id: int
    batch_id: UUID | None
    tx_hash: str | None
    block_number: int | None
    block_hash: str | None
    reorgs: int
    requested_at: datetime
    submitted_at: datetime | None
    confirmed_at: datetime | None
    next_attempt_at: datetime
    deadline_at: datetime
