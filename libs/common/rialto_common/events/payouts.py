"""The gateway's facts about payouts to merchants, on `rialto.payments.v1`, keyed by payout id.

A payout moves no money of its own: its payments are settled one by one, each under its own identity. These say how they
stand together.
"""

from typing import ClassVar

from rialto_common.events.common import PAYMENTS, MerchantId, Mode, PayoutId
from rialto_common.events.envelope import EventData, MinorUnits


class PayoutData(EventData):
    """What every event of a payout names; `payments` counts those that it pays, `amount_minor` is their sum."""

    topic: ClassVar[str] = PAYMENTS

    payout_id: PayoutId
    merchant_id: MerchantId
    mode: Mode
    amount_minor: MinorUnits
    currency: str
    payments: int


class PayoutCreated(PayoutData):
    """The settlement of its payments was asked for."""

    type: ClassVar[str] = "rialto.payout.created.v1"


class PayoutPaid(PayoutData):
    """All of its payments are settled."""

    type: ClassVar[str] = "rialto.payout.paid.v1"


class PayoutFailed(PayoutData):
    """None of its payments is under way any more and some cannot be paid as asked; `failure_code` is why."""

    type: ClassVar[str] = "rialto.payout.failed.v1"

    failure_code: str


MODELS: tuple[type[EventData], ...] = (PayoutCreated, PayoutPaid, PayoutFailed)
