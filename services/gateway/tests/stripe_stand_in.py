"""As much of Stripe as the gateway speaks to, as an HTTP server of its own: for tests alone.

It keeps Stripe's promises: an idempotency key is acted on once, and answered as the first time, also where that was a
500; with other parameters it is refused; an intent is read as it is now. What a card does, its token says, as at the
simulated acquirer (`rialto_cli/acquirer_sim/tokens.py`).
"""

import asyncio
import hmac
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from rialto_cli.acquirer_sim.tokens import Step, token
from rialto_cli.embedded.processes import free_ports

KEY = "sk_test_of_the_stand_in"
WEBHOOK_SECRET = "whsec_of_the_stand_in"
DECLINE_CODES = {
    "insufficient_funds": "insufficient_funds",
    "card_expired": "expired_card",
    "do_not_honour": "do_not_honor",
    "lost_or_stolen": "stolen_card",
    "fraud_suspected": "fraudulent",
    "limit_exceeded": "card_velocity_exceeded",
    "invalid_card": "incorrect_number",
    "issuer_unavailable": "issuer_not_available",
}
Object = dict[str, Any]


class Refused(Exception):
    """An error of the API."""

    def __init__(self, status: int, kind: str, code: str, **more: Any) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"type": kind, "code": code, "message": code, **more}}


def invalid(code: str, status: int = 400) -> Refused:
    return Refused(status, "invalid_request_error", code)


