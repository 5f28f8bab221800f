"""The FX routes: rates, quotes that are held for a time, conversions that use them once, and what dealing has brought.

Tokens as in `http.py`. A merchant sees and uses its own quotes, between accounts of its own; the operator all of the
mode. The positions are the platform's: the operator's alone.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response

from rialto_common.dead_letter_api import bearer
from rialto_common.errors import Forbidden, InvariantViolated
from rialto_common.money import currency_exponent
from rialto_common.runtime import Runtime
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.application.ports import Reader
from rialto_ledger.application.quotes import FxBook
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.errors import AccountNotFound
from rialto_ledger.domain.fx import (
    EURO,
    Ask,
    Quote,
    Rate,
    Terms,
    check_convertible,
    conversion,
    make_quote,
    rate_between,
)
from rialto_ledger.domain.fx_errors import QuoteNotFound, RateNotFound
from rialto_ledger.domain.fx_positions import Positions, book
from rialto_ledger.domain.outcomes import EntryPosted, OutcomeStatus
from rialto_ledger.entrypoints.access import AUDIENCE, Posts, mode_of
from rialto_ledger.entrypoints.bodies import Currency, EntryBody, read_id
from rialto_ledger.entrypoints.fx_bodies import (
    NewConversion,
    NewQuote,
    PositionBody,
    PositionsBody,
    QuoteBody,
    RateBody,
)


class FxDesk:
    """Does what the routes ask, for one caller at a time."""

    def __init__(self, poster: Posts, reader: Reader, fx: FxBook, terms: Terms, runtime: Runtime) -> None:
        """`poster` posts to books that are joined to the uses of quotes (`ClaimingLedger`)."""
        self._poster = poster
        self._reader = reader
        self._fx = fx
        self._terms = terms
        self._runtime = runtime

    async def rate(self, base: str, quote: str) -> RateBody:
        """Return the newest rate of two currencies. Raises: UnknownCurrency, SameCurrency, RateNotFound."""
        found = await self._rate(base, quote)
        return RateBody.of(found, self._runtime.now(), self._terms.stale_after)

    async def quote(self, body: NewQuote, caller: Caller) -> QuoteBody:
        """Return a price, and hold it. Raises: UnknownCurrency, FxError."""
        rate = await self._rate(body.sell_currency, body.buy_currency)
        ask = Ask(caller.merchant_id, mode_of(caller), body.sell_currency, body.sell_amount_minor, body.buy_currency)
        quote = make_quote(self._runtime.ids.mint(), ask, rate, self._terms, self._runtime.now())
        await self._fx.add_quote(quote)
        return QuoteBody.of(quote)

    async def held_quote(self, quote_id: UUID, caller: Caller) -> QuoteBody:
        """Return a quote that the caller may see. Raises: QuoteNotFound."""
        return QuoteBody.of(await self._quote(quote_id, caller))

    async def convert(self, quote_id: UUID, body: NewConversion, caller: Caller) -> tuple[EntryBody, bool]:
        """Return the entry that uses the quote, and whether it is new.

        Raises: QuoteNotFound, QuoteUsed, QuoteExpired, AccountNotFound, AccountNotConvertible, LedgerError.
        """
        quote, now = await self._quote(quote_id, caller), self._runtime.now()
        quote.check_usable(body.id, now)
        source = await self._account(body.from_account, caller)
        target = await self._account(body.to_account, caller)
        check_convertible(source, target)
        command = conversion(quote, body.id, source.spec, target.id, now)
        answer = await self._poster.post(command)
        if answer.outcome.error is not None:
            raise answer.outcome.error
        result = answer.outcome.result
        if not isinstance(result, EntryPosted):
            raise InvariantViolated(f"posting {command.entry_id} came to {result}")
        codes = await self._reader.codes({posting.account_id for posting in result.entry.postings})
        return EntryBody.of(result.entry, codes), answer.outcome.status is OutcomeStatus.APPLIED

    async def positions(self, caller: Caller) -> PositionsBody:
        """Return every pair's realised and unrealised gain. Raises: Forbidden."""
        if caller.merchant_id is not None:
            raise Forbidden("the positions are the platform's; only its operator sees them")
        positions: Positions = {}
        async for trade in self._fx.trades(mode_of(caller)):
            book(positions, trade)
        now, limit = self._runtime.now(), self._terms.stale_after
        return PositionsBody(
            data=[
                PositionBody.of(position, await self._closing_rate(*pair), now, limit)
                for pair, position in sorted(positions.items())
            ]
        )

    async def _rate(self, base: str, quote: str) -> Rate:
        for currency in (base, quote):
            currency_exponent(currency)
        published = await self._fx.latest_rates(self._terms.source, {base, quote} - {EURO})
        return rate_between(base, quote, published)

    async def _closing_rate(self, base: str, quote: str) -> Rate | None:
        try:
            return await self._rate(base, quote)
        except RateNotFound:
            return None

    async def _quote(self, quote_id: UUID, caller: Caller) -> Quote:
        quote = await self._fx.quote(quote_id)
        if quote is None or quote.mode != caller.mode or caller.merchant_id not in (None, quote.merchant_id):
            raise QuoteNotFound(quote_id)
        return quote

    async def _account(self, account_id: UUID, caller: Caller) -> Account:
        """Return an account that the caller may convert. A merchant's are those it owns: the platform's wallets it may
        charge, by payments, and not convert.
        """
        account = await self._reader.account(account_id)
        if (
            account is None
            or account.spec.mode != caller.mode
            or caller.merchant_id not in (None, account.spec.merchant_id)
        ):
            raise AccountNotFound(account_id)
        return account


def fx_router(desk: FxDesk, tokens: ServiceTokens) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/v1/fx")

    async def authenticate(authorization: Annotated[str | None, Header()] = None) -> Caller:
        return tokens.check(bearer(authorization), audience=AUDIENCE)

    Authenticated = Annotated[Caller, Depends(authenticate)]

    @routes.get("/rates", dependencies=[Depends(authenticate)])
    async def get_rate(base: Annotated[Currency, Query()], quote: Annotated[Currency, Query()]) -> RateBody:
        """Return the newest rate of two currencies, with the published rates that it comes from."""
        return await desk.rate(base, quote)

    @routes.post("/quotes", status_code=201)
    async def post_quote(body: NewQuote, caller: Authenticated) -> QuoteBody:
        """Return a price and hold it for a while. It moves nothing."""
        return await desk.quote(body, caller)

    @routes.get("/quotes/{quote_id}")
    async def get_quote(quote_id: str, caller: Authenticated) -> QuoteBody:
        """Return a quote, and the entry that used it."""
        return await desk.held_quote(read_id(quote_id, "fxq"), caller)

    @routes.post("/quotes/{quote_id}/conversions", status_code=201, responses={200: {"model": EntryBody}})
    async def post_conversion(
        quote_id: str, body: NewConversion, caller: Authenticated, response: Response
    ) -> EntryBody:
        """Convert at a quote; 201 when posted now, 200 when this entry was posted before."""
        entry, is_new = await desk.convert(read_id(quote_id, "fxq"), body, caller)
        response.status_code = 201 if is_new else 200
        return entry

    @routes.get("/positions")
    async def get_positions(caller: Authenticated) -> PositionsBody:
        """Return the realised and unrealised gain of every pair."""
        return await desk.positions(caller)

    return routes
