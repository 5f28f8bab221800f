"""Prices and fees as the API shows them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common import ids
from rialto_gateway.pricing.price import Price

_FOR = {"processing": "cap", "dispute": "dp"}


def pricing_view(merchant_id: UUID, mode: str, prices: Sequence[Price]) -> dict[str, Any]:
    """Return a merchant's prices."""
    return {
        "object": "pricing",
        "merchant_id": ids.to_text("mer", merchant_id),
        "mode": mode,
        "prices": [
            {
                "method": each.method,
                "currency": each.currency,
                "bps": each.rate.bps,
                "fixed_minor": str(each.rate.fixed_minor),
            }
            for each in prices
        ],
    }


def fee_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a fee: what it is for (a capture or a dispute), and the rate by which it came about."""
    at: datetime = row["charged_at"]
    return {
        "id": ids.to_text("fee", row["fee_id"]),
        "object": "fee",
        "type": row["kind"],
        "payment_id": ids.to_text("pay", row["payment_id"]),
        "for": ids.to_text(_FOR[row["kind"]], row["fee_id"]),
        "amount_minor": str(int(row["amount_minor"])),
        "currency": row["currency"],
        "rate": {"bps": row["bps"], "fixed_minor": str(int(row["fixed_minor"]))},
        "created_at": at.isoformat(timespec="microseconds")[:26] + "Z",
    }


def statement_view(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a payment's statement of fees."""
    return {
        "total_minor": str(sum(int(row["amount_minor"]) for row in rows)),
        "lines": [fee_view(row) for row in rows],
    }
