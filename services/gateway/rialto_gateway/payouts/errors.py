"""What payouts refuse.

Conflict
├── NothingToPayOut      no payment that waits, or none that the balance covers
├── PayoutsChanged       another payout is being made at the same time
└── ReserveNeedsWaiting  what is paid at once cannot be held back
NotFound
└── PayoutNotFound
"""

from rialto_common.errors import Conflict, NotFound


class NothingToPayOut(Conflict):
    """No captured payment waits that the available balance covers."""

    code = "nothing_to_pay_out"


class PayoutsChanged(Conflict):
    """Another payout was made at the same moment; send the same request again."""

    code = "payouts_changed"
    retryable = True


class ReserveNeedsWaiting(Conflict):
    """A reserve is held back of what waits: set `daily` or `manual` with it, or end it before `immediate`."""

    code = "reserve_needs_waiting"


class PayoutNotFound(NotFound):
    """No such payout for this key."""

    code = "payout_not_found"
