"""Control totals, which several services tell, each on its own topic and of its own tables; keyed by merchant id."""

from datetime import date

from pydantic import BaseModel, ConfigDict

from rialto_common.events.common import MerchantId, Mode
from rialto_common.events.envelope import EventData, MinorUnitsOrZero


class KindTotal(BaseModel):
    """What movements of one kind, such as `captured`, came to. More kinds may be added: skip those you do not know."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: str
    amount_minor: MinorUnitsOrZero
    count: int


class ControlTotals(EventData):
    """What a service's own tables have of a merchant's day, a UTC date: each fact counts on the day of its own time.

    A higher `revision` takes the place of a lower one of the same merchant, mode, currency and day.
    """

    merchant_id: MerchantId
    mode: Mode
    currency: str
    day: date
    revision: int
    totals: list[KindTotal]