@dataclass
class StripeStandIn:
    """The server; `searchable` says whether the search has caught up."""

    searchable: bool = True
    intents: dict[str, Object] = field(default_factory=dict)
    refunds: dict[str, Object] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    keys: dict[str, tuple[str, int, Object]] = field(default_factory=dict)
    busy: bool = False
    url: str = ""
    _tokens: dict[str, str] = field(default_factory=dict)
    _can_be_raised: dict[str, str] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)
    _numbers: Any = field(default_factory=lambda: count(1))
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_route("*", "/v1/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        [port] = free_ports(1)
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        """End."""
        if self._runner is not None:
            await self._runner.cleanup()

    def forget_keys(self) -> None:
        """Let a day pass: Stripe prunes the keys."""
        self.keys.clear()

    def act(self, intent_id: str, *, approve: bool) -> None:
        """Let the payer confirm at their bank, or refuse."""
        self._conclude(self.intents[intent_id], None if approve else "payment_intent_authentication_failure")

    def held_minor(self) -> int:
        """Return what is authorised and not captured."""
        return sum(each["amount_capturable"] for each in self.intents.values())

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path, parameters = request.match_info["path"], dict(parse_qsl(await request.text(), keep_blank_values=True))
        self.requests.append((request.method, path))
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _answer(401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}})
        if self.busy:
            return _answer(429, {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "busy"}})
        key = request.headers.get("Idempotency-Key")
        try:
            if request.method == "GET":
                return _answer(200, self._get(path, dict(request.query)))
            return await self._once(request, key or "", path, parameters)
        except Refused as refused:
            return _answer(refused.status, refused.body)

    async def _once(self, request: web.Request, key: str, path: str, parameters: Object) -> web.StreamResponse:
        print_of = json.dumps([path, parameters], sort_keys=True)
        if key in self.keys:
            before, status, body = self.keys[key]
            if before != print_of:
                raise Refused(400, "idempotency_error", "")
            return _answer(status, body, replayed=True)
        fault, when = self._fault(key, path, parameters)
        if fault is not None and when == "before":
            return await self._fail(request, fault, key, print_of)
        try:
            status, body = 200, self._post(path, parameters)
        except Refused as refused:
            status, body = refused.status, refused.body
        if fault == "error":
            return await self._fail(request, fault, key, print_of)
        self.keys[key] = print_of, status, json.loads(json.dumps(body))
        return _answer(status, body) if fault is None else await self._fail(request, fault, key, print_of)

    def _fault(self, key: str, path: str, parameters: Object) -> tuple[str | None, str]:
        """Return what goes wrong, the first time that a key comes."""
        step = self._step(path)
        if step is None or key in self._failed or key.endswith(":forget"):
            return None, ""
        self._failed.add(key)
        intent = parameters.get("payment_intent") or path.split("/")[1]
        behaviour = token(self._tokens.get(intent, "")).behaviour(step)
        return (None, "") if behaviour.fault == "slow" else (behaviour.fault, behaviour.when)

    async def _fail(self, request: web.Request, fault: str, key: str, print_of: str) -> web.StreamResponse:
        if fault == "error":
            self.keys[key] = print_of, 500, {"error": {"type": "api_error", "message": "something broke"}}
            return _answer(500, self.keys[key][2])
        if fault == "timeout":
            await asyncio.sleep(60)
        if request.transport is not None:
            request.transport.abort()
        raise asyncio.CancelledError

    @staticmethod
    def _step(path: str) -> Step | None:
        last = path.rsplit("/", 1)[-1]
        steps: dict[str, Step] = {
            "confirm": "authorise",
            "increment_authorization": "increment",
            "capture": "capture",
            "cancel": "void",
            "refunds": "refund",
        }
        return steps.get(last)

    def _get(self, path: str, query: Object) -> Object:
        if path == "refunds":
            data = [each for each in self.refunds.values() if each["payment_intent"] == query["payment_intent"]]
            return {"object": "list", "data": data, "has_more": False, "url": "/v1/refunds"}
        if path == "payment_intents/search":
            wanted = re.findall(r"'([^']+)'", query["query"])
            data = [each for each in self.intents.values() if each["metadata"].get(wanted[0]) == wanted[1]]
            found = data if self.searchable else []
            return {"object": "search_result", "data": found, "has_more": False, "url": "/v1/payment_intents/search"}
        return self._intent(path.split("/")[1])

    def _post(self, path: str, parameters: Object) -> Object:
        match path.split("/"):
            case ["payment_intents"]:
                return self._create(parameters)
            case ["payment_intents", intent_id, "confirm"]:
                return self._confirm(self._intent(intent_id), parameters)
            case ["payment_intents", intent_id, "increment_authorization"]:
                return self._increment(self._intent(intent_id), parameters)
            case ["payment_intents", intent_id, "capture"]:
                return self._capture(self._intent(intent_id), parameters)
            case ["payment_intents", intent_id, "cancel"]:
                return self._cancel(self._intent(intent_id))
            case ["refunds"]:
                return self._refund(self._intent(parameters["payment_intent"]), parameters)
        raise invalid("url_invalid", 404)

    def _intent(self, intent_id: str) -> Object:
        if intent_id not in self.intents:
            raise invalid("resource_missing", 404)
        return self.intents[intent_id]

    def _create(self, parameters: Object) -> Object:
        assert parameters["capture_method"] == "manual"
        intent_id = f"pi_{next(self._numbers)}"
        self._tokens[intent_id] = parameters["payment_method_data[card][token]"]
        wanted = "payment_method_options[card][request_incremental_authorization]"
        self._can_be_raised[intent_id] = parameters.get(wanted, "never")
        intent = {
            "id": intent_id,
            "object": "payment_intent",
            "amount": int(parameters["amount"]),
            "amount_capturable": 0,
            "amount_received": 0,
            "currency": parameters["currency"],
            "status": "requires_confirmation",
            "latest_charge": None,
            "last_payment_error": None,
            "next_action": None,
            "metadata": _metadata(parameters),
        }
        self.intents[intent_id] = intent
        return intent

    def _confirm(self, intent: Object, parameters: Object) -> Object:
        if intent["status"] != "requires_confirmation":
            raise invalid("payment_intent_unexpected_state")
        behaviour = token(self._tokens[intent["id"]]).behaviour("authorise")
        if behaviour.decision == "challenge":
            if "return_url" not in parameters:
                self._conclude(intent, "authentication_required")
                raise Refused(402, "card_error", "authentication_required")
            url = f"{self.url}/3ds/{intent['id']}"
            intent |= {"status": "requires_action", "next_action": {"redirect_to_url": {"url": url}}}
        elif behaviour.decision in ("later_approve", "later_decline"):
            intent["status"] = "processing"
        elif behaviour.decision == "decline":
            code = DECLINE_CODES[behaviour.code or ""]
            self._conclude(intent, code)
            raise Refused(402, "card_error", "card_declined", decline_code=code)
        else:
            self._conclude(intent, None)
        return intent

    def _conclude(self, intent: Object, error: str | None) -> None:
        intent["next_action"] = None
        if error is not None:
            intent |= {"status": "requires_payment_method", "last_payment_error": {"decline_code": error}}
            return
        intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
        intent["latest_charge"] = f"ch_{intent['id']}"

    def _increment(self, intent: Object, parameters: Object) -> Object:
        """Raise it; of one that is declined nothing changes, its metadata neither."""
        amount = int(parameters["amount"])
        if intent["status"] != "requires_capture" or amount <= intent["amount"]:
            raise invalid("payment_intent_unexpected_state")
        if self._can_be_raised.get(intent["id"]) != "if_available":
            raise invalid("incremental_authorization_not_supported")
        behaviour = token(self._tokens[intent["id"]]).behaviour("increment")
        if behaviour.decision == "decline":
            code = DECLINE_CODES[behaviour.code or ""]
            raise Refused(402, "card_error", "card_declined", decline_code=code)
        intent["amount_capturable"] += amount - intent["amount"]
        intent["amount"] = amount
        intent["metadata"] |= _metadata(parameters)
        return intent

    def _capture(self, intent: Object, parameters: Object) -> Object:
        amount = int(parameters["amount_to_capture"])
        if token(self._tokens[intent["id"]]).behaviour("capture").decision == "decline":
            raise Refused(402, "card_error", "capture_charge_authorization_expired")
        if intent["status"] != "requires_capture":
            raise invalid("payment_intent_unexpected_state")
        if amount > intent["amount_capturable"]:
            raise invalid("amount_too_large")
        intent["amount_received"] += amount
        intent["amount_capturable"] -= amount
        intent["metadata"] |= _metadata(parameters)
        if parameters.get("final_capture") != "false":
            intent |= {"amount_capturable": 0, "status": "succeeded"}
        return intent

    def _cancel(self, intent: Object) -> Object:
        if intent["status"] in ("succeeded", "canceled"):
            raise invalid("payment_intent_unexpected_state")
        intent |= {"status": "canceled", "amount_capturable": 0}
        return intent

    def _refund(self, intent: Object, parameters: Object) -> Object:
        amount = int(parameters["amount"])
        given = sum(each["amount"] for each in self.refunds.values() if each["payment_intent"] == intent["id"])
        if amount > intent["amount_received"] - given:
            raise invalid("amount_too_large")
        failed = token(self._tokens[intent["id"]]).behaviour("refund").decision == "decline"
        refund = {
            "id": f"re_{next(self._numbers)}",
            "object": "refund",
            "amount": amount,
            "payment_intent": intent["id"],
            "status": "failed" if failed else "succeeded",
            "failure_reason": "expired_or_canceled_card" if failed else None,
            "metadata": _metadata(parameters),
        }
        self.refunds[refund["id"]] = refund
        return refund


def signed(kind: str, about: Object, *, secret: str = WEBHOOK_SECRET, age_seconds: float = 0) -> tuple[bytes, Object]:
    """Return an event as Stripe sends it, and its headers."""
    body = json.dumps({"id": "evt_1", "object": "event", "type": kind, "data": {"object": about}}).encode()
    at = int(time.time() - age_seconds)
    signature = hmac.digest(secret.encode(), f"{at}.".encode() + body, sha256).hex()
    return body, {"stripe-signature": f"t={at},v1={signature}"}


def _metadata(parameters: Object) -> dict[str, str]:
    found: Callable[[str], re.Match[str] | None] = re.compile(r"metadata\[(.+)\]").fullmatch
    return {match[1]: value for name, value in parameters.items() if (match := found(name)) is not None}


def _answer(status: int, body: Object, *, replayed: bool = False) -> web.Response:
    headers = {"Request-Id": "req_1"} | ({"Idempotent-Replayed": "true"} if replayed else {})
    return web.json_response(body, status=status, headers=headers)
