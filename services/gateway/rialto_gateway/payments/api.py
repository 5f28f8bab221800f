"""`/v1/payments`."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from rialto_common import ids
from rialto_common.errors import CursorInvalid, InvalidId
from rialto_common.request_bodies import documented_body, read_body
from rialto_gateway.answers import json_answer as json_answer
from rialto_gateway.answers import replay_header as replay_header
from rialto_gateway.cursors import NOT_OURS, id_cursor
from rialto_gateway.expand import OF_PAYMENT, OF_PAYMENTS, Expansions, expand_query, read_expand
from rialto_gateway.idempotency import IdempotentRequests, required_key
from rialto_gateway.increments.service import IncrementService
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.bodies import (
    CapturePayment,
    CreatePayment,
    IncrementPayment,
    ReviewPayment,
    VoidPayment,
    instant,
    plausible,
)
from rialto_gateway.payments.facts import CaptureAsked, ReviewDecided, VoidAsked
from rialto_gateway.payments.overload import Admission
from rialto_gateway.payments.service import FIRST_ID, PaymentService
from rialto_gateway.payments.states import State
from rialto_gateway.payments.wait import wait_of
from rialto_gateway.requests import DirectRoute, caller_of, headers_of, traceparent_of

PAYMENT_EXAMPLE = {
    "amount_minor": "1250",
    "currency": "USD",
    "payment_method": {"type": "wallet", "wallet_id": "wal_01kb6w1m8xf0gbb7n5d8jq2c4r"},
    "payer": {"name": "Ada Example", "country": "GB"},
    "capture_method": "automatic",
    "description": "Order 1001",
}
PREFER_HEADER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "example": "wait=5"},
    "description": "wait=N: hold the answer up to N (at most 30) seconds for the decision",
}
WAITS = {"parameters": [PREFER_HEADER]}


def payment_router(
    payments: PaymentService,
    increments: IncrementService,
    keys: ApiKeys,
    once: IdempotentRequests,
    admission: Admission,
    expansions: Expansions,
) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/payments", tags=["payments"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    async def create_payment(request: Request) -> Response:
        """Accept a payment. The answer comes once it is durable; the decision follows, or is waited for with Prefer."""
        admission.check()
        header = headers_of(request)
        principal = await keys.admit(request.scope, header(b"authorization"), header(b"rialto-version"))
        raw = await request.body()
        body = read_body(CreatePayment, raw)
        key = required_key(header(b"idempotency-key"))
        answer = await payments.create(
            principal,
            body,
            key=key,
            request_hash=keys.request_hash(body.model_dump_json().encode()),
            traceparent=traceparent_of(header(b"traceparent")),
            wait_seconds=wait_of(header(b"prefer")),
        )
        return json_answer(answer.payment, 200 if answer.decided else 202, replay_header(answer.replayed))

    router.add_api_route(
        "",
        create_payment,
        methods=["POST"],
        status_code=202,
        openapi_extra=documented_body(CreatePayment, PAYMENT_EXAMPLE) | WAITS,
        responses={200: {"description": "decided within the time of Prefer: wait"}},
        route_class_override=DirectRoute,
    )

    @router.get("")
    async def list_payments(
        caller: Caller,
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
        cursor: str | None = None,
        status: State | None = None,
        updated_since: datetime | None = None,
        mode: Literal["test", "live"] = "test",
        expand: Annotated[list[str], expand_query(OF_PAYMENTS)] = [],  # noqa: B006 - FastAPI copies it
    ) -> Response:
        """List payments, newest first; or with `updated_since` those that changed, in the order of change.

        With `status` a page may be short or empty while `has_more` is true: ask on with `next_cursor`.
        `expand[]=data.payout`, `data.customer`, `data.payment_method.payment_method`, `data.payment_method.mandate`,
        `data.refunds`, `data.disputes`, `data.captures` and `data.timeline` show these with each payment.
        """
        mode = caller.mode or mode
        wanted = frozenset(path.removeprefix("data.") for path in read_expand(expand, OF_PAYMENTS, caller))
        if updated_since is None:
            before = id_cursor("pay", cursor)
            data, more = await payments.newest(caller, mode, limit=limit, before=before, status=status)
            await expansions.add(wanted, data, caller)
            return json_answer({"object": "list", "data": data, "has_more": more is not None, "next_cursor": more})
        since, after = instant(updated_since, "updated_since"), FIRST_ID
        if cursor is not None:
            since, after = _place(cursor)
        data, place, has_more = await payments.changed_since(
            caller, mode, since=since, after=after, status=status, limit=limit
        )
        await expansions.add(wanted, data, caller)
        return json_answer({"object": "list", "data": data, "has_more": has_more, "next_cursor": place})

    @router.get("/{payment_id}")
    async def get_payment(
        payment_id: str,
        caller: Caller,
        expand: Annotated[list[str], expand_query(OF_PAYMENT)] = [],  # noqa: B006 - as above
    ) -> Response:
        """Return a payment with its timeline, captures and increments.

        `expand[]=payout`, `customer`, `payment_method.payment_method`, `payment_method.mandate`, `refunds` and
        `disputes` show these with it.
        """
        wanted = read_expand(expand, OF_PAYMENT, caller)
        payment = await payments.get(caller, ids.from_text("pay", payment_id))
        await expansions.add(wanted, [payment], caller)
        return json_answer(payment)

    async def commanded(
        request: Request,
        caller: Principal,
        payment_id: str,
        name: str,
        body: BaseModel,
        work: Callable[[UUID, str, bytes], Awaitable[dict[str, Any]]],
    ) -> Response:
        """Run a command once per key, and with Prefer: wait say what has become of the payment since."""
        wanted = ids.from_text("pay", payment_id)
        key = required_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json().encode())

        async def run() -> dict[str, Any]:
            return await work(wanted, key, request_hash)

        answer = await once.first_answer(caller, f"{name}/{payment_id}", key, request_hash, run)
        seconds = wait_of(request.headers.get("prefer"))
        if answer.status_code != 200 or seconds == 0:
            return answer
        replayed = "idempotency-replayed" in answer.headers
        return json_answer(await payments.settled_down(caller, wanted, seconds), headers=replay_header(replayed))

    @router.post(
        "/{payment_id}/capture",
        openapi_extra=documented_body(CapturePayment, {"amount_minor": "500", "final": False}) | WAITS,
    )
    async def capture_payment(payment_id: str, request: Request, caller: Caller) -> Response:
        """Capture all or part of an authorised payment."""
        caller.merchant()
        body = read_body(CapturePayment, await request.body())

        async def work(wanted: UUID, key: str, request_hash: bytes) -> dict[str, Any]:
            fact = CaptureAsked(body.amount_minor, body.final)
            payment, _ = await payments.capture(
                caller, wanted, fact, key=key, request_hash=request_hash, wait_seconds=0.0
            )
            return payment

        return await commanded(request, caller, payment_id, "capture", body, work)

    @router.post(
        "/{payment_id}/increments", openapi_extra=documented_body(IncrementPayment, {"amount_minor": "1800"}) | WAITS
    )
    async def increment_payment(payment_id: str, request: Request, caller: Caller) -> Response:
        """Have more authorised under a payment that is, before it is captured: an incremental authorisation.

        `amount_minor` is the new total. Declined, it leaves what was authorised as it was, and `increments` says why.
        """
        caller.merchant()
        body = read_body(IncrementPayment, await request.body())

        async def work(wanted: UUID, key: str, request_hash: bytes) -> dict[str, Any]:
            await increments.ask(caller, wanted, body.amount_minor, key=key, request_hash=request_hash)
            return await payments.get(caller, wanted)

        return await commanded(request, caller, payment_id, "increments", body, work)

    @router.post("/{payment_id}/void", openapi_extra=documented_body(VoidPayment, {}) | WAITS)
    async def void_payment(payment_id: str, request: Request, caller: Caller) -> Response:
        """Give back what is not captured."""
        caller.merchant()
        body = read_body(VoidPayment, await request.body())

        async def work(wanted: UUID, _key: str, _request_hash: bytes) -> dict[str, Any]:
            return await payments.command(caller, wanted, VoidAsked(), actor="merchant")

        return await commanded(request, caller, payment_id, "void", body, work)

    @router.post(
        "/{payment_id}/review",
        openapi_extra=documented_body(ReviewPayment, {"decision": "approve"}) | WAITS,
    )
    async def decide_review(payment_id: str, request: Request, caller: Caller) -> Response:
        """Decide a payment in review; the operator's key only."""
        caller.require_operator()
        body = read_body(ReviewPayment, await request.body())

        async def work(wanted: UUID, _key: str, _request_hash: bytes) -> dict[str, Any]:
            return await payments.command(caller, wanted, ReviewDecided(body.decision, "operator"), actor="operator")

        return await commanded(request, caller, payment_id, "review", body, work)

    return router


def _place(cursor: str) -> tuple[datetime, UUID]:
    at, _, last = cursor.partition("/")
    try:
        return plausible(datetime.fromisoformat(at)), ids.from_text("pay", last)
    except (ValueError, InvalidId) as error:
        raise CursorInvalid(NOT_OURS, param="cursor") from error
