"""Makes the contracts and the treasury known: deploys them in test mode, or takes those that the settings name."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from rialto_chain_bridge.application.facts import deposit_id
from rialto_chain_bridge.application.ports import Calls, Chain, Signer, Units
from rialto_chain_bridge.application.records import Deployment, NewTransaction
from rialto_chain_bridge.domain import gas
from rialto_common.runtime import Runtime


@dataclass(frozen=True, slots=True)
class ContractPlan:
    """Which contracts to use. `treasury_amount` is None where they exist already and nothing is minted."""

    chain_id: int
    mode: str
    token: str
    token_decimals: int
    token_address: str | None
    settlement_address: str | None
    treasury_amount: int | None


class Deployer:
    """Records the deployment, once a chain; its transactions are sent and watched like all others."""

    def __init__(self, plan: ContractPlan, signer: Signer, calls: Calls, chain: Chain, runtime: Runtime) -> None:
        self._plan = plan
        self._signer = signer
        self._calls = calls
        self._chain = chain
        self._runtime = runtime

    async def ensure(self, units: Units, deadline: timedelta) -> Deployment:
        """Return the contracts in use; the first call on a chain makes them.

        Raises: ChainUnavailable: the node is asked for the operator's nonce on that first call.
        """
        async with units.begin() as unit:
            known = await unit.store.deployment()
        if known is not None:
            return known
        first_nonce = await self._chain.next_nonce(self._signer.address)
        self._runtime.crash_point("chain_bridge.before_deployment_recorded")
        async with units.begin() as unit:
            nonce = await unit.store.lock_sender(self._signer.address, first_nonce)
            now = self._runtime.now()
            deployment, transactions = self._sign(nonce, now, now + deadline)
            if not await unit.store.save_deployment(deployment):
                saved = await unit.store.deployment()
                return deployment if saved is None else saved
            await unit.store.save_transactions(transactions, nonce + len(transactions))
        self._runtime.crash_point("chain_bridge.after_deployment_recorded")
        return deployment

    def _sign(self, nonce: int, now: datetime, deadline_at: datetime) -> tuple[Deployment, list[NewTransaction]]:
        """Return the contracts' addresses and the transactions that make them, from this nonce on."""
        plan, owner = self._plan, self._signer.address
        token_address = plan.token_address or self._calls.created_address(owner, nonce)
        settlement_address = plan.settlement_address or self._calls.created_address(owner, nonce + 1)
        root = self._runtime.ids.mint()
        minted = plan.treasury_amount is not None
        deployment = Deployment(
            chain_id=plan.chain_id,
            operator_address=owner,
            token=plan.token,
            token_decimals=plan.token_decimals,
            token_address=token_address.lower(),
            settlement_address=settlement_address.lower(),
            mode=plan.mode,
            treasury_amount=plan.treasury_amount,
            deposit_id=deposit_id(root) if minted else None,
            created_at=now,
        )
        if plan.treasury_amount is None:
            return deployment, []
        steps = [
            ("deploy_token", None, self._calls.create_token(plan.token, owner), gas.DEPLOYMENT),
            ("deploy_settlement", None, self._calls.create_settlement(token_address, owner), gas.DEPLOYMENT),
            ("mint", token_address, self._calls.mint(settlement_address, plan.treasury_amount), gas.MINT),
        ]
        transactions = []
        for offset, (kind, to, data, limit) in enumerate(steps):
            signed = self._signer.sign(nonce=nonce + offset, to=to, data=data, gas=limit)
            transaction_id: UUID = self._runtime.ids.mint()
            transactions.append(
                NewTransaction(transaction_id, nonce + offset, kind, signed.tx_hash, signed.raw, (), now, deadline_at)
            )
        return deployment, transactions
