"""Holds placed by the API: they belong to no payment, and are told in no payment's history."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from rialto_common import ids
from rialto_common.errors import InvariantViolated
from rialto_common.runtime import Runtime
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.application.ports import Reader
from rialto_ledger.application.poster import Answer
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.commands import CaptureHold, ExtendHold, PlaceHold, VoidHold
from rialto_ledger.domain.errors import AccountNotFound, HoldNotFound
from rialto_ledger.domain.hold import Hold
from rialto_ledger.domain.outcomes import HoldCaptured, HoldExtended, HoldPlaced, HoldReleased, OutcomeStatus
from rialto_ledger.entrypoints.access import Posts, authenticator, may_see_account, may_see_hold, mode_of, post_one
from rialto_ledger.entrypoints.bodies import HoldBody, NewCapture, NewDeadline, NewHold, read_id


class HoldDesk:
    """Does what the routes ask, for one caller at a time."""

    def __init__(self, poster: Posts, reader: Reader, runtime: Runtime) -> None:
        self._poster = poster
        self._reader = reader
        self._runtime = runtime

    async def place(self, body: NewHold, caller: Caller) -> tuple[HoldBody, bool]:
        """Return the hold and whether it is new. Raises: AccountNotFound, HoldIdReused, LedgerError."""
        account = await self._account(body.account_id, caller)
        command = PlaceHold(
            payment_id=None,
            merchant_id=caller.merchant_id,
            mode=mode_of(caller),
            shard=account.spec.shard,
            hold_id=body.id,
            account_id=body.account_id,
            currency=body.currency,
            amount_minor=body.amount_minor,
            expires_at=body.expires_at,
        )
        answer = await post_one(self._poster, command)
        return _hold_of(answer), answer.outcome.status is OutcomeStatus.APPLIED

    async def capture(self, hold_id: UUID, body: NewCapture, caller: Caller) -> HoldBody:
        """Return the hold after a capture. Raises: HoldNotFound, AccountNotFound, CaptureAboveHold, LedgerError."""
        hold = await self._own(hold_id, caller)
        payee = await self._account(body.to_account_id, caller)
        command = CaptureHold(
            payment_id=None,
            merchant_id=hold.merchant_id,
            mode=hold.mode,
            shard=hold.shard,
            hold_id=hold_id,
            capture_id=ids.derive(body.id, "capture"),
            entry_id=body.id,
            payable=payee.spec,
            amount_minor=body.amount_minor,
            final=body.final,
            effective_at=self._runtime.now(),
        )
        return _hold_of(await post_one(self._poster, command))

    async def void(self, hold_id: UUID, caller: Caller) -> HoldBody:
        """Return the hold with what was left of it released. Raises: HoldNotFound."""
        hold = await self._own(hold_id, caller)
        command = VoidHold(None, hold.merchant_id, hold.mode, hold.shard, hold_id)
        return _hold_of(await post_one(self._poster, command))

    async def extend(self, hold_id: UUID, body: NewDeadline, caller: Caller) -> HoldBody:
        """Return the hold with its new deadline. Raises: HoldNotFound, HoldDeadlinePassed, LedgerError."""
        hold = await self._own(hold_id, caller)
        command = ExtendHold(None, hold.merchant_id, hold.mode, hold.shard, hold_id, body.expires_at)
        return _hold_of(await post_one(self._poster, command))

    async def hold(self, hold_id: UUID, caller: Caller) -> HoldBody:
        """Return a hold that the caller may see. Raises: HoldNotFound."""
        return HoldBody.of(await self._seen(hold_id, caller))

    async def _seen(self, hold_id: UUID, caller: Caller) -> Hold:
        hold = await self._reader.hold(hold_id)
        if hold is None or not may_see_hold(caller, hold):
            raise HoldNotFound(hold_id)
        return hold

    async def _own(self, hold_id: UUID, caller: Caller) -> Hold:
        """Return a hold that the API placed: those of payments change through the payment alone."""
        hold = await self._seen(hold_id, caller)
        if hold.payment_id is not None:
            raise HoldNotFound(hold_id)
        return hold

    async def _account(self, account_id: UUID, caller: Caller) -> Account:
        account = await self._reader.account(account_id)
        if account is None or not may_see_account(caller, account):
            raise AccountNotFound(account_id)
        return account


def _hold_of(answer: Answer) -> HoldBody:
    """Return the hold as the command left it, or found it."""
    result = answer.outcome.result
    if not isinstance(result, HoldPlaced | HoldCaptured | HoldReleased | HoldExtended):
        raise InvariantViolated(f"a hold's command came to {result}")
    return HoldBody.of(result.hold)


def router(desk: HoldDesk, tokens: ServiceTokens) -> APIRouter:
    """Return the routes of holds."""
    routes = APIRouter(prefix="/v1/holds", tags=["holds"])
    Authenticated = Annotated[Caller, Depends(authenticator(tokens))]

    @routes.post("", status_code=201, responses={200: {"model": HoldBody}})
    async def place_hold(body: NewHold, caller: Authenticated, response: Response) -> HoldBody:
        """Reserve an amount; 201 when it is new, 200 when it was placed before with the same content."""
        hold, is_new = await desk.place(body, caller)
        response.status_code = 201 if is_new else 200
        return hold

    @routes.get("/{hold_id}")
    async def get_hold(hold_id: str, caller: Authenticated) -> HoldBody:
        """Return a hold, a payment's too."""
        return await desk.hold(read_id(hold_id, "hold"), caller)

    @routes.post("/{hold_id}/capture")
    async def capture_hold(hold_id: str, body: NewCapture, caller: Authenticated) -> HoldBody:
        """Book all or part of it, several times if need be; `final` releases the rest."""
        return await desk.capture(read_id(hold_id, "hold"), body, caller)

    @routes.post("/{hold_id}/void")
    async def void_hold(hold_id: str, caller: Authenticated) -> HoldBody:
        """Release what is left of it; doing so again changes nothing."""
        return await desk.void(read_id(hold_id, "hold"), caller)

    @routes.post("/{hold_id}/extend")
    async def extend_hold(hold_id: str, body: NewDeadline, caller: Authenticated) -> HoldBody:
        """Give it another deadline."""
        return await desk.extend(read_id(hold_id, "hold"), body, caller)

    return routes
