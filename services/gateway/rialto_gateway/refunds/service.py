"""What the API does with refunds: ask for one, look them up."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_common.errors import InvariantViolated
from rialto_common.runtime import Runtime
from rialto_gateway.merchants.keys import Principal
from rialto_gateway.payments.errors import PaymentNotFound, RefundNotFound
from rialto_gateway.payments.facts import RefundAsked
from rialto_gateway.payments.handlers import Occurrence, apply_all
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.ports import PaymentReader, Units
from rialto_gateway.payments.view import time_text
from rialto_gateway.payments.wait import Waiters
from rialto_gateway.refunds.ports import RefundReader


class RefundService:
    """The commands and queries behind the routes."""

    def __init__(
        self,
        *,
        units: Units,
        payments: PaymentReader,
        reader: RefundReader,
        runtime: Runtime,
        deadlines: Deadlines,
    ) -> None:
        self._units = units
        self._payments = payments
        self._reader = reader
        self._runtime = runtime
        self._deadlines = deadlines
        self._answers = Waiters(reader.answered, runtime)

    async def create(
        self,
        principal: Principal,
        payment_id: UUID,
        fact: RefundAsked,
        *,
        key: str,
        request_hash: bytes,
        wait_seconds: float,
    ) -> tuple[dict[str, Any], bool]:
        """Ask for a refund, once however often it is sent; return it as it was asked for, and whether it was before.

        With `wait_seconds`, it is returned as it is once it has an outcome or the time is over.
        Raises: PaymentNotFound, PaymentNotRefundable, RefundAboveCaptured, IdempotencyKeyReused.
        """
        await self._check_payment(payment_id, principal)
        async with self._units.begin() as unit:
            # Two refunds at once take turns here: the second sees what the first has left.
            await unit.payments.lock([payment_id])
            refund_id = await unit.refunds.made_under(payment_id, key, request_hash)
            replayed = refund_id is not None
            if refund_id is None:
                occurrence = Occurrence(payment_id, fact)
                held = await apply_all([occurrence], unit, now=self._runtime.now(), deadlines=self._deadlines)
                refund_id = ids.derive(payment_id, "refund", held[payment_id].refunds)
                await unit.refunds.name(refund_id, key, request_hash)
            self._runtime.crash_point("gateway.refund.before_commit")
        self._runtime.crash_point("gateway.refund.after_commit")
        if wait_seconds > 0:
            await self._answers.wait(refund_id, wait_seconds)
        row = await self._reader.get(refund_id, principal.merchant_id, principal.mode)
        if row is None:
            raise InvariantViolated(f"refund {refund_id} was recorded and cannot be read")
        return refund_view(row if wait_seconds > 0 else as_asked(row)), replayed

    async def get(self, principal: Principal, refund_id: UUID) -> dict[str, Any]:
        """Return one refund. Raises: RefundNotFound: none, or another merchant's or mode's."""
        row = await self._reader.get(refund_id, principal.merchant_id, principal.mode)
        if row is None:
            raise RefundNotFound(f"there is no refund {ids.to_text('re', refund_id)} for this key")
        return refund_view(row)

    async def of_payment(self, principal: Principal, payment_id: UUID) -> list[dict[str, Any]]:
        """Return a payment's refunds, in the order in which they were asked for. Raises: PaymentNotFound."""
        await self._check_payment(payment_id, principal)
        return [refund_view(row) for row in await self._reader.of_payment(payment_id)]

    async def _check_payment(self, payment_id: UUID, principal: Principal) -> None:
        if await self._payments.row(payment_id, principal.merchant_id, principal.mode) is None:
            raise PaymentNotFound(f"there is no payment {ids.to_text('pay', payment_id)} for this key")


def refund_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the refund object of a row of `gateway.refunds`."""
    return {
        "id": ids.to_text("re", row["refund_id"]),
        "object": "refund",
        "payment_id": ids.to_text("pay", row["payment_id"]),
        "merchant_id": ids.to_text("mer", row["merchant_id"]),
        "mode": row["mode"],
        "status": row["state"],
        "failure_code": row["failure_code"],
        "amount_minor": str(int(row["amount_minor"])),
        "currency": row["currency"],
        "reason": row["reason"],
        "metadata": orjson.loads(row["metadata"]),
        "created_at": time_text(row["created_at"]),
        "updated_at": time_text(row["updated_at"]),
    }


def as_asked(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a refund's row as it was when it was asked for: the first answer, also for a retry with the same key."""
    return dict(row) | {"state": "pending", "failure_code": None, "updated_at": row["created_at"]}
