"""The acquirer's HTTP API, and what it does to those who asked for it.

| | |
|---|---|
| `POST /v1/authorisations` `{reference, amount_minor, currency, token, return_url?}` | hold an amount |
| `POST /v1/captures`, `/v1/voids`, `/v1/refunds` `{reference, authorisation, amount_minor?, currency?, final?}` | |
| `POST /v1/lookups` `{reference}` | what came of a reference; 404 where nothing did, and nothing will |
| `GET /challenge/{id}` | the payer's page: confirm or refuse |
| `POST /v1/settlement_files` `{mistakes?}` | settle what moved money and is in no file yet; `id` names the new one |
| `GET /v1/settlement_files/{id}` | it, as CSV |
| `POST /test/chargebacks` `{authorisation, amount_minor, reference}` | the cardholder takes the money back at once |
| `GET /v1/disputes/{id}`, `POST …/evidence` `{evidence}`, `POST …/accept` | how a dispute stands; its answer |
| `POST /test/disputes` `{reference, amount_minor, reason?, respond_within_seconds?}` | the cardholder disputes |
| `POST /test/disputes/{id}/close` `{outcome}` | the issuer decides: `won` or `lost` for the merchant |
"""

import asyncio
import hmac
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

import aiohttp
from aiohttp import web
from standardwebhooks import Webhook

from rialto_cli.acquirer_sim.books import Books, Operation, Refused, behaviour_of
from rialto_cli.acquirer_sim.disputes import ENDED, Dispute, DisputeBooks
from rialto_cli.acquirer_sim.settlement import settle
from rialto_cli.acquirer_sim.tokens import NAME, Behaviour, Step, token
from rialto_common.runtime import Runtime

