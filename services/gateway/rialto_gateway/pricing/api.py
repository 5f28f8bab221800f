"""`/v1/pricing` for a merchant, `/v1/merchants/{id}/pricing` for the operator."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, WithJsonSchema, field_validator, model_validator

from rialto_common import ids
from rialto_common.bus.port import UnitOfWork
from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.database import Pool
from rialto_common.events.envelope import MinorUnitsOrZero
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_gateway.answers import json_answer
from rialto_gateway.merchants.api import MerchantNotFound
from rialto_gateway.merchants.audit import AuditLog
from rialto_gateway.merchants.keys import QUERIES, ApiKeys, Mode, Principal
from rialto_gateway.payments.bodies import known_currency
from rialto_gateway.pricing.price import WHOLE_BPS, Method, Price, Rate
from rialto_gateway.pricing.store import PostgresFees, PostgresPricing
from rialto_gateway.pricing.view import pricing_view
from rialto_gateway.requests import Body, caller_of

EXAMPLE = {"prices": [{"method": "card", "currency": "USD", "bps": 290, "fixed_minor": "30"}, {"bps": 50}]}
_AMOUNTS = [{"type": "string", "pattern": "^[0-9]+$", "maxLength": 38}, {"type": "integer", "minimum": 0}]
FixedMinor = Annotated[
    MinorUnitsOrZero, WithJsonSchema({"anyOf": _AMOUNTS, "description": "once a payment, with its first capture"})
]


class PriceOf(Body):
    """What payments by a method and in a currency cost; where one is left out, by any, or in any."""

    method: Method | None = None
    currency: Annotated[str | None, Field(max_length=12, description="ISO 4217 code", examples=["USD"])] = None
    bps: Annotated[int, Field(ge=0, le=WHOLE_BPS, description="of what is captured, in 1/100 %")] = 0
    fixed_minor: FixedMinor = 0

    @field_validator("currency")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return None if value is None else known_currency(value)

    @model_validator(mode="after")
    def _whole(self) -> "PriceOf":
        if self.fixed_minor > 0 and self.currency is None:
            raise ValueError("a fixed part is in minor units of one currency: name it")
        return self


class SetPricing(Body):
    """All prices of a merchant, in the place of those before; none: its payments cost nothing."""

    prices: Annotated[list[PriceOf], Field(max_length=100)]

    @model_validator(mode="after")
    def _each_once(self) -> "SetPricing":
        if len({(each.method, each.currency) for each in self.prices}) < len(self.prices):
            raise ValueError("there are two prices for one method and currency")
        return self


def pricing_router(
    *, unit_of_work: UnitOfWork[PostgresTransaction], pool: Pool, keys: ApiKeys, runtime: Runtime
) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1", tags=["fees"])
    audit, reader = AuditLog(runtime), PostgresFees(pool)
    Caller = Annotated[Principal, Depends(caller_of(keys))]
    ModeOf = Annotated[Mode, Query(description="whose payments: those of test or of live mode")]

    async def known(merchant_id: str) -> UUID:
        wanted = ids.from_text("mer", merchant_id)
        if await pool.fetchrow(QUERIES["get_merchant"], wanted) is None:
            raise MerchantNotFound(f"there is no merchant {merchant_id} for this key")
        return wanted

    @router.get("/pricing")
    async def get_pricing(caller: Caller) -> Response:
        """Say what the merchant pays for the payments that are accepted from now on; see `fees` of each payment."""
        merchant_id, mode, _ = caller.merchant()
        return json_answer(pricing_view(merchant_id, mode, await reader.prices(merchant_id, mode)))

    @router.get("/merchants/{merchant_id}/pricing")
    async def get_pricing_of_merchant(merchant_id: str, caller: Caller, mode: ModeOf) -> Response:
        """Say what a merchant pays; the operator only."""
        caller.require_operator()
        wanted = await known(merchant_id)
        return json_answer(pricing_view(wanted, mode, await reader.prices(wanted, mode)))

    @router.put("/merchants/{merchant_id}/pricing", openapi_extra=documented_body(SetPricing, EXAMPLE))
    async def set_pricing_of_merchant(merchant_id: str, request: Request, caller: Caller, mode: ModeOf) -> Response:
        """Set what a merchant pays, all of it; the operator only.

        It holds for payments that are accepted from now on: each is charged by the price that was in force then, the
        one that names most of its method and currency.
        """
        caller.require_operator()
        body = read_body(SetPricing, await request.body())
        wanted = await known(merchant_id)
        prices = [Price(Rate(each.bps, each.fixed_minor), each.method, each.currency) for each in body.prices]
        async with unit_of_work.begin() as transaction:
            table = PostgresPricing(transaction.connection)
            await table.lock()
            if set(prices) != set(await table.prices(wanted, mode)):
                await table.set_prices(wanted, mode, prices, runtime.now())
                await audit.write(
                    transaction.connection, caller, "pricing.changed", merchant_id, merchant_id=wanted, mode=mode
                )
            after = await table.prices(wanted, mode)
        return json_answer(pricing_view(wanted, mode, after))

    return router
