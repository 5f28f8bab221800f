"""A mandate's limits for a payment that is to be raised, within the transaction that raises it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from rialto_common.database import Connection, load_queries
from rialto_gateway.saved_methods.mandate import Mandate, Used

QUERIES = load_queries(__package__)


def mandate_of(row: Mapping[str, Any]) -> Mandate:
    """Return the mandate of a row of `gateway.mandates`."""
    most = row["period_amount_minor"]
    return Mandate(
        id=row["mandate_id"],
        method_id=row["method_id"],
        currency=row["currency"],
        max_amount_minor=int(row["max_amount_minor"]),
        period=row["period"],
        period_amount_minor=None if most is None else int(most),
        period_payments=row["period_payments"],
        accepted_at=row["accepted_at"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        revoked_at=row["revoked_at"],
    )


class PostgresMandateUses:
    """What was charged by mandates, through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def check_raised(self, payment_id: UUID, amount_minor: int, now: datetime) -> None:
        """Hold a payment that is to be raised to what was agreed: by itself, and within the period it was accepted in.

        Raises: MandateNotActive, MandateLimitExceeded.
        """
        row = await self._connection.fetchrow(QUERIES["lock_mandate_of"], payment_id)
        if row is None:
            return
        mandate = mandate_of(row)
        mandate.check(row["method_id"], amount_minor, row["currency"], now)
        used_at: datetime = row["used_at"]
        since = mandate.period_start(used_at)
        until = mandate.period_end(used_at)
        if since is None or until is None:
            return
        others = await self._connection.fetchrow(
            QUERIES["used"], mandate.id, row["idempotency_key"], since, now - ACCEPTED_WITHIN, until
        )
        if others is not None:
            mandate.check_period(amount_minor, Used(others["payments"], int(others["amount_minor"])))


ACCEPTED_WITHIN = timedelta(minutes=10)
"""How long a use counts while it has no payment: longer than accepting one can take."""
