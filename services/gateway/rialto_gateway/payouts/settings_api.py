"""`/v1/payout_settings` for a merchant, `/v1/merchants/{id}/payout_settings` for the operator."""

from dataclasses import replace
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, model_validator

from rialto_common import ids
from rialto_common.bus.port import UnitOfWork
from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.database import Pool
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_gateway.answers import json_answer
from rialto_gateway.merchants.api import MerchantNotFound
from rialto_gateway.merchants.audit import AuditLog
from rialto_gateway.merchants.keys import QUERIES, ApiKeys, Mode, Principal
from rialto_gateway.payments.view import time_text
from rialto_gateway.payouts.errors import ReserveNeedsWaiting
from rialto_gateway.payouts.ports import Settings
from rialto_gateway.payouts.service import PayoutService
from rialto_gateway.payouts.store import PostgresPayouts
from rialto_gateway.requests import Body, caller_of

EXAMPLE = {"schedule": "daily", "cut_off_hour": 17}


class ChangePayoutSettings(Body):
    """What is to change; what is left out stays."""

    schedule: Literal["immediate", "daily", "manual"] | None = None
    cut_off_hour: Annotated[int | None, Field(ge=0, le=23, description="UTC; when `daily` payouts are made")] = None
    reserve_bps: Annotated[
        int | None, Field(ge=0, le=10_000, description="of each capture held back, in 1/100 %; the operator's to set")
    ] = None
    reserve_days: Annotated[int | None, Field(ge=0, le=365, description="for how long; the operator's to set")] = None

    @model_validator(mode="after")
    def _whole(self) -> "ChangePayoutSettings":
        share, days = self.reserve_bps, self.reserve_days
        if (share is None) != (days is None) or (share == 0) != (days == 0):
            raise ValueError("reserve_bps and reserve_days are set together, both 0 for no reserve")
        return self


def payout_settings_router(
    *,
    payouts: PayoutService,
    unit_of_work: UnitOfWork[PostgresTransaction],
    pool: Pool,
    keys: ApiKeys,
    runtime: Runtime,
) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1", tags=["payouts"])
    audit = AuditLog(runtime)
    Caller = Annotated[Principal, Depends(caller_of(keys))]
    ModeOf = Annotated[Mode, Query(description="whose settings: those of test or of live mode")]

    async def change(request: Request, caller: Principal, merchant_id: UUID, mode: Mode) -> Response:
        body = read_body(ChangePayoutSettings, await request.body())
        if body.reserve_bps is not None:
            caller.require_operator()
        async with unit_of_work.begin() as transaction:
            table = PostgresPayouts(transaction.connection)
            before = await table.lock_settings(merchant_id, mode) or await payouts.settings(merchant_id, mode)
            terms = replace(before.terms, **body.model_dump(exclude_none=True))
            if terms.reserve_bps and terms.schedule == "immediate":
                raise ReserveNeedsWaiting("a reserve is held back of what waits for a payout: not under `immediate`")
            after = payouts.begun(before, terms) if terms != before.terms else before
            if after != before:
                await table.save_settings(after, runtime.now())
                target = ids.to_text("mer", merchant_id)
                await audit.write(
                    transaction.connection,
                    caller,
                    "payout_settings.changed",
                    target,
                    merchant_id=merchant_id,
                    mode=mode,
                )
        return json_answer(settings_view(after))

    async def known(merchant_id: str) -> UUID:
        wanted = ids.from_text("mer", merchant_id)
        if await pool.fetchrow(QUERIES["get_merchant"], wanted) is None:
            raise MerchantNotFound(f"there is no merchant {merchant_id} for this key")
        return wanted

    @router.get("/payout_settings")
    async def get_payout_settings(caller: Caller) -> Response:
        """Say when the merchant is paid."""
        merchant_id, mode, _ = caller.merchant()
        return json_answer(settings_view(await payouts.settings(merchant_id, mode)))

    @router.patch("/payout_settings", openapi_extra=documented_body(ChangePayoutSettings, EXAMPLE))
    async def change_payout_settings(request: Request, caller: Caller) -> Response:
        """Change when the merchant is paid: payments that are captured from now on; those that wait keep waiting.

        Under `immediate`, those that wait are paid out at once.
        """
        merchant_id, mode, _ = caller.merchant()
        return await change(request, caller, merchant_id, mode)

    @router.get("/merchants/{merchant_id}/payout_settings")
    async def get_payout_settings_of_merchant(merchant_id: str, caller: Caller, mode: ModeOf) -> Response:
        """Say when a merchant is paid; the operator only."""
        caller.require_operator()
        return json_answer(settings_view(await payouts.settings(await known(merchant_id), mode)))

    @router.patch(
        "/merchants/{merchant_id}/payout_settings", openapi_extra=documented_body(ChangePayoutSettings, EXAMPLE)
    )
    async def change_payout_settings_of_merchant(
        merchant_id: str, request: Request, caller: Caller, mode: ModeOf
    ) -> Response:
        """Change when a merchant is paid; the operator only."""
        caller.require_operator()
        return await change(request, caller, await known(merchant_id), mode)

    return router


def settings_view(settings: Settings) -> dict[str, Any]:
    """Return the settings as the API shows them."""
    return {
        "object": "payout_settings",
        "merchant_id": ids.to_text("mer", settings.merchant_id),
        "mode": settings.mode,
        "schedule": settings.terms.schedule,
        "cut_off_hour": settings.terms.cut_off_hour,
        "reserve_bps": settings.terms.reserve_bps,
        "reserve_days": settings.terms.reserve_days,
        "next_payout_at": time_text(settings.next_at),
    }
