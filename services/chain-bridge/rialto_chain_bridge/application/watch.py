"""Watches the chain: where our transactions are, what is deep enough, what was taken back, what had no effect."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog

from rialto_chain_bridge.application.facts import Facts
from rialto_chain_bridge.application.ports import Calls, Chain, Head, Signer, Unit, Units
from rialto_chain_bridge.application.records import Assigned, Deployment, Tracked
from rialto_chain_bridge.domain import settlement as settlements
from rialto_chain_bridge.domain.batch import Waiting
from rialto_chain_bridge.domain.confirmation import (
    FINAL,
    Block,
    Inclusion,
    Standing,
    TransactionState,
    is_reorged,
    judge,
)
from rialto_chain_bridge.metrics import BridgeMetrics
from rialto_common.errors import InvariantViolated
from rialto_common.runtime import Runtime

log = structlog.get_logger()

FINALS_A_LOOK = 50

Change = tuple[Tracked, Standing, int]


class Watcher:
    """Looks once a block. What it remembers between looks are hints: it starts anew at any time."""

    def __init__(
        self,
        *,
        units: Units,
        chain: Chain,
        signer: Signer,
        calls: Calls,
        facts: Facts,
        metrics: BridgeMetrics,
        runtime: Runtime,
        confirmations: int,
    ) -> None:
        self._units = units
        self._chain = chain
        self._sender = signer.address
        self._calls = calls
        self._facts = facts
        self._metrics = metrics
        self._runtime = runtime
        self._confirmations = confirmations
        self._seen: Block | None = None
        # By transaction: the block at which its nonce was first found used while it was in no block itself.
        self._left_out_since: dict[UUID, int] = {}

    async def look(self, deployment: Deployment) -> bool:
        """Bring the tables up to the chain's newest block; say whether anything moved.

        Raises: ChainUnavailable.
        """
        newest = await self._chain.newest_block()
        if newest == self._seen:
            return False
        if self._seen is not None and newest.number < self._seen.number:
            log.warning("chain.went_back", was=self._seen.number, now=newest.number)
            async with self._units.begin() as unit:
                await unit.store.hurry(self._runtime.now())
        async with self._units.begin() as unit:
            watched = [*await unit.store.newest_final(1), *await unit.store.tracked()]
        head = await self._chain.head(self._sender, _block_numbers(watched))
        self._metrics.head.set(head.block.number)
        if any(transaction.standing.state in FINAL and _displaced(transaction, head) for transaction in watched):
            watched, head = await self._widen(watched)
        changes = await self._judge(watched, head, deployment)
        moved = bool(changes) and await self._apply(changes, deployment, head)
        self._seen = None if moved else head.block
        return moved

    async def _widen(self, watched: Sequence[Tracked]) -> tuple[list[Tracked], Head]:
        """The newest final transaction's block is gone: look at many more. The next look takes those below them."""
        async with self._units.begin() as unit:
            finals = await unit.store.newest_final(FINALS_A_LOOK)
        wider = [*finals, *(transaction for transaction in watched if transaction.standing.state not in FINAL)]
        return wider, await self._chain.head(self._sender, _block_numbers(wider))

    async def _judge(self, watched: Sequence[Tracked], head: Head, deployment: Deployment) -> list[Change]:
        """Return what stands differently now; only transactions that may have moved are asked about."""
        asked = [transaction for transaction in watched if _may_have_moved(transaction, head)]
        found = dict(
            zip(
                (transaction.id for transaction in asked),
                await self._chain.inclusions([transaction.tx_hash for transaction in asked]),
                strict=True,
            )
        )
        changes: list[Change] = []
        for transaction in watched:
            inclusion = found[transaction.id] if transaction.id in found else transaction.standing.inclusion
            standing = judge(transaction.standing, inclusion, head.block, self._confirmations)
            if standing.state is TransactionState.PENDING:
                standing = await self._left_out(transaction, head, deployment) or standing
            if standing != transaction.standing:
                reorged = is_reorged(transaction.standing, standing)
                changes.append((transaction, standing, transaction.reorgs + reorged))
        return changes

    async def _left_out(self, transaction: Tracked, head: Head, deployment: Deployment) -> Standing | None:
        """Return the standing of a transaction whose nonce is used although no block holds it; None while unsure.

        Another program may have used the nonce, or the node kept a block's effects and lost its receipts (a killed
        anvil does). A settlement may then go into another transaction: the contract skips it if it is paid. A
        contract's creation and the mint may not, so their effect is asked for.
        Raises: InvariantViolated: the nonce of one of those was used by another program.
        """
        if transaction.nonce >= head.mined_nonces:
            self._left_out_since.pop(transaction.id, None)
            return None
        # Not at first sight: the node may have changed its mind between two questions.
        first = self._left_out_since.setdefault(transaction.id, head.block.number)
        if head.block.number <= first:
            return None
        log.warning("transaction.left_out", kind=transaction.kind, nonce=transaction.nonce, tx_hash=transaction.tx_hash)
        if transaction.kind == "settle":
            return Standing(TransactionState.REPLACED)
        if not await self._has_effect(transaction, deployment):
            raise InvariantViolated(f"nonce {transaction.nonce} of a {transaction.kind} was used outside this bridge")
        return Standing(TransactionState.MINED, Inclusion(head.block, succeeded=True, gas_used=0))

    async def _has_effect(self, transaction: Tracked, deployment: Deployment) -> bool:
        """Say whether the chain shows what this deployment step was for."""
        if transaction.kind == "deploy_token":
            return await self._chain.has_code(deployment.token_address)
        if transaction.kind == "deploy_settlement":
            return await self._chain.has_code(deployment.settlement_address)
        [supply] = await self._chain.views(deployment.token_address, [self._calls.token_supply()])
        return int.from_bytes(supply, "big") == deployment.treasury_amount

    async def _apply(self, changes: Sequence[Change], deployment: Deployment, head: Head) -> bool:
        """Record the changes and tell of them, in one commit; say whether any was recorded."""
        refusals = await self._ask_why(changes, deployment)
        now = self._runtime.now()
        async with self._units.begin() as unit:
            recorded = await unit.store.record_standings(changes, now)
            by_id = {transaction.id: (transaction, standing) for transaction, standing in recorded}
            assigned = await unit.store.assigned([transaction for transaction, _ in recorded])
            for settlement in assigned:
                self._tell(unit, settlement, *by_id[settlement.transaction_id], now)
            void = [(item, *by_id[item.transaction_id]) for item in assigned]
            await self._release(unit, [entry for entry in void if _is_void(entry[2])], refusals, now)
            if any(standing.state is TransactionState.REPLACED for _, standing in recorded):
                await unit.store.skip_nonces(head.mined_nonces)
            if any(is_reorged(transaction.standing, standing) for transaction, standing in recorded):
                # A node that took blocks back may have forgotten what waits in its pool, too.
                await unit.store.hurry(now)
            self._tell_deposits(unit, recorded, deployment, now)
            self._runtime.crash_point("chain_bridge.before_watch_recorded")
        self._runtime.crash_point("chain_bridge.after_watch_recorded")
        for transaction, standing in recorded:
            self._count(transaction, standing)
        return bool(recorded)

    def _tell(self, unit: Unit, settlement: Assigned, transaction: Tracked, standing: Standing, now: datetime) -> None:
        """Publish what a transaction's change means for one settlement in it."""
        before = transaction.standing
        if not transaction.submitted and standing.inclusion is not None:
            unit.publish(self._facts.submitted(settlement, transaction, now))
        if is_reorged(before, standing) and before.inclusion is not None and not _is_void(before):
            confirmed = before.state is TransactionState.CONFIRMED
            unit.publish(self._facts.reorged(settlement, transaction, before.inclusion.block, confirmed, now))
        if standing.state is TransactionState.CONFIRMED and standing.inclusion is not None:
            unit.publish(self._facts.confirmed(settlement, transaction, standing.inclusion.block, now))

    def _tell_deposits(
        self, unit: Unit, recorded: Sequence[tuple[Tracked, Standing]], deployment: Deployment, now: datetime
    ) -> None:
        for transaction, standing in recorded:
            if transaction.kind != "mint" or transaction.confirmed_before:
                continue  # the chain may take a deposit back and confirm it again: it is the same one, told once
            if standing.state is TransactionState.CONFIRMED and standing.inclusion is not None:
                event = self._facts.deposit_confirmed(deployment, transaction, standing.inclusion.block, now)
                if event is not None:
                    unit.publish(event)

    async def _ask_why(self, changes: Sequence[Change], deployment: Deployment) -> dict[UUID, str | None]:
        """Try each settlement of a batch that had no effect alone; return the contract's error by payment."""
        void = [transaction for transaction, standing, _ in changes if standing.state is TransactionState.REVERTED]
        if not void:
            return {}
        for transaction in void:
            if transaction.kind != "settle":
                raise InvariantViolated(f"the {transaction.kind} transaction {transaction.tx_hash} had no effect")
        async with self._units.begin() as unit:
            settlements_in_them = await unit.store.assigned(void)
        calls = [self._calls.settle_batch(item.transaction_id, [_alone(item)]) for item in settlements_in_them]
        contract = deployment.settlement_address
        reasons = await self._chain.refusals(self._sender, contract, calls)
        paid = await self._chain.views(contract, [self._calls.settled(item.payment_id) for item in settlements_in_them])
        return {
            # What an earlier transaction has paid is not refused, even where the contract takes no calls at all.
            item.payment_id: None if any(answer[:32]) and not settlements.is_permanent(reason) else reason
            for item, reason, answer in zip(settlements_in_them, reasons, paid, strict=True)
        }

    async def _release(
        self,
        unit: Unit,
        void: Sequence[tuple[Assigned, Tracked, Standing]],
        refusals: dict[UUID, str | None],
        now: datetime,
    ) -> None:
        """Take settlements out of transactions that had no effect: each is sent again, or given up."""
        again: list[tuple[UUID, datetime]] = []
        given_up: list[tuple[UUID, str, str]] = []
        # Where one settlement is known to be at fault, or none is as the transaction never ran, the rest go on at once.
        explained = {
            transaction.id
            for item, transaction, standing in void
            if standing.state is TransactionState.REPLACED or settlements.is_permanent(refusals.get(item.payment_id))
        }
        for item, transaction, _ in void:
            outcome = settlements.after_refusal(
                refusals.get(item.payment_id),
                submissions=item.submissions,
                explained=transaction.id in explained,
                now=now,
                deadline_at=item.deadline_at,
            )
            if isinstance(outcome, settlements.Fail):
                given_up.append((item.payment_id, outcome.code, outcome.detail))
                unit.publish(self._facts.failed(item, transaction.reorgs, outcome.code, outcome.detail, now))
                log.error("settlement.failed", payment_id=str(item.payment_id), code=outcome.code)
            else:
                again.append((item.payment_id, outcome.due_at))
        if given_up:
            await unit.store.fail([g[0] for g in given_up], [g[1] for g in given_up], [g[2] for g in given_up])
        if again:
            await unit.store.send_again([a[0] for a in again], [a[1] for a in again])

    def _count(self, transaction: Tracked, standing: Standing) -> None:
        payments = len(transaction.payment_ids)
        if standing.state is TransactionState.CONFIRMED:
            self._metrics.confirmed.inc(payments)
            if standing.inclusion is not None:
                self._metrics.gas.inc(standing.inclusion.gas_used)
        if _is_void(standing):
            self._metrics.reverted.inc()
        if is_reorged(transaction.standing, standing):
            self._metrics.reorged.inc(payments)
            log.warning("transaction.reorged", tx_hash=transaction.tx_hash, was=transaction.standing.state)


def _block_numbers(transactions: Sequence[Tracked]) -> list[int]:
    inclusions = (transaction.standing.inclusion for transaction in transactions)
    return sorted({inclusion.block.number for inclusion in inclusions if inclusion is not None})


def _displaced(transaction: Tracked, head: Head) -> bool:
    """Say whether the block that held it is no longer in the chain."""
    inclusion = transaction.standing.inclusion
    return inclusion is not None and head.hashes[inclusion.block.number] != inclusion.block.hash


def _may_have_moved(transaction: Tracked, head: Head) -> bool:
    """Say whether its place must be asked for: its block is gone, or its nonce is used and it was in no block."""
    if transaction.standing.inclusion is not None:
        return _displaced(transaction, head)
    return transaction.nonce < head.mined_nonces


def _is_void(standing: Standing) -> bool:
    """Say whether it can have no effect any more."""
    return standing.state in (TransactionState.REVERTED, TransactionState.REPLACED)


def _alone(item: Assigned) -> Waiting:
    return Waiting(item.payment_id, item.payee_address, item.token_amount, item.submissions, item.deadline_at)
