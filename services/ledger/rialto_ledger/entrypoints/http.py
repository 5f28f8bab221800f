"""The ledger's API for the gateway and the operator: wallets, test top-ups, balances and entries.

Every request carries a service token (audience `ledger`), which names the caller, its merchant and the mode. A
merchant's token reaches that merchant's accounts and, as it may charge them, the platform's wallets; the operator's
reaches all of the mode.
"""

from typing import Annotated, Protocol
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response

from rialto_common import ids
from rialto_common.dead_letter_api import bearer
from rialto_common.errors import InvariantViolated, NotFound
from rialto_common.money import currency_exponent
from rialto_common.runtime import Runtime
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.application.ports import Reader
from rialto_ledger.application.poster import Answer
from rialto_ledger.domain import chart, posting_rules
from rialto_ledger.domain.account import Account, Mode
from rialto_ledger.domain.commands import Command, OpenAccount, PostEntry
from rialto_ledger.domain.errors import AccountNotFound, ModeNotAllowed, TopUpInLiveMode
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.domain.outcomes import EntryPosted, OutcomeStatus
from rialto_ledger.entrypoints.bodies import (
    AccountBody,
    AccountsBody,
    EntriesBody,
    EntryBody,
    NewAccount,
    NewEntry,
    TopUpBody,
    read_id,
)

AUDIENCE = "ledger"


class Posts(Protocol):
    """Posts single commands, durable before it answers."""

    async def post(self, command: Command) -> Answer:
        """Return what the command came to."""
        ...


class Desk:
    """Does what the routes ask, for one caller at a time."""

    def __init__(self, poster: Posts, reader: Reader, runtime: Runtime) -> None:
        self._poster = poster
        self._reader = reader
        self._runtime = runtime

    async def open_wallet(self, body: NewAccount, caller: Caller) -> tuple[AccountBody, bool]:
        """Return the wallet's account and whether it is new. Raises: ModeNotAllowed, AccountNotFound, LedgerError."""
        currency_exponent(body.currency)
        mode, merchant_id = body.mode or mode_of(caller), body.merchant_id or caller.merchant_id
        if mode != caller.mode:
            raise ModeNotAllowed(mode, caller.mode)
        if caller.merchant_id not in (None, merchant_id):
            raise AccountNotFound(body.id)
        answer = await self._post(OpenAccount(chart.wallet(body.id, body.currency, merchant_id, mode)))
        is_new = answer.outcome.status is OutcomeStatus.APPLIED
        return AccountBody.of(answer.posted.account_after(body.id)), is_new

    async def top_up(self, body: NewEntry, caller: Caller) -> tuple[TopUpBody, bool]:
        """Return the entry, the wallet's balances, and whether it is new. Raises: TopUpInLiveMode, LedgerError."""
        currency_exponent(body.currency)
        if caller.mode != "test":
            raise TopUpInLiveMode
        acquirer = chart.test_acquirer(body.currency)
        command = PostEntry(
            entry_id=body.id,
            kind=body.kind,
            about=body.wallet_id,
            mode="test",
            shard=ids.shard_of(body.wallet_id),
            merchant_id=caller.merchant_id,
            postings=posting_rules.top_up(body.wallet_id, acquirer, body.amount_minor),
            opens=(acquirer,),
            effective_at=self._runtime.now(),
            metadata=body.metadata,
        )
        answer = await self._post(command)
        result = answer.outcome.result
        if not isinstance(result, EntryPosted):
            raise InvariantViolated(f"posting {command.entry_id} came to {result}")
        wallet = answer.posted.account_after(body.wallet_id)
        codes = {acquirer.id: acquirer.code, body.wallet_id: wallet.spec.code}
        return TopUpBody.after(result.entry, codes, wallet), answer.outcome.status is OutcomeStatus.APPLIED

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

    async def entry(self, entry_id: UUID, caller: Caller) -> EntryBody:
        """Return an entry that the caller may see. Raises: NotFound."""
        entry = await self._reader.entry(entry_id)
        if entry is None or not may_see_entry(caller, entry):
            raise NotFound(f"no entry {entry_id} here")
        return EntryBody.of(entry, await self._codes([entry]))

    async def entries_of_payment(self, payment_id: UUID, caller: Caller) -> EntriesBody:
        """Return the payment's entries that the caller may see."""
        found = [e for e in await self._reader.entries_of_payment(payment_id) if may_see_entry(caller, e)]
        codes = await self._codes(found)
        return EntriesBody(data=[EntryBody.of(entry, codes) for entry in found])

    async def _codes(self, entries: list[JournalEntry]) -> dict[UUID, str]:
        return await self._reader.codes({posting.account_id for entry in entries for posting in entry.postings})

    async def _post(self, command: Command) -> Answer:
        answer = await self._poster.post(command)
        if answer.outcome.error is not None:
            raise answer.outcome.error
        return answer


def mode_of(caller: Caller) -> Mode:
    """Return the caller's mode."""
    return "live" if caller.mode == "live" else "test"


def may_see_account(caller: Caller, account: Account) -> bool:
    """Whether the caller may read an account: the operator any of the mode, a merchant what it may charge or owns."""
    if account.spec.mode != caller.mode:
        return False
    if caller.merchant_id is None or account.spec.merchant_id == caller.merchant_id:
        return True
    return account.spec.merchant_id is None and chart.is_wallet(account.spec)


def may_see_entry(caller: Caller, entry: JournalEntry) -> bool:
    """Whether the caller may read an entry: the operator any of the mode, a merchant its own."""
    return entry.mode == caller.mode and caller.merchant_id in (None, entry.merchant_id)


def router(desk: Desk, tokens: ServiceTokens) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/v1")

    async def authenticate(authorization: Annotated[str | None, Header()] = None) -> Caller:
        return tokens.check(bearer(authorization), audience=AUDIENCE)

    Authenticated = Annotated[Caller, Depends(authenticate)]

    @routes.post("/accounts", status_code=201, responses={200: {"model": AccountBody}})
    async def open_account(body: NewAccount, caller: Authenticated, response: Response) -> AccountBody:
        """Open a wallet; 201 when it is new, 200 when it was open already with the same content."""
        account, is_new = await desk.open_wallet(body, caller)
        response.status_code = 201 if is_new else 200
        return account

    @routes.get("/accounts")
    async def list_accounts(code: Annotated[str, Query(max_length=120)], caller: Authenticated) -> AccountsBody:
        """Return the accounts of a code, one a currency."""
        return await desk.accounts(code, caller)

    @routes.get("/accounts/{account_id}")
    async def get_account(account_id: str, caller: Authenticated) -> AccountBody:
        """Return an account with its balances; a wallet's also by its wallet id."""
        return await desk.account(read_id(account_id, "acc", "wal"), caller)

    @routes.post("/journal_entries", status_code=201, responses={200: {"model": TopUpBody}})
    async def post_entry(body: NewEntry, caller: Authenticated, response: Response) -> TopUpBody:
        """Top up a wallet in test mode; 201 when posted now, 200 when it was posted before."""
        entry, is_new = await desk.top_up(body, caller)
        response.status_code = 201 if is_new else 200
        return entry

    @routes.get("/journal_entries/{entry_id}")
    async def get_entry(entry_id: str, caller: Authenticated) -> EntryBody:
        """Return an entry."""
        return await desk.entry(read_id(entry_id, "je"), caller)

    @routes.get("/payments/{payment_id}/entries")
    async def get_payment_entries(payment_id: str, caller: Authenticated) -> EntriesBody:
        """Return a payment's entries, oldest first."""
        return await desk.entries_of_payment(read_id(payment_id, "pay"), caller)

    return routes
