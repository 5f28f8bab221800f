"""Rates, quotes and their uses in memory: under the same contract as PostgreSQL."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from rialto_ledger.adapters.memory import Books, Commits
from rialto_ledger.application.quotes import QuoteUse
from rialto_ledger.domain.account import Mode
from rialto_ledger.domain.fx import EuroRate, Quote
from rialto_ledger.domain.fx_errors import QuoteNotFound, QuoteUsed
from rialto_ledger.domain.fx_positions import Trade


@dataclass
class FxTables:
    """What is on record; `rates` in the order of their recording, `uses` by quote."""

    rates: list[EuroRate] = field(default_factory=list)
    quotes: dict[UUID, Quote] = field(default_factory=dict)
    uses: dict[UUID, QuoteUse] = field(default_factory=dict)


class MemoryFxBook:
    """Rates and quotes; reversals of conversions are found in the books."""

    def __init__(self, tables: FxTables, books: Books) -> None:
        self._tables = tables
        self._books = books

    async def add_rates(self, rates: Sequence[EuroRate], recorded_at: datetime) -> int:
        """Keep the rates that are not on record yet; return how many that were."""
        new = [rate for rate in rates if rate not in self._tables.rates]
        self._tables.rates.extend(new)
        return len(new)

    async def latest_rates(self, source: str, currencies: Iterable[str]) -> dict[str, EuroRate]:
        """Return a source's newest rate of each of these currencies, as far as there is one."""
        latest: dict[str, EuroRate] = {}
        wanted = set(currencies)
        for rate in self._tables.rates:
            if rate.source == source and rate.currency in wanted:
                known = latest.get(rate.currency)
                if known is None or rate.observed_at >= known.observed_at:
                    latest[rate.currency] = rate
        return latest

    async def add_quote(self, quote: Quote) -> None:
        """Keep a new quote."""
        self._tables.quotes[quote.id] = quote

    async def quote(self, quote_id: UUID) -> Quote | None:
        """Return a quote with what became of it, or None."""
        quote, use = self._tables.quotes.get(quote_id), self._tables.uses.get(quote_id)
        return quote if quote is None or use is None else replace(quote, used_by=use.entry_id)

    async def trades(self, mode: Mode) -> AsyncIterator[Trade]:
        """Return every conversion, and every reversal of one, oldest first."""
        found: list[tuple[datetime, UUID, Trade]] = []
        for use in self._tables.uses.values():
            quote = self._tables.quotes[use.quote_id]
            if quote.mode != mode:
                continue
            trade = Trade(quote.sell_currency, quote.sell_amount_minor, quote.buy_currency, quote.buy_amount_minor)
            found.append((use.used_at, use.entry_id, trade))
            found.extend(
                (entry.recorded_at, entry.id, trade.backwards())
                for entry in self._books.entries.values()
                if entry.reverses == use.entry_id
            )
        for _, _, trade in sorted(found, key=lambda item: item[:2]):
            yield trade


class MemoryQuoteUses:
    """The uses of quotes inside one transaction; they appear to others at its commit."""

    def __init__(self, tables: FxTables, transaction: Commits) -> None:
        self._tables = tables
        self._transaction = transaction

    async def add(self, uses: Sequence[QuoteUse]) -> None:
        """Use quotes. Raises: QuoteUsed, QuoteNotFound."""
        added: dict[UUID, QuoteUse] = {}
        for use in uses:
            if use.quote_id not in self._tables.quotes:
                raise QuoteNotFound(use.quote_id)
            if use.quote_id in self._tables.uses or use.quote_id in added:
                raise QuoteUsed(use.quote_id)
            added[use.quote_id] = use
        self._transaction.on_commit(lambda: self._tables.uses.update(added))
