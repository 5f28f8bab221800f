"""Prices and fees in memory, under the same contract as PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common.bus.memory import MemoryTransaction
from rialto_common.errors import InvariantViolated
from rialto_gateway.pricing.price import Fee, Price

Whose = tuple[UUID, str]


@dataclass
class PricingRows:
    """Committed rows: prices by merchant and mode, and fees by the capture or dispute, each with its time."""

    prices: dict[Whose, list[Price]] = field(default_factory=dict)
    fees: dict[UUID, tuple[Fee, datetime]] = field(default_factory=dict)


class MemoryPricing:
    """One transaction's view of the tables."""

    def __init__(self, committed: PricingRows, transaction: MemoryTransaction) -> None:
        self._committed = committed
        self._mine = PricingRows()
        transaction.on_commit(self._commit, unless=lambda: self._mine == PricingRows())

    async def prices(self, merchant_id: UUID, mode: str) -> list[Price]:
        """Return a merchant's prices, in the order of methods and currencies."""
        whose = (merchant_id, mode)
        found = self._mine.prices.get(whose, self._committed.prices.get(whose, []))
        return sorted(found, key=lambda each: (each.method or "any", each.currency or "any"))

    async def set_prices(self, merchant_id: UUID, mode: str, prices: Sequence[Price], now: datetime) -> None:
        """Put prices in the place of those before. Raises: InvariantViolated: two for the same method and currency."""
        if len({(each.method, each.currency) for each in prices}) < len(prices):
            raise InvariantViolated(f"merchant {merchant_id} has two prices for one method and currency")
        self._mine.prices[merchant_id, mode] = list(prices)

    async def charge(self, fees: Sequence[Fee], now: datetime) -> None:
        """Record fees. Raises: InvariantViolated: one for what was charged for before, or of nothing."""
        for fee in fees:
            if fee.id in self._committed.fees or fee.id in self._mine.fees or fee.amount_minor <= 0:
                raise InvariantViolated(f"payment {fee.payment_id} is charged {fee.amount_minor} for {fee.id}")
            self._mine.fees[fee.id] = (fee, now)

    def _commit(self) -> None:
        self._committed.prices.update(self._mine.prices)
        self._committed.fees.update(self._mine.fees)


class MemoryFees:
    """Reads of committed fees."""

    def __init__(self, rows: PricingRows) -> None:
        self._rows = rows

    async def of_payment(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's fees, oldest first."""
        found = [(at, fee) for fee, at in self._rows.fees.values() if fee.payment_id == payment_id]
        return [_row(fee, at) for at, fee in sorted(found, key=lambda each: (each[0], each[1].id.bytes))]


def _row(fee: Fee, at: datetime) -> Mapping[str, Any]:
    return {
        "fee_id": fee.id,
        "payment_id": fee.payment_id,
        "merchant_id": fee.merchant_id,
        "mode": fee.mode,
        "currency": fee.currency,
        "kind": fee.kind,
        "amount_minor": fee.amount_minor,
        "bps": fee.rate.bps,
        "fixed_minor": fee.rate.fixed_minor,
        "charged_at": at,
    }
