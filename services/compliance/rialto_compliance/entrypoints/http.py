"""The service's own API, for the gateway and the operator; every request carries a service token."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel

from rialto_common import ids
from rialto_common.dead_letter_api import bearer
from rialto_common.events.common import MerchantId, Mode, PaymentId
from rialto_common.events.compliance import Hit, RuleOutcome
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_compliance.application.ports import KeptScreening, Lists, Screenings
from rialto_compliance.domain.errors import ScreeningNotFound
from rialto_compliance.domain.rules import Outcome

AUDIENCE = "compliance"


class ScreeningBody(BaseModel):
    """A payment's screening."""

    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode
    outcome: Outcome
    hits: list[Hit]
    rules: list[RuleOutcome]
    list_versions: dict[str, str]
    policy_version: str
    screened_at: datetime


class ListBody(BaseModel):
    """A list that is in force."""

    list_id: str
    version: str
    entities: int
    names: int
    loaded_at: datetime


class ListsBody(BaseModel):
    """All lists in force."""

    data: list[ListBody]


Store = tuple[Screenings, Lists]
OpenStore = Callable[[], AbstractAsyncContextManager[Store]]


def router(open_store: OpenStore, tokens: ServiceTokens) -> APIRouter:
    """Return the routes. `open_store` lends a connection for one request."""
    routes = APIRouter(prefix="/v1")

    async def store() -> AsyncIterator[Store]:
        async with open_store() as opened:
            yield opened

    async def caller(authorization: Annotated[str | None, Header()] = None) -> Caller:
        return tokens.check(bearer(authorization), audience=AUDIENCE)

    @routes.get("/screenings/{payment_id}", response_model=ScreeningBody)
    async def get_screening(
        payment_id: str, caller: Annotated[Caller, Depends(caller)], store: Annotated[Store, Depends(store)]
    ) -> dict[str, Any]:
        """Return a payment's verdict with its hits and rules; a merchant's token reaches that merchant's only."""
        screening = await store[0].find(ids.from_text("pay", payment_id))
        if screening is None or not may_see(caller, screening):
            raise ScreeningNotFound(f"payment {payment_id} has no screening here")
        return {name: getattr(screening, name) for name in ScreeningBody.model_fields}

    @routes.get("/lists", response_model=ListsBody, dependencies=[Depends(caller)])
    async def get_lists(store: Annotated[Store, Depends(store)]) -> dict[str, Any]:
        """Return the lists that are being asked, with their versions and sizes."""
        in_force = await store[1].in_force()
        return {"data": [{name: getattr(loaded, name) for name in ListBody.model_fields} for loaded in in_force]}

    return routes


def may_see(caller: Caller, screening: KeptScreening) -> bool:
    """Say whether a caller may know of this screening: the operator always, a merchant of its own in its mode."""
    return caller.merchant_id is None or (caller.merchant_id, caller.mode) == (screening.merchant_id, screening.mode)
