"""`/v1/customers/{id}/payment_methods`, `/v1/payment_methods` and `/v1/mandates`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, Field, StringConstraints, field_validator, model_validator

from rialto_common import ids
from rialto_common.database import Connection
from rialto_common.events.envelope import MinorUnits
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_gateway.answers import json_answer, replay_header
from rialto_gateway.attempts.cards import fingerprint_at
from rialto_gateway.cursors import id_cursor
from rialto_gateway.customers.store import Owner
from rialto_gateway.idempotency import IdempotentRequests, required_key
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.bodies import CardToken, Metadata, PaymentMethodId, known_currency, plausible
from rialto_gateway.payments.view import time_text
from rialto_gateway.requests import Body, caller_of
from rialto_gateway.saved_methods.mandate import Mandate, Period
from rialto_gateway.saved_methods.store import KeptMandate, SavedMethod, SavedMethods

MAX_PAGE = 200
METHOD_EXAMPLE = {"type": "card", "token": "tok_approve"}
MANDATE_EXAMPLE = {
    "payment_method_id": "pm_01kb6w1m8xf0gbb7n5d8jq2c4r",
    "currency": "USD",
    "max_amount_minor": "2000",
    "period": {"interval": "month", "max_amount_minor": "2000", "max_payments": 1},
    "metadata": {"plan": "basic"},
}


class AttachMethod(Body):
    """A card to keep for a customer, by the acquirer's token."""

    type: Annotated[str, StringConstraints(pattern="^card$")] = "card"
    token: CardToken


class PeriodLimits(Body):
    """What may be charged within each period, counted from the mandate's start."""

    interval: Period
    max_amount_minor: MinorUnits | None = None
    max_payments: Annotated[int | None, Field(ge=1, le=1_000_000)] = None

    @model_validator(mode="after")
    def _limits(self) -> "PeriodLimits":
        if self.max_amount_minor is None and self.max_payments is None:
            raise ValueError("a period needs max_amount_minor, max_payments or both")
        return self


class CreateMandate(Body):
    """What a customer has agreed may be charged to a saved card without them."""

    payment_method_id: PaymentMethodId
    currency: Annotated[str, Field(max_length=12, description="ISO 4217 code")]
    max_amount_minor: Annotated[MinorUnits, Field(description="the most of one payment")]
    period: PeriodLimits | None = None
    accepted_at: Annotated[AwareDatetime | None, Field(description="when the customer agreed; now by default")] = None
    starts_at: Annotated[AwareDatetime | None, Field(description="now by default")] = None
    ends_at: AwareDatetime | None = None
    metadata: Metadata = Field(default_factory=dict)

    _currency = field_validator("currency")(known_currency)

    @field_validator("accepted_at", "starts_at", "ends_at")
    @classmethod
    def _plausible(cls, value: AwareDatetime | None) -> AwareDatetime | None:
        return None if value is None else plausible(value)

    @model_validator(mode="after")
    def _lasts(self) -> "CreateMandate":
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValueError("ends_at must come after starts_at")
        return self


