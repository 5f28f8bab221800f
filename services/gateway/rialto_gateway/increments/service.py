"""What the API does with increments: ask for one."""

from uuid import UUID

from rialto_common import ids
from rialto_common.money import currency_exponent
from rialto_common.runtime import Runtime
from rialto_gateway.merchants.keys import Principal
from rialto_gateway.payments.errors import PaymentNotFound
from rialto_gateway.payments.facts import IncrementAsked, IncrementLimits
from rialto_gateway.payments.handlers import Occurrence, apply_all
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.ports import PaymentReader, Units


class IncrementService:
    """The command behind the route."""

    def __init__(
        self,
        *,
        units: Units,
        reader: PaymentReader,
        runtime: Runtime,
        deadlines: Deadlines,
        share_bps: int,
        review_major: int,
    ) -> None:
        """`share_bps` of what was assessed may be added, and less than comes to `review_major` major units."""
        self._units = units
        self._reader = reader
        self._runtime = runtime
        self._deadlines = deadlines
        self._share_bps = share_bps
        self._review_major = review_major

    async def ask(
        self, principal: Principal, payment_id: UUID, amount_minor: int, *, key: str, request_hash: bytes
    ) -> None:
        """Ask for `amount_minor` in all to be authorised, once however often it is sent.

        Raises: PaymentNotFound, PaymentNotIncrementable, IncrementUnderWay, IncrementNotAbove, IncrementAboveLimit,
        MandateNotActive, MandateLimitExceeded, IdempotencyKeyReused.
        """
        row = await self._reader.row(payment_id, principal.merchant_id, principal.mode)
        if row is None:
            raise PaymentNotFound(f"there is no payment {ids.to_text('pay', payment_id)} for this key")
        limits = IncrementLimits(self._share_bps, self._review_major * 10 ** currency_exponent(row["currency"]))
        now = self._runtime.now()
        async with self._units.begin() as unit:
            await unit.payments.lock([payment_id])
            if not await unit.increments.asked_under(payment_id, key, request_hash):
                asked = Occurrence(payment_id, IncrementAsked(amount_minor, limits))
                held = await apply_all([asked], unit, now=now, deadlines=self._deadlines)
                await unit.mandates.check_raised(payment_id, amount_minor, now)
                increment_id = ids.derive(payment_id, "increment", held[payment_id].increments)
                await unit.increments.name(increment_id, key, request_hash)
            self._runtime.crash_point("gateway.increment.before_commit")
        self._runtime.crash_point("gateway.increment.after_commit")
