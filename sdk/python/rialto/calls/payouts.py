"""What is owed to you, and how it is paid out."""

from typing import Literal

from rialto._call import Call, ListCall, fields, path, query
from rialto.models import Balance, Payout, PayoutSettings


def retrieve_balance() -> Call[Balance]:
    """Return what is owed to you, a currency each: available, on its way, or set aside."""
    return Call("GET", path("balance"), Balance.model_validate)


def create(*, currency: str, idempotency_key: str | None = None) -> Call[Payout]:
    """Pay out what waits in a currency, the oldest payments first, as far as it is available."""
    return Call("POST", path("payouts"), Payout.model_validate, fields(currency=currency), (), idempotency_key)


def retrieve(payout_id: str) -> Call[Payout]:
    """Return a payout with the payments that it pays and how each of them stands."""
    return Call("GET", path("payouts", payout_id), Payout.model_validate)


def list_(
    *,
    status: Literal["pending", "in_transit", "paid", "failed"] | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> ListCall[Payout]:
    """List payouts, newest first."""
    return ListCall(path("payouts"), Payout.model_validate, query(status=status, limit=limit, cursor=cursor))


def retrieve_settings() -> Call[PayoutSettings]:
    """Say when you are paid."""
    return Call("GET", path("payout_settings"), PayoutSettings.model_validate)


def update_settings(
    *, schedule: Literal["immediate", "daily", "manual"] | None = None, cut_off_hour: int | None = None
) -> Call[PayoutSettings]:
    """Change when you are paid, for what is captured from now on; `cut_off_hour` is UTC, for `daily`."""
    body = fields(schedule=schedule, cut_off_hour=cut_off_hour)
    return Call("PATCH", path("payout_settings"), PayoutSettings.model_validate, body)