def saved_method_router(*, saved: SavedMethods, once: IdempotentRequests, keys: ApiKeys, runtime: Runtime) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1", tags=["saved payment methods"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    async def mandate_now(owner: Owner, mandate_id: UUID) -> dict[str, Any]:
        kept, now = await saved.mandate(owner, mandate_id), runtime.now()
        used = await saved.used(kept.mandate, now)
        spent = None if used is None else {"payments": used.payments, "amount_minor": str(used.amount_minor)}
        started = kept.mandate.period_start(now)
        return mandate_view(kept, kept.mandate.status(now)) | {
            "this_period": None if spent is None else {"started_at": time_text(started), **spent}
        }

    @router.post(
        "/customers/{customer_id}/payment_methods",
        status_code=201,
        openapi_extra=documented_body(AttachMethod, METHOD_EXAMPLE),
    )
    async def attach_method(customer_id: str, request: Request, caller: Caller) -> Response:
        """Keep a card for a customer; needs an Idempotency-Key. The token is encrypted and never shown."""
        owner, body = _owner(caller), read_body(AttachMethod, await request.body())
        customer = ids.from_text("cus", customer_id)

        async def work(connection: Connection, method_id: UUID) -> dict[str, Any]:
            await saved.attach(connection, owner, method_id, customer, body.token)
            return {"id": ids.to_text("pm", method_id)}

        key = required_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json().encode())
        named, replayed = await once.once(caller, f"customers/{customer_id}/methods", key, request_hash, work)
        method = await saved.method(owner, ids.from_text("pm", named["id"]))
        return json_answer(method_view(method, owner), 201, replay_header(replayed))

    @router.get("/customers/{customer_id}/payment_methods")
    async def list_methods(customer_id: str, caller: Caller) -> Response:
        """List a customer's cards, newest first."""
        owner = _owner(caller)
        found = await saved.of_customer(owner, ids.from_text("cus", customer_id))
        data = [method_view(method, owner) for method in found]
        return json_answer({"object": "list", "data": data, "has_more": False, "next_cursor": None})

    @router.get("/payment_methods/{method_id}")
    async def get_method(method_id: str, caller: Caller) -> Response:
        """Return a saved card."""
        owner = _owner(caller)
        return json_answer(method_view(await saved.method(owner, ids.from_text("pm", method_id)), owner))

    @router.post("/payment_methods/{method_id}/detach")
    async def detach_method(method_id: str, caller: Caller) -> Response:
        """Forget a card's token. It can happen only once, so it needs no key."""
        owner, wanted = _owner(caller), ids.from_text("pm", method_id)
        await saved.detach(owner, wanted)
        return json_answer(method_view(await saved.method(owner, wanted), owner))

    @router.post("/mandates", status_code=201, openapi_extra=documented_body(CreateMandate, MANDATE_EXAMPLE))
    async def create_mandate(request: Request, caller: Caller) -> Response:
        """Put on record what a customer has agreed to; needs an Idempotency-Key."""
        owner, body = _owner(caller), read_body(CreateMandate, await request.body())

        async def work(connection: Connection, mandate_id: UUID) -> dict[str, Any]:
            now = runtime.now()
            await saved.agree(connection, owner, _agreed(mandate_id, body, now), body.metadata, now)
            return {"id": ids.to_text("mdt", mandate_id)}

        key = required_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json().encode())
        named, replayed = await once.once(caller, "mandates", key, request_hash, work)
        made = await mandate_now(owner, ids.from_text("mdt", named["id"]))
        return json_answer(made, 201, replay_header(replayed))

    @router.get("/mandates")
    async def list_mandates(
        caller: Caller,
        payment_method_id: Annotated[str | None, Query(description="those of this saved card")] = None,
        cursor: Annotated[str | None, Query(max_length=40)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> Response:
        """List mandates, newest first."""
        method_id = None if payment_method_id is None else ids.from_text("pm", payment_method_id)
        found = await saved.mandates(
            _owner(caller), method_id=method_id, before=id_cursor("mdt", cursor), limit=limit + 1
        )
        page, now = found[:limit], runtime.now()
        data = [mandate_view(kept, kept.mandate.status(now)) for kept in page]
        after = data[-1]["id"] if len(found) > limit else None
        return json_answer({"object": "list", "data": data, "has_more": after is not None, "next_cursor": after})

    @router.get("/mandates/{mandate_id}")
    async def get_mandate(mandate_id: str, caller: Caller) -> Response:
        """Return a mandate, with what was charged in the present period."""
        return json_answer(await mandate_now(_owner(caller), ids.from_text("mdt", mandate_id)))

    @router.post("/mandates/{mandate_id}/revoke")
    async def revoke_mandate(mandate_id: str, caller: Caller) -> Response:
        """End a mandate: nothing more is charged by it. It can happen only once, so it needs no key."""
        owner, wanted = _owner(caller), ids.from_text("mdt", mandate_id)
        await saved.revoke(owner, wanted)
        return json_answer(await mandate_now(owner, wanted))

    return router


def _owner(caller: Principal) -> Owner:
    merchant_id, mode, _ = caller.merchant()
    return Owner(merchant_id, mode)


def _agreed(mandate_id: UUID, body: CreateMandate, now: AwareDatetime) -> Mandate:
    period = body.period
    return Mandate(
        id=mandate_id,
        method_id=body.payment_method_id,
        currency=body.currency,
        max_amount_minor=body.max_amount_minor,
        period=None if period is None else period.interval,
        period_amount_minor=None if period is None else period.max_amount_minor,
        period_payments=None if period is None else period.max_payments,
        accepted_at=body.accepted_at or now,
        starts_at=body.starts_at or now,
        ends_at=body.ends_at,
        revoked_at=None,
    )


def method_view(method: SavedMethod, owner: Owner) -> dict[str, Any]:
    """Return the payment method object of a saved card."""
    return {
        "id": ids.to_text("pm", method.id),
        "object": "payment_method",
        "type": "card",
        "customer_id": ids.to_text("cus", method.customer_id),
        "fingerprint": fingerprint_at(method.fingerprint, owner.merchant_id),
        "created_at": time_text(method.created_at),
        "detached_at": time_text(method.detached_at),
    }


def mandate_view(kept: KeptMandate, status: str) -> dict[str, Any]:
    """Return the mandate object, without what was charged by it."""
    mandate = kept.mandate
    most = mandate.period_amount_minor
    limits = {
        "interval": mandate.period,
        "max_amount_minor": None if most is None else str(most),
        "max_payments": mandate.period_payments,
    }
    return {
        "id": ids.to_text("mdt", mandate.id),
        "object": "mandate",
        "status": status,
        "payment_method_id": ids.to_text("pm", mandate.method_id),
        "currency": mandate.currency,
        "max_amount_minor": str(mandate.max_amount_minor),
        "period": None if mandate.period is None else limits,
        "accepted_at": time_text(mandate.accepted_at),
        "starts_at": time_text(mandate.starts_at),
        "ends_at": time_text(mandate.ends_at),
        "revoked_at": time_text(mandate.revoked_at),
        "metadata": kept.metadata,
        "created_at": time_text(kept.created_at),
    }