SLOW_SECONDS = 3.0
HANG_SECONDS = 600.0
PAUSE_SECONDS = 0.1
WEBHOOK_TIMEOUT_SECONDS = 5.0
RESPOND_WITHIN_SECONDS = 7 * 86_400.0
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
_AMOUNT = re.compile(r"[1-9][0-9]{0,37}")
_STEPS: dict[str, Step] = {
    "authorisations": "authorise",
    "increments": "increment",
    "captures": "capture",
    "voids": "void",
    "refunds": "refund",
}
_PREFIXES = {
    "authorise": "auth",
    "increment": "inc",
    "capture": "cap",
    "void": "void",
    "refund": "rfd",
    "chargeback": "cbk",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the acquirer tells its merchant's platform what came later, signed with a secret of both."""

    url: str
    secret: str


class AcquirerSim:
    """The server's routes and its two loops: late decisions, and webhooks."""

    def __init__(
        self,
        books: Books,
        runtime: Runtime,
        *,
        api_key: str,
        public_url: str,
        webhooks: Address | None = None,
        name: str = NAME,
    ) -> None:
        """`public_url` is where payers reach it, `name` what tokens call it."""
        self._name = name
        self._books = books
        self._disputes = DisputeBooks(books)
        self._runtime = runtime
        self._api_key = api_key
        self._public_url = public_url
        self._webhooks = webhooks

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[_problems])
        app.router.add_post("/v1/lookups", self._authorised(self._look_up))
        for path in _STEPS:
            app.router.add_post(f"/v1/{{kind:{path}}}", self._authorised(self._operate))
        app.router.add_get("/challenge/{id}", self._show_challenge)
        app.router.add_post("/challenge/{id}", self._answer_challenge)
        app.router.add_post("/v1/settlement_files", self._authorised(self._settle))
        app.router.add_get("/v1/settlement_files/{id}", self._authorised(self._settlement_file))
        app.router.add_post("/test/chargebacks", self._authorised(self._charge_back))
        app.router.add_post("/test/disputes", self._authorised(self._open_dispute))
        app.router.add_post("/test/disputes/{id}/close", self._authorised(self._close_dispute))
        app.router.add_get("/v1/disputes/{id}", self._authorised(self._show_dispute))
        app.router.add_post("/v1/disputes/{id}/{answer:evidence|accept}", self._authorised(self._answer_dispute))
        app.router.add_get("/readyz", _ready)
        return app

    async def run(self) -> None:
        """Decide what is to be decided later and send webhooks, until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WEBHOOK_TIMEOUT_SECONDS)) as http:
            while True:
                for operation in self._books.due(time.time()):
                    behaviour = token(operation.token, self._name).behaviour("authorise")
                    approved = behaviour.decision == "later_approve"
                    status, code = ("authorised", None) if approved else ("declined", behaviour.code)
                    self._tell(operation, self._books.decide(operation, status, code))
                for dispute in self._disputes.expired(time.time()):
                    self._tell_of_dispute(dispute, self._disputes.close(dispute, "lost"))
                await self._send_webhooks(http)
                await self._runtime.sleep(PAUSE_SECONDS)

    # Requests -------------------------------------------------------------------------------------------------------

    async def _operate(self, request: web.Request) -> web.StreamResponse:
        step = _STEPS[request.match_info["kind"]]
        body = await _body(request)
        asked = self._asked(step, body)
        known = self._books.find(asked.reference)
        behaviour = behaviour_of(self._books, step, asked.token, asked.authorisation, self._name)
        if behaviour.decision == "challenge" and body.get("off_session") is True:
            behaviour = Behaviour("decline", "authentication_required")  # nobody is there to confirm it
        fault = None if known is not None else behaviour.fault
        if fault is not None and behaviour.when == "before":
            return await self._fail(request, fault)
        if fault == "slow":
            await self._runtime.sleep(SLOW_SECONDS)
        done = self._books.authorise(asked, behaviour) if step == "authorise" else self._books.follow(asked, behaviour)
        if known is None:
            self._tell(None, done)
        if fault is not None and fault != "slow":
            return await self._fail(request, fault)
        return web.json_response(self._view(done))

    async def _look_up(self, request: web.Request) -> web.StreamResponse:
        reference = _text(await _body(request), "reference")
        found = self._books.find(reference)
        if found is None:
            self._books.forget(reference)
            # Between the two it may have come after all.
            found = self._books.find(reference)
        if found is None:
            raise Refused(404, "reference_not_found", "nothing came under this reference, and nothing will be done")
        return web.json_response(self._view(found))

    async def _charge_back(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        asked = self._asked("refund", body)
        return web.json_response(self._view(self._books.follow(self._named(asked, "chargeback"), Behaviour())))

    async def _fail(self, request: web.Request, fault: str) -> web.StreamResponse:
        if fault == "error":
            return web.json_response({"code": "internal_error", "detail": "something broke here"}, status=500)
        if fault == "unavailable":
            return web.json_response({"code": "not_processed", "detail": "not now; nothing was done"}, status=503)
        if fault == "timeout":
            await self._runtime.sleep(HANG_SECONDS)
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError

    # Disputes -------------------------------------------------------------------------------------------------------

    async def _open_dispute(self, request: web.Request) -> web.StreamResponse:
        body, now = await _body(request), time.time()
        within = body.get("respond_within_seconds", RESPOND_WITHIN_SECONDS)
        if not isinstance(within, int | float) or not 0 <= within <= RESPOND_WITHIN_SECONDS:
            raise Refused(400, "field_invalid", "respond_within_seconds is a number of seconds, a week at most")
        opened = self._disputes.open(
            Dispute(
                id=f"dsp_{self._runtime.ids.mint().hex}",
                authorisation=self._disputed(body),
                amount_minor=_amount(body),
                reason=str(body.get("reason", "fraudulent"))[:40],
                status="needs_response",
                evidence=None,
                opened_at=now,
                respond_by=now + within,
            )
        )
        self._tell_of_dispute(None, opened)
        return web.json_response(self._disputes.view(opened))

    def _disputed(self, body: dict[str, Any]) -> str:
        """Return our own id of what is disputed, also where the platform's reference of it is given."""
        if "reference" not in body:
            return _text(body, "authorisation")
        held = self._books.find(_text(body, "reference"))
        if held is None:
            raise Refused(404, "authorisation_not_found", "there is no authorisation under this reference")
        return held.authorisation

    async def _show_dispute(self, request: web.Request) -> web.StreamResponse:
        found = self._disputes.find(request.match_info["id"])
        if found in self._disputes.expired(time.time()):
            found = self._moved(found, self._disputes.close(found, "lost"))
        return web.json_response(self._disputes.view(found))

    async def _answer_dispute(self, request: web.Request) -> web.StreamResponse:
        found, body = self._disputes.find(request.match_info["id"]), await _body(request)
        if request.match_info["answer"] == "accept":
            after = self._disputes.close(found, "lost")
        else:
            evidence = body.get("evidence")
            if not isinstance(evidence, dict) or not evidence:
                raise Refused(400, "field_invalid", "evidence is an object with at least one field")
            after = self._disputes.answer(found, evidence, time.time())
        return web.json_response(self._disputes.view(self._moved(found, after)))

    async def _close_dispute(self, request: web.Request) -> web.StreamResponse:
        found, outcome = self._disputes.find(request.match_info["id"]), _text(await _body(request), "outcome")
        if outcome not in ENDED:
            raise Refused(400, "field_invalid", "outcome is won or lost")
        after = self._moved(found, self._disputes.close(found, outcome))
        return web.json_response(self._disputes.view(after))

    def _moved(self, before: Dispute, after: Dispute) -> Dispute:
        if after != before:
            self._tell_of_dispute(before, after)
        return after

    def _tell_of_dispute(self, before: Dispute | None, after: Dispute) -> None:
        """Put how a dispute stands in line, in the way of its card's token."""
        if self._webhooks is None:
            return
        now, told = time.time(), token(self._disputes.token_of(after)).webhooks
        if told == "out_of_order" and before is None:
            return  # it comes later, after the newer one
        self._queue_dispute(after, now)
        if told == "twice":
            self._queue_dispute(after, now)
        elif told == "out_of_order" and before is not None:
            self._queue_dispute(before, now + 1)

    def _queue_dispute(self, dispute: Dispute, due_at: float) -> None:
        kind = {"needs_response": "opened", "under_review": "updated"}.get(dispute.status, "closed")
        body = {"type": f"dispute.{kind}", "dispute": self._disputes.view(dispute)}
        self._books.queue_webhook(f"msg_{dispute.id}_{dispute.status}", json.dumps(body), due_at)

    # The payer ------------------------------------------------------------------------------------------------------

    async def _show_challenge(self, request: web.Request) -> web.StreamResponse:
        held = self._challenged(request)
        buttons = "".join(
            f'<button name="answer" value="{value}">{label}</button> '
            for value, label in (("approve", "It is me: pay"), ("reject", "Do not pay"))
        )
        text = f"Pay {held.amount_minor} minor units of {escape(held.currency)}?"
        page = f'<!doctype html><html lang="en"><title>Your bank</title><h1>Your bank</h1><p>{text}</p>'
        return web.Response(text=f'{page}<form method="post">{buttons}</form></html>', content_type="text/html")

    async def _answer_challenge(self, request: web.Request) -> web.StreamResponse:
        held = self._challenged(request)
        approved = (await request.post()).get("answer") == "approve"
        if held.status == "requires_action":
            status, code = ("authorised", None) if approved else ("declined", "authentication_failed")
            self._tell(held, self._books.decide(held, status, code))
        if held.return_url is None:
            return web.Response(text="Thank you. You may close this page.")
        raise web.HTTPSeeOther(held.return_url)

    def _challenged(self, request: web.Request) -> Operation:
        held = self._books.by_id(request.match_info["id"])
        if held is None or held.step != "authorise":
            raise Refused(404, "not_found", "there is nothing to confirm at this address")
        return held

    # Webhooks -------------------------------------------------------------------------------------------------------

    def _tell(self, before: Operation | None, after: Operation) -> None:
        """Put what became of an operation in line, in the way of its token."""
        if self._webhooks is None:
            return
        now, told = time.time(), token(after.token, self._name).webhooks
        if told == "out_of_order" and before is None:
            return  # it comes later, after the newer one
        self._queue(after, now)
        if told == "twice":
            self._queue(after, now)
        elif told == "out_of_order" and before is not None:
            self._queue(before, now + 1)

    def _queue(self, operation: Operation, due_at: float) -> None:
        message_id = f"msg_{operation.id}_{operation.status}"
        self._books.queue_webhook(message_id, json.dumps(self._view(operation)), due_at)

    async def _send_webhooks(self, http: aiohttp.ClientSession) -> None:
        if self._webhooks is None:
            return
        for row in self._books.webhooks_due(time.time()):
            now = datetime.now(UTC)
            headers = {
                "Content-Type": "application/json",
                "webhook-id": row["id"],
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": Webhook(self._webhooks.secret).sign(row["id"], now, row["body"]),
            }
            try:
                async with http.post(self._webhooks.url, data=row["body"], headers=headers) as response:
                    taken = response.status < 300
            except (aiohttp.ClientError, TimeoutError):
                taken = False
            if taken:
                self._books.webhook_taken(row["nth"])
            else:
                pause = min(FIRST_RETRY_SECONDS * 2 ** row["attempts"], LONGEST_RETRY_SECONDS)
                self._books.webhook_failed(row["nth"], time.time() + pause)

    # Settlement -----------------------------------------------------------------------------------------------------

    async def _settle(self, request: web.Request) -> web.StreamResponse:
        mistakes = (await _body(request)).get("mistakes", [])
        if not isinstance(mistakes, list):
            raise Refused(400, "field_invalid", "mistakes is a list of names")
        name, lines = settle(self._books, mistakes)
        return web.json_response({"id": name, "lines": lines})

    async def _settlement_file(self, request: web.Request) -> web.StreamResponse:
        body = self._books.settlement_file(request.match_info["id"])
        if body is None:
            raise Refused(404, "not_found", "there is no such settlement file")
        return web.Response(text=body, content_type="text/csv")

    # Shared ---------------------------------------------------------------------------------------------------------

    def _authorised(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        expected = f"Bearer {self._api_key}".encode()

        async def checked(request: web.Request) -> web.StreamResponse:
            if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected):
                raise Refused(401, "unauthenticated", "send Authorization: Bearer and the key of this acquirer")
            return await handler(request)

        return checked

    def _asked(self, step: Step, body: dict[str, Any]) -> Operation:
        reference = _text(body, "reference")
        operation_id = f"{_PREFIXES[step]}_{self._runtime.ids.mint().hex}"
        return_url = body.get("return_url")
        return Operation(
            reference=reference,
            id=operation_id,
            step=step,
            authorisation=operation_id if step == "authorise" else _text(body, "authorisation"),
            amount_minor=0 if step == "void" else _amount(body),
            currency="" if step == "void" else _text(body, "currency"),
            token=_text(body, "token") if step == "authorise" else "",
            status="",
            code=None,
            final=bool(body.get("final", False)),
            return_url=None if return_url is None else str(return_url),
            created_at=time.time(),
            decide_at=None,
        )

    def _named(self, asked: Operation, step: str) -> Operation:
        operation_id = f"{_PREFIXES[step]}_{self._runtime.ids.mint().hex}"
        return Operation(
            **{name: getattr(asked, name) for name in Operation.__slots__ if name not in ("step", "id")},
            step=step,
            id=operation_id,
        )

    def _view(self, operation: Operation) -> dict[str, Any]:
        view: dict[str, Any] = {
            "id": operation.id,
            "reference": operation.reference,
            "step": operation.step,
            "authorisation": operation.authorisation,
            "status": operation.status,
            "code": operation.code,
            "amount_minor": str(operation.amount_minor),
            "currency": operation.currency,
        }
        if operation.status == "requires_action":
            view["url"] = f"{self._public_url}/challenge/{operation.id}"
        return view


@web.middleware
async def _problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return web.json_response({"code": refused.code, "detail": refused.detail}, status=refused.status)


async def _ready(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"status": "ready"})


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise Refused(400, "json_malformed", "the body is not JSON") from error
    if not isinstance(body, dict):
        raise Refused(400, "json_malformed", "the body is an object")
    return body


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        raise Refused(400, "field_invalid", f"{name} is a text of 1 to 255 characters")
    return value


def _amount(body: dict[str, Any]) -> int:
    value = body.get("amount_minor")
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise Refused(400, "field_invalid", "amount_minor is a whole number of minor units in a text, above 0")
    return int(value)
