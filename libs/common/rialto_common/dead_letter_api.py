"""Each service's own dead letters over HTTP, for operators (`rialto dlq`); needs a service token of the operator."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel

from rialto_common.bus.port import Transaction, UnitOfWork
from rialto_common.errors import Forbidden, NotFound, Unauthenticated
from rialto_common.service_tokens import Caller, ServiceTokens


class ReplayRequest(BaseModel):
    """Which keys to replay: one group's or all, one key or all."""

    group: str | None = None
    key: str | None = None


def bearer(authorization: str | None) -> str:
    """Return the token of an Authorization header.

    Raises: Unauthenticated: there is none.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("send the header Authorization: Bearer <key>")
    return token


def operator_only(tokens: ServiceTokens, audience: str) -> Any:
    """Return the dependency that lets only the platform's operator in."""

    async def check(authorization: Annotated[str | None, Header()] = None) -> Caller:
        caller = tokens.check(bearer(authorization), audience=audience)
        if caller.merchant_id is not None:
            raise Forbidden("only the platform's operator may do this")
        return caller

    return Depends(check)


def dead_letter_router(unit_of_work: UnitOfWork[Transaction], tokens: ServiceTokens, service: str) -> APIRouter:
    """Return the routes to list, show and replay what this service has set aside."""
    router = APIRouter(prefix="/internal/dead_letters", dependencies=[operator_only(tokens, service)])

    @router.get("")
    async def list_keys() -> dict[str, Any]:
        """One row a parked key."""
        async with unit_of_work.begin() as transaction:
            return {"service": service, "data": await transaction.dead_letters.overview()}

    @router.get("/{group}/{key}")
    async def show_key(group: str, key: str) -> dict[str, Any]:
        """Everything parked under a key, in order."""
        async with unit_of_work.begin() as transaction:
            letters = await transaction.dead_letters.of_key(group, key)
        if not letters:
            raise NotFound(f"nothing is parked in {group} under {key}")
        return {
            "service": service,
            "group": group,
            "key": key,
            "events": [
                {
                    "event_id": str(letter.event.id),
                    "type": letter.event.type,
                    "source": letter.event.source,
                    "time": letter.event.time.isoformat(),
                    "error": letter.error,
                    "data": letter.event.data.decode(),
                }
                for letter in letters
            ],
        }

    @router.post("/replay", status_code=202)
    async def replay(request: ReplayRequest) -> dict[str, Any]:
        """Ask the consumer to handle parked keys again, each in order."""
        async with unit_of_work.begin() as transaction:
            keys = await transaction.dead_letters.request_replay(request.group, request.key)
        return {"service": service, "keys": keys}

    return router
