"""The books as they were: balances as of an instant, statements, the trial balance."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field

from rialto_common.errors import CursorInvalid
from rialto_common.runtime import Runtime
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.application.books import BookReader
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.balance import available_balance
from rialto_ledger.domain.errors import AccountNotFound
from rialto_ledger.domain.statement import (
    BEGINNING,
    AsOf,
    Cursor,
    History,
    Page,
    Period,
    Statement,
    TrialLine,
    Turnover,
    page,
    total_of,
)
from rialto_ledger.entrypoints.access import authenticator, mode_of, require_operator, require_own
from rialto_ledger.entrypoints.bodies import AccountId, Balance, EntryId, PaymentId, read_id

MAX_LINES = 1000
"""Lines a page of a statement."""


def _instant(value: datetime) -> datetime:
    if not BEGINNING.year < value.year < 9999:
        raise ValueError("a year from 1971 to 9998")
    return value.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_instant)]


class HistoricalBalanceBody(BaseModel):
    """What was known at `recorded_at` about what had happened by `effective_at`; null is without limit.

    What was available is known for now only: the history of holds is not kept.
    """

    account_id: AccountId
    currency: str
    effective_at: datetime | None
    recorded_at: datetime | None
    ledger_balance_minor: Balance
    available_balance_minor: Balance | None
    debits_minor: Balance
    credits_minor: Balance


class StatementLineBody(BaseModel):
    """One posting, and the ledger balance after it."""

    entry_id: EntryId
    line: int
    kind: str
    payment_id: PaymentId | None
    effective_at: datetime
    recorded_at: datetime
    side: str
    amount_minor: Balance
    ledger_balance_minor: Balance


class StatementBody(BaseModel):
    """A page of a statement: `from` is within it, `to` is not. The last page's `next_cursor` is null."""

    account_id: AccountId
    currency: str
    normal_side: str
    start: datetime = Field(serialization_alias="from")
    end: datetime = Field(serialization_alias="to")
    opening_balance_minor: Balance
    closing_balance_minor: Balance
    data: list[StatementLineBody]
    next_cursor: str | None

    @classmethod
    def of(cls, account: Account, page: Page) -> "StatementBody":
        """Return the body of a page."""
        statement = page.statement
        return cls.model_construct(
            account_id=account.id,
            currency=account.spec.currency,
            normal_side=account.normal_side.value,
            start=statement.period.start,
            end=statement.period.end,
            opening_balance_minor=statement.opening_minor,
            closing_balance_minor=statement.closing_minor,
            data=[
                StatementLineBody.model_construct(
                    entry_id=line.position.entry_id,
                    line=line.position.line,
                    kind=line.kind,
                    payment_id=line.payment_id,
                    effective_at=line.effective_at,
                    recorded_at=line.position.recorded_at,
                    side=line.side.value,
                    amount_minor=line.amount_minor,
                    ledger_balance_minor=balance,
                )
                for line, balance in page.lines
            ],
            next_cursor=None if page.next is None else page.next.to_text(),
        )


class TrialLineBody(BaseModel):
    """All accounts of one code, whoever's they are; the balance is positive on the type's normal side."""

    account: str
    type: str
    debits_minor: Balance
    credits_minor: Balance
    ledger_balance_minor: Balance


class TrialCurrencyBody(BaseModel):
    """One currency; its debits and credits are equal, so `difference_minor` is 0 (I5)."""

    currency: str
    debits_minor: Balance
    credits_minor: Balance
    difference_minor: Balance
    accounts: list[TrialLineBody]

    @classmethod
    def of(cls, currency: str, lines: Sequence[TrialLine]) -> "TrialCurrencyBody":
        """Return the body of a currency's lines."""
        total = total_of(line.turnover for line in lines)
        return cls.model_construct(
            currency=currency,
            debits_minor=total.debits_minor,
            credits_minor=total.credits_minor,
            difference_minor=total.debits_minor - total.credits_minor,
            accounts=[
                TrialLineBody.model_construct(
                    account=line.account,
                    type=line.type.value,
                    debits_minor=line.turnover.debits_minor,
                    credits_minor=line.turnover.credits_minor,
                    ledger_balance_minor=line.ledger_balance_minor,
                )
                for line in lines
            ],
        )


class TrialBalanceBody(BaseModel):
    """All accounts of a mode as recorded by an instant; null is now."""

    mode: str
    recorded_at: datetime | None
    data: list[TrialCurrencyBody]


