"""`/v1/payment_links`: what a merchant does with its links. The page behind one is in `checkout.py`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, Field, StringConstraints, field_validator

from rialto_common import ids
from rialto_common.database import Connection
from rialto_common.events.envelope import MinorUnits
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_gateway.cursors import id_cursor
from rialto_gateway.idempotency import IdempotentRequests, required_key
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payment_links.store import PaymentLink, PaymentLinks
from rialto_gateway.payments.api import json_answer, replay_header
from rialto_gateway.payments.bodies import Metadata, Text, known_currency, plausible
from rialto_gateway.payments.errors import CurrencyNotSupported
from rialto_gateway.payments.view import time_text
from rialto_gateway.requests import Body, caller_of

SLUG_BYTES = 18
MAX_PAGE = 200

LINK_EXAMPLE = {
    "amount_minor": "1250",
    "currency": "USD",
    "description": "Order 1001",
    "return_url": "https://shop.example/thanks",
    "metadata": {"order": "1001"},
}


class CreatePaymentLink(Body):
    """What is asked for, of whoever has the link. It is for one payment unless `max_payments` says more."""

    amount_minor: MinorUnits
    currency: Annotated[str, Field(max_length=12, description="ISO 4217 code")]
    description: Annotated[Text, Field(max_length=140, description="what the payer reads that it is for")]
    return_url: Annotated[
        str | None,
        StringConstraints(
            max_length=2048, pattern=r"^https://[^\s\"'<>\\]+$|^http://(127\.0\.0\.1|localhost)[^\s\"'<>\\]*$"
        ),
        Field(description="where the page leads back to; https, or this machine"),
    ] = None
    metadata: Annotated[Metadata, Field(description="goes onto each payment, with `payment_link` beside it")] = Field(
        default_factory=dict
    )
    max_payments: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    expires_at: AwareDatetime | None = None

    _currency = field_validator("currency")(known_currency)

    @field_validator("expires_at")
    @classmethod
    def _plausible(cls, value: datetime | None) -> datetime | None:
        return None if value is None else plausible(value)


def payment_link_router(
    *,
    links: PaymentLinks,
    once: IdempotentRequests,
    keys: ApiKeys,
    runtime: Runtime,
    public_url: str,
    currencies: frozenset[str],
) -> APIRouter:
    """Return the routes; `public_url` is where payers reach this gateway."""
    router = APIRouter(prefix="/v1/payment_links", tags=["payment links"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    def view(link: PaymentLink) -> dict[str, Any]:
        return {
            "id": link.text_id,
            "object": "payment_link",
            "url": f"{public_url}/pay/{link.slug}",
            "active": link.is_open(runtime.now()),
            "amount_minor": str(link.amount_minor),
            "currency": link.currency,
            "description": link.description,
            "return_url": link.return_url,
            "metadata": link.metadata,
            "max_payments": link.max_payments,
            "expires_at": time_text(link.expires_at),
            "created_at": time_text(link.created_at),
        }

    @router.post("", status_code=201, openapi_extra=documented_body(CreatePaymentLink, LINK_EXAMPLE))
    async def create_link(request: Request, caller: Caller) -> Response:
        """Make a link; needs an Idempotency-Key. Each payment by it has its id as `payment_link` in its metadata."""
        merchant_id, mode, _ = caller.merchant()
        body = read_body(CreatePaymentLink, await request.body())
        if body.currency not in currencies:
            supported = ", ".join(sorted(currencies))
            raise CurrencyNotSupported(
                f"{body.currency} cannot be settled here; supported: {supported}", param="currency"
            )
        key = required_key(request.headers.get("idempotency-key"))

        async def work(connection: Connection, link_id: UUID) -> dict[str, Any]:
            link = PaymentLink(
                id=link_id,
                slug=runtime.token(SLUG_BYTES),
                merchant_id=merchant_id,
                mode=mode,
                amount_minor=body.amount_minor,
                currency=body.currency,
                description=body.description,
                return_url=body.return_url,
                metadata=body.metadata,
                max_payments=body.max_payments,
                expires_at=body.expires_at,
                created_at=runtime.now(),
                deactivated_at=None,
                merchant_name="",
                settlement_address="",
            )
            await links.add(connection, link)
            return view(link)

        request_hash = keys.request_hash(body.model_dump_json().encode())
        answer, replayed = await once.once(caller, "payment_links", key, request_hash, work)
        return json_answer(answer, 201, replay_header(replayed))

    @router.get("")
    async def list_links(
        caller: Caller,
        cursor: Annotated[str | None, Query(max_length=40)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> Response:
        """List links, newest first."""
        merchant_id, mode, _ = caller.merchant()
        found = await links.newest(merchant_id, mode, before=id_cursor("plink", cursor), limit=limit + 1)
        page = found[:limit]
        after = page[-1].text_id if len(found) > limit else None
        data = [view(link) for link in page]
        return json_answer({"object": "list", "data": data, "has_more": after is not None, "next_cursor": after})

    @router.get("/{link_id}")
    async def get_link(link_id: str, caller: Caller) -> Response:
        """Return a link."""
        merchant_id, mode, _ = caller.merchant()
        return json_answer(view(await links.get(ids.from_text("plink", link_id), merchant_id, mode)))

    @router.post("/{link_id}/deactivate")
    async def deactivate_link(link_id: str, caller: Caller) -> Response:
        """Take no more payments by a link. It can happen only once, so it needs no key."""
        merchant_id, mode, _ = caller.merchant()
        wanted = ids.from_text("plink", link_id)
        await links.get(wanted, merchant_id, mode)
        await links.deactivate(wanted, merchant_id, mode, runtime.now())
        return json_answer(view(await links.get(wanted, merchant_id, mode)))

    return router
