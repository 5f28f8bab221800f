"""What pricing needs of storage."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from rialto_gateway.pricing.price import Fee, Price


class Pricing(Protocol):
    """Prices and fees, inside one transaction."""

    async def prices(self, merchant_id: UUID, mode: str) -> list[Price]:
        """Return a merchant's prices, in the order of methods and currencies."""
        ...

    async def set_prices(self, merchant_id: UUID, mode: str, prices: Sequence[Price], now: datetime) -> None:
        """Put prices in the place of those before; payments that were accepted keep theirs."""
        ...

    async def charge(self, fees: Sequence[Fee], now: datetime) -> None:
        """Record fees. Breaks a constraint where a capture or dispute was charged for before."""
        ...


class FeeReader(Protocol):
    """Reads of committed fees, as rows of `gateway.fees`."""

    async def of_payment(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's fees, oldest first."""
        ...
