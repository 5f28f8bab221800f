"""Accounts: opened, read, frozen, opened again, closed."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from rialto_common import ids
from rialto_common.errors import InvariantViolated
from rialto_common.money import currency_exponent
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.application.ports import Reader
from rialto_ledger.domain import chart
from rialto_ledger.domain.account import AccountSpec, AccountStatus
from rialto_ledger.domain.commands import ChangeAccountStatus, OpenAccount
from rialto_ledger.domain.errors import AccountCodeCharted, AccountNotFound, ModeNotAllowed
from rialto_ledger.domain.identifier import Identifiers
from rialto_ledger.domain.outcomes import OutcomeStatus
from rialto_ledger.entrypoints.access import (
    Posts,
    authenticator,
    may_see_account,
    mode_of,
    post_one,
    require_operator,
    require_own,
)
from rialto_ledger.entrypoints.bodies import AccountBody, AccountsBody, Code, NewAccount, ReasonBody, read_id


class AccountDesk:
    """Does what the routes ask, for one caller at a time."""

    def __init__(self, poster: Posts, reader: Reader, identifiers: Identifiers | None) -> None:
        """`identifiers` gives wallets their numbers for the outside; None: they have none."""
        self._poster = poster
        self._reader = reader
        self._identifiers = identifiers

    async def open(self, body: NewAccount, caller: Caller) -> tuple[AccountBody, bool]:
        """Return the account and whether it is new.

        Raises: ModeNotAllowed, AccountNotFound: another's. OperatorOnly. AccountIdReused. AccountCodeCharted.
        UnknownCurrency.
        """
        spec = self._spec(body, caller)
        answer = await post_one(self._poster, OpenAccount(spec))
        is_new = answer.outcome.status is OutcomeStatus.APPLIED
        return AccountBody.of(answer.posted.account_after(spec.id)), is_new

    async def change_status(
        self, account_id: UUID, status: AccountStatus, body: ReasonBody, caller: Caller
    ) -> AccountBody:
        """Return the account with its new status.

        Raises: AccountNotFound, OperatorOnly, AccountNotEmpty, AccountClosed.
        """
        account = await self._reader.account(account_id)
        if account is None:
            raise AccountNotFound(account_id)
        require_own(caller, account)
        answer = await post_one(self._poster, ChangeAccountStatus(account_id, status, mode_of(caller), body.reason))
        return AccountBody.of(answer.posted.account_after(account_id))

    async def account(self, account_id: UUID, caller: Caller) -> AccountBody:
        """Return an account that the caller may see. Raises: AccountNotFound."""
        account = await self._reader.account(account_id)
        if account is None or not may_see_account(caller, account):
            raise AccountNotFound(account_id)
        return AccountBody.of(account)

    async def accounts(self, code: str, caller: Caller) -> AccountsBody:
        """Return the accounts of a code that the caller may see."""
        found = await self._reader.accounts_by_code(code, mode_of(caller))
        return AccountsBody(data=[AccountBody.of(account) for account in found if may_see_account(caller, account)])

    def _spec(self, body: NewAccount, caller: Caller) -> AccountSpec:
        currency_exponent(body.currency)
        mode, merchant_id = body.mode or mode_of(caller), body.merchant_id or caller.merchant_id
        if mode != caller.mode:
            raise ModeNotAllowed(mode, caller.mode)
        if caller.merchant_id not in (None, merchant_id):
            raise AccountNotFound(body.id or chart.account_id(mode, body.code or "", body.currency))
        if body.code is not None or body.minimum_available_minor is not None or body.maximum_balance_minor is not None:
            require_operator(caller)
        if body.code is not None and body.type is not None:
            opened_as = chart.account_id(mode, body.code, body.currency)
            spec = AccountSpec(
                id=opened_as,
                code=body.code,
                type=body.type,
                currency=body.currency,
                merchant_id=merchant_id,
                mode=mode,
                shard=ids.shard_of(opened_as if merchant_id is None else merchant_id),
                minimum_available_minor=None,
            )
        elif body.id is not None:
            identifier = None if self._identifiers is None else self._identifiers.of(body.id)
            spec = replace(chart.wallet(body.id, body.currency, merchant_id, mode), identifier=identifier)
        else:
            raise InvariantViolated("the body names neither a wallet nor a code")
        if body.minimum_available_minor is not None:
            spec = replace(spec, minimum_available_minor=body.minimum_available_minor)
        if chart.contradicts(spec):
            raise AccountCodeCharted(spec.code)
        return replace(spec, maximum_balance_minor=body.maximum_balance_minor, owner=body.owner, metadata=body.metadata)


def router(desk: AccountDesk, tokens: ServiceTokens) -> APIRouter:
    """Return the routes of accounts."""
    routes = APIRouter(prefix="/v1/accounts", tags=["accounts"])
    Authenticated = Annotated[Caller, Depends(authenticator(tokens))]

    @routes.post("", status_code=201, responses={200: {"model": AccountBody}})
    async def open_account(body: NewAccount, caller: Authenticated, response: Response) -> AccountBody:
        """Open an account; 201 when it is new, 200 when it was open already with the same content."""
        account, is_new = await desk.open(body, caller)
        response.status_code = 201 if is_new else 200
        return account

    @routes.get("")
    async def list_accounts(code: Annotated[Code, Query()], caller: Authenticated) -> AccountsBody:
        """Return the accounts of a code, one a currency."""
        return await desk.accounts(code, caller)

    @routes.get("/{account_id}")
    async def get_account(account_id: str, caller: Authenticated) -> AccountBody:
        """Return an account with its balances; a wallet's also by its wallet id."""
        return await desk.account(read_id(account_id, "acc", "wal"), caller)

    @routes.post("/{account_id}/freeze")
    async def freeze(account_id: str, body: ReasonBody, caller: Authenticated) -> AccountBody:
        """Take no new debits and holds; credits, captures of what is held, and releases go on."""
        return await desk.change_status(read_id(account_id, "acc", "wal"), AccountStatus.FROZEN, body, caller)

    @routes.post("/{account_id}/unfreeze")
    async def unfreeze(account_id: str, body: ReasonBody, caller: Authenticated) -> AccountBody:
        """Open a frozen account again."""
        return await desk.change_status(read_id(account_id, "acc", "wal"), AccountStatus.OPEN, body, caller)

    @routes.post("/{account_id}/close")
    async def close(account_id: str, body: ReasonBody, caller: Authenticated) -> AccountBody:
        """Close an account for good; nothing may be on it."""
        return await desk.change_status(read_id(account_id, "acc", "wal"), AccountStatus.CLOSED, body, caller)

    return routes
