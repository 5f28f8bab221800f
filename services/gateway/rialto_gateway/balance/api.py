"""`/v1/balance`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from rialto_gateway.answers import json_answer
from rialto_gateway.balance.balance import Balance
from rialto_gateway.balance.reader import Balances
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.requests import caller_of


def balance_router(balances: Balances, keys: ApiKeys) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/balance", tags=["balance"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    @router.get("")
    async def get_balance(caller: Caller) -> Response:
        """Return what is owed to the merchant, a currency each: available, on its way, or set aside.

        `reserved_minor` is what is held back of captures for a time, and what is set aside while it is disputed. The
        balance transactions of `payable` add up to `available_minor`, `pending_minor` and `held_back_minor`, those of
        `reserve` to `disputed_minor`.
        """
        merchant_id, mode, _ = caller.merchant()
        data = [balance_view(each) for each in await balances.of(merchant_id, mode)]
        return json_answer({"object": "balance", "mode": mode, "data": data})

    return router


def balance_view(balance: Balance) -> dict[str, Any]:
    """Return a currency's balance as the API shows it."""
    return {
        "currency": balance.currency,
        "available_minor": str(balance.available_minor),
        "pending_minor": str(balance.pending_minor),
        "reserved_minor": str(balance.reserved_minor),
        "held_back_minor": str(balance.held_back_minor),
        "disputed_minor": str(balance.disputed_minor),
        "total_minor": str(balance.total_minor),
    }
