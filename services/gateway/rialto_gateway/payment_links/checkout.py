"""`/pay/{slug}`: the hosted checkout. A payer sees a page, sends a form, and is shown what becomes of the payment.

A form carries a nonce that names its payment: sent twice, or again after an answer that was lost, it is one payment.
"""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import ValidationError

from rialto_common import ids, problems
from rialto_common.errors import IdempotencyKeyReused, InvalidId, PaymentError
from rialto_common.runtime import Runtime
from rialto_gateway.merchants.keys import ApiKeys
from rialto_gateway.payment_links import pages
from rialto_gateway.payment_links.pages import Form
from rialto_gateway.payment_links.store import PaymentLink, PaymentLinkClosed, PaymentLinks
from rialto_gateway.payments.bodies import CreatePayment
from rialto_gateway.payments.errors import PaymentNotFound
from rialto_gateway.payments.service import PaymentService
from rialto_gateway.requests import traceparent_of

NONCE_BYTES = 16
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")
_FIELDS = ("nonce", "name", "email", "country", "method", "wallet_id", "card_token")
_SHOWN_AS = {"token": "card_token", "payment_method": "method"}


def checkout_router(
    *,
    links: PaymentLinks,
    payments: PaymentService,
    keys: ApiKeys,
    runtime: Runtime,
    takes_cards: Callable[[str], bool],
) -> APIRouter:
    """Return the routes; `takes_cards` says whether a mode has an acquirer."""
    router = APIRouter(prefix="/pay", include_in_schema=False)

    def new_form(**known: Any) -> Form:
        return Form(runtime.token(NONCE_BYTES), **known)

    @router.get("/{slug}")
    async def show(slug: str) -> Response:
        """Show the form, or that there is nothing to pay."""
        link = await links.at(slug)
        if link is None:
            return _html(pages.closed(None), HTTPStatus.NOT_FOUND)
        if not link.is_open(runtime.now()) or not await links.has_room(link, runtime.now()):
            return _html(pages.closed(link), HTTPStatus.GONE)
        return _html(pages.checkout(link, new_form(), cards=takes_cards(link.mode)))

    @router.post("/{slug}")
    async def pay(slug: str, request: Request) -> Response:
        """Accept the payment, and lead to its page."""
        link = await links.at(slug)
        if link is None:
            return _html(pages.closed(None), HTTPStatus.NOT_FOUND)
        values = _values(await request.body())
        nonce = values.pop("nonce", "")
        if not _NONCE.fullmatch(nonce):
            return _html(
                pages.checkout(link, new_form(values=values), cards=takes_cards(link.mode)), HTTPStatus.BAD_REQUEST
            )
        if not link.is_open(runtime.now()):
            return _html(pages.closed(link), HTTPStatus.GONE)
        try:
            body = CreatePayment.model_validate(_body(link, values))
            await links.use(link, link.key_of(nonce), runtime.now())
            answer = await payments.create(
                link.principal,
                body,
                key=link.key_of(nonce),
                request_hash=keys.request_hash(body.model_dump_json().encode()),
                traceparent=traceparent_of(request.headers.get("traceparent")),
                wait_seconds=0,
            )
        except PaymentLinkClosed:
            return _html(pages.closed(link), HTTPStatus.GONE)
        except (ValidationError, RequestValidationError) as error:
            form = Form(nonce, values, _errors(error))
            return _html(pages.checkout(link, form, cards=takes_cards(link.mode)), HTTPStatus.BAD_REQUEST)
        except IdempotencyKeyReused:
            # It was sent before, and changed since: there is a payment already, and what became of it is the answer.
            made = await links.payment_under(link, link.key_of(nonce))
            return _to_payment(slug, None if made is None else ids.to_text("pay", made))
        except PaymentError as error:
            if not error.retryable:
                await links.take_back(link, link.key_of(nonce))
            # The same form may be sent again: a payment that was accepted after all is found by its nonce.
            form = Form(nonce, values, {_shown(error.param): error.detail})
            return _html(pages.checkout(link, form, cards=takes_cards(link.mode)), problems.status_of(error))
        return _to_payment(slug, answer.payment["id"])

    @router.get("/{slug}/{payment_id}")
    async def follow(slug: str, payment_id: str) -> Response:
        """Show what has become of a payment by this link."""
        link = await links.at(slug)
        if link is None:
            return _html(pages.closed(None), HTTPStatus.NOT_FOUND)
        try:
            payment = await payments.get(link.principal, ids.from_text("pay", payment_id))
        except (InvalidId, PaymentNotFound):
            return _html(pages.closed(None), HTTPStatus.NOT_FOUND)
        if payment["metadata"].get("payment_link") != link.text_id:
            return _html(pages.closed(None), HTTPStatus.NOT_FOUND)
        action = payment.get("next_action") or {}
        shown = {"id": payment["id"], "status": payment["status"], "url": action.get("url")}
        return _html(pages.status(link, shown, again=f"/pay/{slug}"))

    return router


def _to_payment(slug: str, payment_id: str | None) -> Response:
    place = f"/pay/{slug}" if payment_id is None else f"/pay/{slug}/{payment_id}"
    return RedirectResponse(place, HTTPStatus.SEE_OTHER, pages.HEADERS)


def _html(page: str, status: int = HTTPStatus.OK) -> Response:
    return HTMLResponse(page, status, pages.HEADERS)


def _values(raw: bytes) -> dict[str, str]:
    """Return the fields of a form, the last of each name; what is not one is left out."""
    try:
        sent = parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: sent[name][-1].strip() for name in _FIELDS if name in sent}


def _body(link: PaymentLink, values: Mapping[str, str]) -> dict[str, Any]:
    payer = {name: values[name] for name in ("name", "email", "country") if values.get(name) or name == "name"}
    if "country" in payer:
        payer["country"] = payer["country"].upper()
    method = {"type": "wallet", "wallet_id": values.get("wallet_id", "")}
    if values.get("method") == "card":
        method = {"type": "card", "token": values.get("card_token", "")}
    return {
        "amount_minor": link.amount_minor,
        "currency": link.currency,
        "payment_method": method,
        "payer": payer,
        "description": link.description,
        "metadata": link.metadata | {"payment_link": link.text_id},
    }


def _errors(error: ValidationError | RequestValidationError) -> dict[str, str]:
    """Return what is wrong by the form's field: the innermost name that the form has."""
    found: dict[str, str] = {}
    for each in error.errors():
        named = [_shown(str(part)) for part in each["loc"]]
        field = next((name for name in reversed(named) if name in _FIELDS), "")
        found.setdefault(field, str(each["msg"]).removeprefix("Value error, "))
    return found


def _shown(param: str | None) -> str:
    name = _SHOWN_AS.get(param or "", param or "")
    return name if name in _FIELDS else ""
