"""What you pay for your payments, and what you were charged."""

from datetime import datetime

from rialto._call import Call, ListCall, path, query
from rialto.models import Fee, FeeTotals, Pricing


def retrieve_pricing() -> Call[Pricing]:
    """Say what payments cost you that are accepted from now on."""
    return Call("GET", path("pricing"), Pricing.model_validate)


def list_(
    *,
    created_from: datetime | None = None,
    created_to: datetime | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> ListCall[Fee]:
    """List what you were charged, newest first: from an instant on, and before another."""
    asked = query(created_from=created_from, created_to=created_to, limit=limit, cursor=cursor)
    return ListCall(path("fees"), Fee.model_validate, asked)


def totals(*, created_from: datetime | None = None, created_to: datetime | None = None) -> Call[FeeTotals]:
    """Say what the fees of a period come to, by currency and type."""
    asked = query(created_from=created_from, created_to=created_to)
    return Call("GET", path("fees", "totals"), FeeTotals.model_validate, query=asked)