class BookDesk:
    """Does what the routes ask, for one caller at a time.

    An account's history is its owner's and the operator's: a platform's wallet, which any merchant may charge, would
    tell each of them what the others charged.
    """

    def __init__(self, reader: BookReader, runtime: Runtime) -> None:
        self._reader = reader
        self._runtime = runtime

    async def balance(self, account_id: UUID, as_of: AsOf, caller: Caller) -> HistoricalBalanceBody:
        """Return the balance of an account as of an instant. Raises: AccountNotFound, OperatorOnly, HistoryArchived."""
        account = await self._own(account_id, caller)
        (await self._history()).require(as_of.effective_at, as_of.recorded_at)
        is_now = as_of == AsOf()
        if is_now:
            turnover = Turnover(account.debits_minor, account.credits_minor)
        else:
            turnover = await self._reader.turnover(account_id, as_of, self._runtime.now())
        return HistoricalBalanceBody.model_construct(
            account_id=account_id,
            currency=account.spec.currency,
            effective_at=as_of.effective_at,
            recorded_at=as_of.recorded_at,
            ledger_balance_minor=turnover.balance(account.normal_side),
            available_balance_minor=available_balance(account) if is_now else None,
            debits_minor=turnover.debits_minor,
            credits_minor=turnover.credits_minor,
        )

    async def statement(
        self, account_id: UUID, start: datetime | None, end: datetime | None, limit: int, caller: Caller
    ) -> StatementBody:
        """Return a statement's first page. Raises: AccountNotFound, OperatorOnly, PeriodInvalid, HistoryArchived."""
        account = await self._own(account_id, caller)
        history = await self._history()
        history.require(start, end)
        side, now = account.normal_side, self._runtime.now()
        period = Period.over(start or history.whole_from, end, now)
        before, within, lines = await self._reader.opening(account_id, period, limit + 1, now)
        opening = before.balance(side)
        statement = Statement(account_id, period, opening, opening + within.balance(side))
        return StatementBody.of(account, page(Cursor.first(statement), lines, limit, side))

    async def next_page(self, account_id: UUID, after: str, limit: int, caller: Caller) -> StatementBody:
        """Return a statement's next page. Raises: AccountNotFound, OperatorOnly, CursorInvalid, StatementChanged."""
        account = await self._own(account_id, caller)
        cursor = Cursor.from_text(after, account_id)
        lines = await self._reader.lines(account_id, cursor.after, cursor.statement.period.end, limit + 1)
        return StatementBody.of(account, page(cursor, lines, limit, account.normal_side))

    async def trial_balance(self, recorded_at: datetime | None, caller: Caller) -> TrialBalanceBody:
        """Return the trial balance. Raises: OperatorOnly, HistoryArchived."""
        require_operator(caller)
        (await self._history()).require(recorded_at)
        lines = await self._reader.trial_balance(mode_of(caller), recorded_at, self._runtime.now())
        by_currency: Iterable[tuple[str, Iterable[TrialLine]]] = groupby(lines, key=lambda line: line.currency)
        return TrialBalanceBody.model_construct(
            mode=mode_of(caller),
            recorded_at=recorded_at,
            data=[TrialCurrencyBody.of(currency, list(of_currency)) for currency, of_currency in by_currency],
        )

    async def _history(self) -> History:
        return History(await self._reader.archived_until())

    async def _own(self, account_id: UUID, caller: Caller) -> Account:
        account = await self._reader.account(account_id)
        if account is None:
            raise AccountNotFound(account_id)
        require_own(caller, account)
        return account


def router(desk: BookDesk, tokens: ServiceTokens) -> APIRouter:
    """Return the routes of the books."""
    routes = APIRouter(prefix="/v1", tags=["books"])
    Authenticated = Annotated[Caller, Depends(authenticator(tokens))]

    @routes.get("/accounts/{account_id}/balance")
    async def get_balance(
        account_id: str,
        caller: Authenticated,
        effective_at: Instant | None = None,
        recorded_at: Instant | None = None,
    ) -> HistoricalBalanceBody:
        """Return what was known at `recorded_at` about what had happened by `effective_at`; left out: no limit."""
        return await desk.balance(read_id(account_id, "acc", "wal"), AsOf(effective_at, recorded_at), caller)

    @routes.get("/accounts/{account_id}/statement")
    async def get_statement(
        account_id: str,
        caller: Authenticated,
        start: Annotated[Instant | None, Query(alias="from")] = None,
        end: Annotated[Instant | None, Query(alias="to")] = None,
        after: Annotated[str | None, Query(max_length=1000)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LINES)] = 100,
    ) -> StatementBody:
        """Return what was recorded in [from, to), in the order of booking; `to` is cut to a minute ago.

        Further pages: `after` alone (and `limit`), as the cursor carries its period.
        """
        wanted = read_id(account_id, "acc", "wal")
        if after is None:
            return await desk.statement(wanted, start, end, limit, caller)
        if start is not None or end is not None:
            raise CursorInvalid("the cursor carries its period: leave out `from` and `to`", param="after")
        return await desk.next_page(wanted, after, limit, caller)

    @routes.get("/trial_balance")
    async def get_trial_balance(caller: Authenticated, recorded_at: Instant | None = None) -> TrialBalanceBody:
        """Return all accounts by code and currency, as recorded by an instant. The operator's."""
        return await desk.trial_balance(recorded_at, caller)

    return routes
