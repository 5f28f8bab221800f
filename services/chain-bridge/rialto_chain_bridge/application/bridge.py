"""The bridge's loop: cut batches, record and sign, send, watch.

Each turn reads what is due from the tables, so a turn that dies anywhere is simply taken again: a transaction is
recorded before it is sent, and sending the same bytes twice pays once. Only hints live in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from rialto_chain_bridge.application.deployment import Deployer
from rialto_chain_bridge.application.facts import Facts
from rialto_chain_bridge.application.ports import Attempt, Calls, Chain, Sent, Signer, Units
from rialto_chain_bridge.application.records import Deployment, Due, NewTransaction
from rialto_chain_bridge.application.watch import Watcher
from rialto_chain_bridge.domain import gas
from rialto_chain_bridge.domain.batch import BatchPolicy, Waiting, cut_batches
from rialto_chain_bridge.domain.errors import ChainMismatch, ChainUnavailable
from rialto_chain_bridge.metrics import BridgeMetrics
from rialto_common.database import is_retryable
from rialto_common.runtime import Runtime

log = structlog.get_logger()

BATCHES_A_COMMIT = 8
SENDS_A_REQUEST = 16
FIRST_RETRY = timedelta(seconds=1)
LONGEST_RETRY = timedelta(seconds=30)
PAUSE_AFTER_FAILURE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how much. `resend`: after how long a transaction that is in no block is handed over once more."""

    batches: BatchPolicy
    max_in_flight: int
    poll_seconds: float
    resend: timedelta
    deadline: timedelta


@dataclass(frozen=True, slots=True)
class Bridge:
    """What the loop works with."""

    chain_id: int
    units: Units
    chain: Chain
    signer: Signer
    calls: Calls
    deployer: Deployer
    watcher: Watcher
    facts: Facts
    pace: Pace
    metrics: BridgeMetrics
    runtime: Runtime


class BridgeLoop:
    """Takes the turns. Several workers may run one each: the sender's row and guarded updates keep them in line."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._deployment: Deployment | None = None
        self._chain_checked = False
        self._failing = False

    async def step(self) -> float:
        """Take one turn; return the seconds to the next. A chain or a database that is away becomes a pause."""
        try:
            busy = await self._turn()
        except Exception as error:
            if not is_retryable(error):
                raise
            self._chain_checked = False
            if isinstance(error, ChainUnavailable | ChainMismatch):
                self._bridge.metrics.chain_up.set(0)
            if not self._failing:
                log.warning("bridge.waiting", error=f"{type(error).__name__}: {error}"[:300])
            self._failing = True
            return PAUSE_AFTER_FAILURE_SECONDS
        if self._failing:
            log.info("bridge.resumed")
        self._failing = False
        return 0.0 if busy else self._bridge.pace.poll_seconds

    async def _turn(self) -> bool:
        bridge = self._bridge
        if not self._chain_checked:
            await self._check_chain()
        if self._deployment is None:
            self._deployment = await bridge.deployer.ensure(bridge.units, bridge.pace.deadline)
        recorded = await self._record_batches(self._deployment)
        sent = await self._send_due()
        moved = await bridge.watcher.look(self._deployment)
        bridge.metrics.chain_up.set(1)
        return recorded or sent or moved

    async def _check_chain(self) -> None:
        """Make sure of the chain; and as the node may have started anew, hand everything that waits over again.

        Raises: ChainUnavailable. ChainMismatch: signed transactions would not be valid there.
        """
        served = await self._bridge.chain.chain_id()
        if served != self._bridge.chain_id:
            raise ChainMismatch(f"the node serves chain {served}, and we sign for {self._bridge.chain_id}")
        async with self._bridge.units.begin() as unit:
            await unit.store.hurry(self._bridge.runtime.now())
        self._chain_checked = True

    async def _record_batches(self, deployment: Deployment) -> bool:
        """Sign and record the batches that are ready, in one commit; say whether more may be ready."""
        bridge, policy = self._bridge, self._bridge.pace.batches
        async with bridge.units.begin() as unit:
            now = bridge.runtime.now()
            waiting = await unit.store.waiting(now, policy.max_payments * BATCHES_A_COMMIT)
            if not cut_batches(waiting, now, policy, BATCHES_A_COMMIT):
                return False
            nonce = await unit.store.lock_sender(bridge.signer.address, 0)
            # Read again under the lock: another worker may have taken some meanwhile.
            room = min(BATCHES_A_COMMIT, bridge.pace.max_in_flight - await unit.store.under_way())
            waiting = await unit.store.waiting(now, policy.max_payments * BATCHES_A_COMMIT)
            batches = cut_batches(waiting, now, policy, max(0, room))
            transactions = [self._sign(deployment, batch, nonce + offset) for offset, batch in enumerate(batches)]
            if transactions:
                await unit.store.save_transactions(transactions, nonce + len(transactions))
                bridge.runtime.crash_point("chain_bridge.before_record")
        bridge.runtime.crash_point("chain_bridge.after_record")
        for batch in batches:
            bridge.metrics.batch_payments.observe(len(batch))
        return len(batches) == BATCHES_A_COMMIT

    def _sign(self, deployment: Deployment, batch: Sequence[Waiting], nonce: int) -> NewTransaction:
        bridge = self._bridge
        now = bridge.runtime.now()
        transaction_id = bridge.runtime.ids.mint()
        signed = bridge.signer.sign(
            nonce=nonce,
            to=deployment.settlement_address,
            data=bridge.calls.settle_batch(transaction_id, batch),
            gas=gas.settle_batch(len(batch)),
        )
        return NewTransaction(
            id=transaction_id,
            nonce=nonce,
            kind="settle",
            tx_hash=signed.tx_hash,
            raw=signed.raw,
            payment_ids=tuple(settlement.payment_id for settlement in batch),
            recorded_at=now,
            deadline_at=now + bridge.pace.deadline,
        )

    async def _send_due(self) -> bool:
        """Hand the due transactions over in nonce order, and record what became of it; say whether more are due."""
        bridge = self._bridge
        async with bridge.units.begin() as unit:
            due = await unit.store.due(bridge.runtime.now(), SENDS_A_REQUEST)
        if not due:
            return False
        bridge.runtime.crash_point("chain_bridge.before_send")
        outcomes = await bridge.chain.send([transaction.raw for transaction in due])
        bridge.runtime.crash_point("chain_bridge.after_send")
        now = bridge.runtime.now()
        next_attempts = [
            now + self._delay(transaction, outcome) for transaction, outcome in zip(due, outcomes, strict=True)
        ]
        async with bridge.units.begin() as unit:
            accepted = await unit.store.record_attempts(due, outcomes, now, next_attempts)
            by_id = {transaction.id: transaction for transaction in accepted}
            for settlement in await unit.store.assigned(accepted):
                unit.publish(bridge.facts.submitted(settlement, by_id[settlement.transaction_id], now))
            bridge.runtime.crash_point("chain_bridge.before_attempts_recorded")
        bridge.runtime.crash_point("chain_bridge.after_attempts_recorded")
        for outcome in outcomes:
            bridge.metrics.attempts.labels(outcome.attempt).inc()
            if outcome.attempt is Attempt.FAILED:
                log.error("transaction.refused", error=outcome.error)
        return len(due) == SENDS_A_REQUEST

    def _delay(self, transaction: Due, outcome: Sent) -> timedelta:
        """Return after how long to look at a pending transaction again."""
        if outcome.attempt is Attempt.SUCCEEDED:
            return self._bridge.pace.resend
        return min(LONGEST_RETRY, FIRST_RETRY * (1 << min(transaction.attempts, 6)))
