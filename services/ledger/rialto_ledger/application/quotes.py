"""What the FX use cases need from storage, and how a quote is used in the very transaction that posts its entry."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from rialto_common import ids
from rialto_common.errors import InvalidId
from rialto_ledger.application.layer import LedgerLayer
from rialto_ledger.application.ports import Ledger
from rialto_ledger.domain.account import Mode
from rialto_ledger.domain.batch import Decision
from rialto_ledger.domain.fx import CONVERSION, QUOTE_ID, EuroRate, Quote
from rialto_ledger.domain.fx_errors import QuoteNotFound
from rialto_ledger.domain.fx_positions import Trade
from rialto_ledger.domain.journal import JournalEntry


class FxBook(Protocol):
    """Rates and quotes on record. Nothing in it is ever changed: a corrected rate is a newer row."""

    async def add_rates(self, rates: Sequence[EuroRate], recorded_at: datetime) -> int:
        """Keep the rates that are not on record yet; return how many that were."""
        ...

    async def latest_rates(self, source: str, currencies: Iterable[str]) -> dict[str, EuroRate]:
        """Return a source's newest rate of each of these currencies, as far as there is one."""
        ...

    async def add_quote(self, quote: Quote) -> None:
        """Keep a new quote."""
        ...

    async def quote(self, quote_id: UUID) -> Quote | None:
        """Return a quote with what became of it, or None."""
        ...

    def trades(self, mode: Mode) -> AsyncIterator[Trade]:
        """Return every conversion, and every reversal of one, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class QuoteUse:
    """A quote is used by an entry."""

    quote_id: UUID
    entry_id: UUID
    used_at: datetime


class QuoteUses(Protocol):
    """The uses of quotes, inside one transaction that someone else opens and commits."""

    async def add(self, uses: Sequence[QuoteUse]) -> None:
        """Use quotes. Raises: QuoteUsed: another entry has; QuoteNotFound."""
        ...


class ClaimingLedger(LedgerLayer):
    """The books, in which a new conversion's entry uses its quote: both are in one commit, or neither.

    A race for a quote is lost where it is written: the loser's transaction is refused as a whole (`QuoteUsed`), and the
    poster then posts its commands one by one, so that only the losing one fails.
    """

    def __init__(self, ledger: Ledger, uses: QuoteUses) -> None:
        super().__init__(ledger)
        self._uses = uses

    async def saved(self, decision: Decision, now: datetime) -> None:
        """Use a decision's quotes. Raises: QuoteUsed, QuoteNotFound."""
        uses = [_use_of(entry) for entry in decision.entries if entry.kind == CONVERSION]
        if uses:
            await self._uses.add(uses)


def _use_of(entry: JournalEntry) -> QuoteUse:
    named = entry.metadata.get(QUOTE_ID, "")
    try:
        return QuoteUse(ids.from_text("fxq", named), entry.id, entry.recorded_at)
    except InvalidId as error:
        raise QuoteNotFound(named[:40]) from error
