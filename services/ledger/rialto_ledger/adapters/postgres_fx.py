"""Rates, quotes and their uses in PostgreSQL."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from rialto_common.database import Connection, Pool, load_queries
from rialto_ledger.application.quotes import QuoteUse
from rialto_ledger.domain.account import Mode
from rialto_ledger.domain.fx import EuroRate, Quote, rate_between
from rialto_ledger.domain.fx_errors import QuoteNotFound, QuoteUsed
from rialto_ledger.domain.fx_positions import Trade

_QUERIES = load_queries(__package__, "fx_queries.sql")
_TRADES_A_FETCH = 1_000


class PostgresFxBook:
    """Rates and quotes, each call on a connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add_rates(self, rates: Sequence[EuroRate], recorded_at: datetime) -> int:
        """Keep the rates that are not on record yet; return how many that were."""
        added = await self._pool.fetch(
            _QUERIES["add_rates"],
            [rate.source for rate in rates],
            [rate.currency for rate in rates],
            [rate.per_euro for rate in rates],
            [rate.observed_at for rate in rates],
            recorded_at,
        )
        return len(added)

    async def latest_rates(self, source: str, currencies: Iterable[str]) -> dict[str, EuroRate]:
        """Return a source's newest rate of each of these currencies, as far as there is one."""
        found = await self._pool.fetch(_QUERIES["latest_rates"], source, list(currencies))
        return {
            row["currency"]: EuroRate(row["currency"], row["per_euro"], row["source"], row["observed_at"])
            for row in found
        }

    async def add_quote(self, quote: Quote) -> None:
        """Keep a new quote."""
        legs = {leg.currency: leg for leg in quote.rate.legs}
        sell, buy = legs.get(quote.sell_currency), legs.get(quote.buy_currency)
        await self._pool.execute(
            _QUERIES["add_quote"],
            quote.id,
            quote.merchant_id,
            quote.mode,
            quote.sell_currency,
            quote.sell_amount_minor,
            quote.buy_currency,
            quote.buy_amount_minor,
            *_columns(sell),
            *_columns(buy),
            quote.spread_bps,
            quote.quoted_at,
            quote.expires_at,
        )

    async def quote(self, quote_id: UUID) -> Quote | None:
        """Return a quote with what became of it, or None."""
        row = await self._pool.fetchrow(_QUERIES["quote"], quote_id)
        return None if row is None else _quote_of(row)

    async def trades(self, mode: Mode) -> AsyncIterator[Trade]:
        """Return every conversion, and every reversal of one, oldest first; a part of them at a time in memory."""
        async with self._pool.acquire() as connection, connection.transaction():
            async for row in connection.cursor(_QUERIES["trades"], mode, prefetch=_TRADES_A_FETCH):
                trade = Trade(
                    row["sell_currency"],
                    int(row["sell_amount_minor"]),
                    row["buy_currency"],
                    int(row["buy_amount_minor"]),
                )
                yield trade.backwards() if row["is_reversal"] else trade


class PostgresQuoteUses:
    """The uses of quotes inside one transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, uses: Sequence[QuoteUse]) -> None:
        """Use quotes. Raises: QuoteUsed, QuoteNotFound: of one of them, whichever the database found first."""
        try:
            await self._connection.execute(
                _QUERIES["use_quotes"],
                [use.quote_id for use in uses],
                [use.entry_id for use in uses],
                [use.used_at for use in uses],
            )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "fx_quotes_used_once":
                raise
            raise QuoteUsed(uses[0].quote_id) from error
        except asyncpg.ForeignKeyViolationError as error:
            if error.constraint_name != "fx_quote_uses_quote_fk":
                raise
            raise QuoteNotFound(uses[0].quote_id) from error


def _columns(leg: EuroRate | None) -> tuple[object, ...]:
    return (None, None, None) if leg is None else (leg.per_euro, leg.source, leg.observed_at)


def _quote_of(row: Mapping[str, Any]) -> Quote:
    legs = {
        row[f"{side}_currency"]: EuroRate(
            row[f"{side}_currency"], row[f"{side}_per_euro"], row[f"{side}_source"], row[f"{side}_observed_at"]
        )
        for side in ("sell", "buy")
        if row[f"{side}_per_euro"] is not None
    }
    return Quote(
        id=row["id"],
        merchant_id=row["merchant_id"],
        mode=row["mode"],
        sell_currency=row["sell_currency"],
        sell_amount_minor=int(row["sell_amount_minor"]),
        buy_currency=row["buy_currency"],
        buy_amount_minor=int(row["buy_amount_minor"]),
        rate=rate_between(row["sell_currency"], row["buy_currency"], legs),
        spread_bps=row["spread_bps"],
        quoted_at=row["quoted_at"],
        expires_at=row["expires_at"],
        used_by=row["used_by"],
    )
