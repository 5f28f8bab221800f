"""The bridge's events. Each settlement's carry a sequence that grows along its life; see `domain/settlement.py`."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from rialto_chain_bridge.application.records import Assigned, Deployment, Intent, Tracked
from rialto_chain_bridge.domain.confirmation import Block
from rialto_chain_bridge.domain.settlement import Fact, event_sequence
from rialto_common import ids
from rialto_common.events import Event, EventData, compose
from rialto_common.events.common import Mode
from rialto_common.events.settlements import (
    DepositConfirmed,
    SettlementConfirmed,
    SettlementFailed,
    SettlementReorged,
    SettlementSubmitted,
)

SOURCE = "rialto.chain_bridge"


@dataclass(frozen=True, slots=True)
class Facts:
    """Writes the events of one chain and token."""

    chain_id: int
    token: str

    def submitted(self, settlement: Assigned, transaction: Tracked, now: datetime) -> Event:
        """Say that the transaction that pays it was sent."""
        data = SettlementSubmitted(
            payment_id=settlement.payment_id,
            merchant_id=settlement.merchant_id,
            mode=_mode(settlement.mode),
            settlement_id=settlement.settlement_id,
            batch_id=transaction.id,
            chain_id=self.chain_id,
            tx_hash=transaction.tx_hash,
        )
        return _event(data, settlement, Fact.SUBMITTED, transaction.reorgs, now)

    def confirmed(self, settlement: Assigned, transaction: Tracked, block: Block, now: datetime) -> Event:
        """Say that it is deep enough in the chain."""
        data = SettlementConfirmed(
            payment_id=settlement.payment_id,
            merchant_id=settlement.merchant_id,
            mode=_mode(settlement.mode),
            settlement_id=settlement.settlement_id,
            batch_id=transaction.id,
            amount_minor=settlement.amount_minor,
            currency=settlement.currency,
            chain_id=self.chain_id,
            token=self.token,
            token_amount=settlement.token_amount,
            tx_hash=transaction.tx_hash,
            block_number=block.number,
            block_hash=block.hash,
        )
        return _event(data, settlement, Fact.CONFIRMED, transaction.reorgs, now)

    def reorged(
        self, settlement: Assigned, transaction: Tracked, block: Block, was_confirmed: bool, now: datetime
    ) -> Event:
        """Say that the chain dropped the block that had paid it; `transaction.reorgs` does not count this one yet."""
        data = SettlementReorged(
            payment_id=settlement.payment_id,
            merchant_id=settlement.merchant_id,
            mode=_mode(settlement.mode),
            settlement_id=settlement.settlement_id,
            batch_id=transaction.id,
            chain_id=self.chain_id,
            tx_hash=transaction.tx_hash,
            block_number=block.number,
            was_confirmed=was_confirmed,
        )
        return _event(data, settlement, Fact.REORGED, transaction.reorgs, now)

    def failed(self, settlement: Assigned, reorgs: int, code: str, detail: str, now: datetime) -> Event:
        """Say that it was given up."""
        data = SettlementFailed(
            payment_id=settlement.payment_id,
            merchant_id=settlement.merchant_id,
            mode=_mode(settlement.mode),
            settlement_id=settlement.settlement_id,
            code=code,
            detail=detail,
        )
        return _event(data, settlement, Fact.FAILED, reorgs, now)

    def refused(self, intent: Intent, cause: Event, now: datetime) -> Event:
        """Say that a request can never be paid as it was asked for."""
        data = SettlementFailed(
            payment_id=intent.payment_id,
            merchant_id=intent.merchant_id,
            mode=_mode(intent.mode),
            settlement_id=intent.settlement_id,
            code=intent.failure_code or "settlement_refused",
            detail=intent.failure_detail or "",
        )
        sequence = event_sequence(Fact.FAILED, submissions=0, reorgs=0)
        return compose(
            data,
            source=SOURCE,
            root=intent.payment_id,
            key=cause.key,
            shard=intent.shard,
            time=now,
            sequence=sequence,
            ordinal=sequence,
            cause=cause,
        )

    def deposit_confirmed(self, deployment: Deployment, mint: Tracked, block: Block, now: datetime) -> Event | None:
        """Say that the treasury was minted; None where this deployment mints none."""
        if deployment.deposit_id is None or deployment.treasury_amount is None:
            return None
        data = DepositConfirmed(
            deposit_id=deployment.deposit_id,
            mode=_mode(deployment.mode),
            chain_id=self.chain_id,
            token=self.token,
            token_amount=deployment.treasury_amount,
            tx_hash=mint.tx_hash,
            block_number=block.number,
        )
        return compose(
            data,
            source=SOURCE,
            root=deployment.deposit_id,
            key=ids.to_text("dep", deployment.deposit_id),
            shard=ids.shard_of(deployment.deposit_id),
            time=now,
            sequence=1,
        )


def deposit_id(deployment_root: UUID) -> UUID:
    """Return the id of the deposit that a deployment's mint makes."""
    return ids.derive(deployment_root, "deposit")


def _event(data: EventData, settlement: Assigned, fact: Fact, reorgs: int, now: datetime) -> Event:
    sequence = event_sequence(fact, submissions=settlement.submissions, reorgs=reorgs)
    event = compose(
        data,
        source=SOURCE,
        root=settlement.payment_id,
        key=ids.to_text("pay", settlement.payment_id),
        shard=settlement.shard,
        time=now,
        sequence=sequence,
        ordinal=sequence,
        traceparent=settlement.traceparent,
    )
    return event._replace(causation_id=str(settlement.cause_id))


def _mode(mode: str) -> Mode:
    return "live" if mode == "live" else "test"
