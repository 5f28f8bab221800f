"""The service's own API: the contracts in use, and a payment's settlement."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel

from rialto_chain_bridge.adapters.contracts import checksummed
from rialto_chain_bridge.adapters.postgres import PostgresStore
from rialto_chain_bridge.application.records import SettlementView
from rialto_chain_bridge.domain.errors import NotDeployed, SettlementNotFound
from rialto_common import ids
from rialto_common.errors import Unauthenticated
from rialto_common.events.common import BatchId, MerchantId, PaymentId, SettlementId
from rialto_common.service_tokens import Caller, ServiceTokens

AUDIENCE = "chain-bridge"

OpenStore = Callable[[], AbstractAsyncContextManager[PostgresStore]]


class DeploymentBody(BaseModel):
    """The contracts in use; addresses with their checksum, the treasury in the token's smallest unit."""

    chain_id: int
    mode: str
    token: str
    token_decimals: int
    token_address: str
    settlement_address: str
    operator_address: str
    treasury_amount: str | None


class SettlementBody(BaseModel):
    """A payment's settlement: `state` is requested, submitted, confirmed or failed."""

    payment_id: PaymentId
    settlement_id: SettlementId
    merchant_id: MerchantId
    mode: str
    amount_minor: str
    currency: str
    payee_address: str
    token_amount: str | None
    state: str
    failure_code: str | None
    failure_detail: str | None
    chain_id: int
    batch_id: BatchId | None
    tx_hash: str | None
    block_number: int | None
    block_hash: str | None
    reorgs: int
    requested_at: datetime
    submitted_at: datetime | None
    confirmed_at: datetime | None
    deadline_at: datetime


def router(open_store: OpenStore, tokens: ServiceTokens) -> APIRouter:
    """Return the routes. `open_store` lends a connection for one request."""
    routes = APIRouter(prefix="/v1")

    async def lent_store() -> AsyncIterator[PostgresStore]:
        async with open_store() as opened:
            yield opened

    async def authenticated(authorization: Annotated[str | None, Header()] = None) -> Caller:
        if authorization is None or not authorization.startswith("Bearer "):
            raise Unauthenticated("send a service token as `Authorization: Bearer …`")
        return tokens.check(authorization.removeprefix("Bearer "), audience=AUDIENCE)

    @routes.get("/deployment")
    async def get_deployment(store: Annotated[PostgresStore, Depends(lent_store)]) -> DeploymentBody:
        """Return the contracts in use: public facts of the chain, so anyone may ask."""
        deployment = await store.deployment()
        if deployment is None:
            raise NotDeployed("the contracts are not deployed yet: is the EVM node up?")
        treasury = deployment.treasury_amount
        return DeploymentBody(
            chain_id=deployment.chain_id,
            mode=deployment.mode,
            token=deployment.token,
            token_decimals=deployment.token_decimals,
            token_address=checksummed(deployment.token_address),
            settlement_address=checksummed(deployment.settlement_address),
            operator_address=checksummed(deployment.operator_address),
            treasury_amount=None if treasury is None else str(treasury),
        )

    @routes.get("/settlements/{payment_id}")
    async def get_settlement(
        payment_id: str,
        caller: Annotated[Caller, Depends(authenticated)],
        store: Annotated[PostgresStore, Depends(lent_store)],
    ) -> SettlementBody:
        """Return a payment's settlement; a merchant's token reaches that merchant's only."""
        wanted: UUID = ids.from_text("pay", payment_id)
        settlement = await store.settlement(wanted)
        if settlement is None or not may_see(caller, settlement):
            raise SettlementNotFound(f"payment {payment_id} has no settlement here")
        return _body(settlement)

    return routes


def may_see(caller: Caller, settlement: SettlementView) -> bool:
    """Say whether a caller may know of this settlement: the operator always, a merchant of its own in its mode."""
    owner = (settlement.merchant_id, settlement.mode)
    return caller.merchant_id is None or (caller.merchant_id, caller.mode) == owner


def _body(settlement: SettlementView) -> SettlementBody:
    fields = {name: getattr(settlement, name) for name in SettlementBody.model_fields}
    amount = settlement.token_amount
    texts = {
        "amount_minor": str(settlement.amount_minor),
        "token_amount": None if amount is None else str(amount),
        # Kept from before a reorganisation until the next confirmation.
        "confirmed_at": settlement.confirmed_at if settlement.state == "confirmed" else None,
    }
    return SettlementBody(**{**fields, **texts})
