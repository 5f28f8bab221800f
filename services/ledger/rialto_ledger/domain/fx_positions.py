"""What dealing has brought: realised and unrealised gain of each pair's position, at average cost.

A position is what the pair's first account has on its credit side: so much of the base is ours, or owed when negative.
Its cost is what was paid for it in the quote currency. Selling part of it releases that part of the cost, half rounded
to even, and realises the difference; what is left keeps the rest of the cost, so nothing is lost to rounding, and

    realised + unrealised = what the position's two accounts are worth at the closing rate, exactly.

The spread is in the amounts, so it shows here, and no account of its own takes it.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from rialto_ledger.domain.fx import Rate, pair_of


@dataclass(frozen=True, slots=True)
class Trade:
    """What a customer sold us and bought from us, in minor units; the reversal of a conversion is one backwards."""

    sell_currency: str
    sell_amount_minor: int
    buy_currency: str
    buy_amount_minor: int

    def backwards(self) -> "Trade":
        """Return the trade that undoes this one."""
        return Trade(self.buy_currency, self.buy_amount_minor, self.sell_currency, self.sell_amount_minor)


@dataclass(frozen=True, slots=True)
class Position:
    """A pair's position: amounts in minor units, `base_minor` of the base, the others of the quote currency."""

    base: str
    quote: str
    base_minor: int = 0
    cost_minor: int = 0
    realised_minor: int = 0

    def after(self, trade: Trade) -> "Position":
        """Return the position as a trade in this pair leaves it."""
        if trade.sell_currency == self.base:
            return self._moved(trade.sell_amount_minor, -trade.buy_amount_minor)
        return self._moved(-trade.buy_amount_minor, trade.sell_amount_minor)

    def _moved(self, base_minor: int, quote_minor: int) -> "Position":
        """Add so much of the base for so much of the quote currency, one gained and the other given."""
        closed = 0
        if self.base_minor * base_minor < 0:
            closed = min(abs(self.base_minor), abs(base_minor))
        # Both shares are whole where everything is closed, or everything that was traded closes.
        released = round(Fraction(self.cost_minor * closed, abs(self.base_minor))) if closed else 0
        proceeds = round(Fraction(quote_minor * closed, abs(base_minor)))
        return replace(
            self,
            base_minor=self.base_minor + base_minor,
            cost_minor=self.cost_minor - released - (quote_minor - proceeds),
            realised_minor=self.realised_minor + proceeds - released,
        )

    @property
    def quote_minor(self) -> int:
        """What the pair's second account has on its credit side."""
        return self.realised_minor - self.cost_minor

    def unrealised(self, closing: Rate) -> Fraction:
        """Return what closing it at a rate would realise, in minor units of the quote currency."""
        return self.base_minor * closing.in_minor_units() - self.cost_minor


Positions = dict[tuple[str, str], Position]
"""Positions by pair."""


def book(positions: Positions, trade: Trade) -> None:
    """Add a trade to its pair's position."""
    pair = pair_of(trade.sell_currency, trade.buy_currency)
    positions[pair] = positions.get(pair, Position(*pair)).after(trade)
