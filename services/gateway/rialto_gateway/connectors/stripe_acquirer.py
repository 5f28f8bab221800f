"""Stripe behind the port, through its own SDK: PaymentIntents that are captured by hand.

An authorisation is two requests: an intent is created, which moves nothing, and then confirmed. So a look-up can always
find the intent (creating again under the same key returns it), read it, and cancel one that was not confirmed: a
confirmation that was delayed is refused from then on, and only then is `NotFound` said. What follows an authorisation
is found by our reference in what it is about; where it is not there, it is asked for again under the same key, which
Stripe acts on once. docs/decisions/0010-stripe-through-its-sdk.md says why.

Our reference is the idempotency key of everything. The SDK's own retries are off: asking again is the resolver's work.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import stripe

from rialto_common import ids
from rialto_common.errors import InvalidId
from rialto_common.runtime import Runtime
from rialto_gateway.connectors.port import (
    Answer,
    Authorise,
    Capture,
    Declined,
    Increment,
    NotFound,
    NotSent,
    Question,
    Refund,
    Succeeded,
    Unknown,
    Void,
)
from rialto_gateway.connectors.stripe_answers import (
    REFERENCE,
    Lost,
    answer_to,
    is_burnt,
    of_intent,
    of_refund,
)

NAME = "stripe"
Read = Callable[[stripe.StripeError], Answer]
Intent = dict[str, Any]
"""A PaymentIntent, as Stripe's API reference has it."""

API_BASE = "https://api.stripe.com"
KEYS_KEPT = timedelta(hours=23)
"""Stripe keeps idempotency keys for 24 hours at least; younger than this, one that is not known never arrived."""

ODD_CURRENCIES = frozenset({"ISK", "UGX"})
"""Their minor unit at Stripe is not ISO 4217's."""
THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Stripe takes these in tens of the minor unit alone."""
UNEXPECTED_STATE = "payment_intent_unexpected_state"
MAX_AMOUNT_MINOR = 99_999_999
_IF_AVAILABLE = {"request_multicapture": "if_available", "request_incremental_authorization": "if_available"}
"""What not every card allows: captures in parts, and more to be authorised later."""


class Transport(stripe.HTTPClient):
    """Sends the SDK's requests with a client of ours, and so within its limits, once each."""

    name = "rialto"

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__()
        self._http = http

    async def request_async(self, method: str, url: str, headers: Any, post_data: Any = None) -> tuple[bytes, int, Any]:
        """Send a request. Raises: Lost."""
        try:
            response = await self._http.request(method, url, headers=headers, content=post_data)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Lost(NotSent("not_connected")) from error
        except httpx.TimeoutException as error:
            raise Lost(Unknown("timed_out")) from error
        except httpx.HTTPError as error:
            raise Lost(Unknown("connection_lost")) from error
        return response.content, response.status_code, response.headers


class StripeAcquirer:
    """Asks Stripe."""

    name = NAME

    def __init__(self, http: httpx.AsyncClient, api_key: str, runtime: Runtime, api_base: str = API_BASE) -> None:
        """`http` has time limits, follows no redirects and is closed by its owner."""
        client = stripe.StripeClient(
            api_key, http_client=Transport(http), max_network_retries=0, base_addresses={"api": api_base}
        )
        self._intents = client.v1.payment_intents
        self._refunds = client.v1.refunds
        self._runtime = runtime

    async def authorise(self, question: Authorise) -> Answer:
        """Ask for an authorisation: create an intent, and confirm it."""
        if (refusal := _not_taken(question.amount_minor, question.currency)) is not None:
            return refusal
        try:
            intent = await self._create(question)
        except stripe.StripeError as error:
            answer = answer_to(error)
            # An intent that is not confirmed moves nothing, whether or not it was made.
            return NotSent(answer.code) if isinstance(answer, Unknown) and not _is_reused(error) else answer
        try:
            return of_intent(await self._confirm(question, intent["id"]))
        except stripe.InvalidRequestError as error:
            forgotten = error.code == UNEXPECTED_STATE and (await self._read(intent["id"]))["status"] == "canceled"
            return NotSent("reference_forgotten") if forgotten else answer_to(error)
        except stripe.StripeError as error:
            return answer_to(error)

    async def increment(self, question: Increment) -> Answer:
        """Ask for more to be authorised; `increment_not_supported` where the card or the intent does not allow it."""
        if (refusal := _not_taken(question.amount_minor, question.currency)) is not None:
            return Declined(refusal.code, refusal.code)
        return await self._said(self._increment(question), _of_increment)

    async def capture(self, question: Capture) -> Answer:
        """Ask for a capture."""
        return await self._said(self._capture(question))

    async def void(self, question: Void) -> Answer:
        """Ask for a void."""
        return await self._said(self._void(question))

    async def refund(self, question: Refund) -> Answer:
        """Ask for a refund."""
        return await self._said(self._refund(question))

    async def lookup(self, question: Question) -> Answer:
        """Ask what came of a question; what did not come of it is made impossible, or asked for once more."""
        try:
            if isinstance(question, Authorise):
                return await self._look_for_intent(question)
            if isinstance(question, Increment):
                return await self._look_for(
                    lambda: self._named(question), lambda: self._increment(question), _of_increment
                )
            if isinstance(question, Capture):
                return await self._look_for(lambda: self._named(question), lambda: self._capture(question))
            if isinstance(question, Void):
                return await self._look_for(lambda: self._voided(question), lambda: self._void(question))
            return await self._look_for(lambda: self._refunded(question), lambda: self._refund(question))
        except stripe.StripeError as error:
            answer = answer_to(error)
            return answer if isinstance(answer, Unknown) else Unknown(_code(answer))

    # Requests -------------------------------------------------------------------------------------------------------

    async def _create(self, question: Authorise) -> Intent:
        """Create the intent, or find the one that was created under the same reference, as it was then."""
        params: Any = {
            "amount": question.amount_minor,
            "currency": question.currency.lower(),
            "capture_method": "manual",
            "payment_method_types": ["card"],
            "payment_method_data": {"type": "card", "card": {"token": question.token}},
            "payment_method_options": {"card": _IF_AVAILABLE},
            "metadata": {REFERENCE: question.reference},
        }
        if question.descriptor is not None:
            params["statement_descriptor_suffix"] = question.descriptor
        options: Any = {"idempotency_key": f"{question.reference}:create"}
        return (await self._intents.create_async(params, options)).to_dict()

    async def _confirm(self, question: Authorise, intent_id: str) -> Intent:
        # A payer can be sent to their bank only if they are there, and with a place to come back to.
        params: Any = {"error_on_requires_action": True}
        if question.off_session:
            params = {"off_session": True}
        elif question.return_url is not None:
            params = {"return_url": question.return_url}
        options: Any = {"idempotency_key": f"{question.reference}:confirm"}
        return (await self._intents.confirm_async(intent_id, params, options)).to_dict()

    async def _read(self, intent_id: str) -> Intent:
        return (await self._intents.retrieve_async(intent_id)).to_dict()

    async def _increment(self, question: Increment) -> Answer:
        params: Any = {
            "amount": question.amount_minor,
            # In the same request: of one that is declined Stripe changes nothing, so whoever reads it there knows.
            "metadata": {question.reference: str(question.amount_minor)},
        }
        options: Any = {"idempotency_key": question.reference}
        intent = (await self._intents.increment_authorization_async(question.authorisation, params, options)).to_dict()
        return Succeeded(str(intent["id"]), question.amount_minor)

    async def _capture(self, question: Capture) -> Answer:
        params: Any = {
            "amount_to_capture": question.amount_minor,
            # In the same request, so that whoever reads the intent sees both or neither.
            "metadata": {question.reference: str(question.amount_minor)},
        }
        if not question.final:
            params["final_capture"] = False
        options: Any = {"idempotency_key": question.reference}
        intent = (await self._intents.capture_async(question.authorisation, params, options)).to_dict()
        return Succeeded(str(intent["id"]), question.amount_minor)

    async def _void(self, question: Void) -> Answer:
        options: Any = {"idempotency_key": question.reference}
        return _let_go((await self._intents.cancel_async(question.authorisation, {}, options)).to_dict())

    async def _refund(self, question: Refund) -> Answer:
        params: Any = {
            "payment_intent": question.authorisation,
            "amount": question.amount_minor,
            "metadata": {REFERENCE: question.reference},
        }
        return of_refund((await self._refunds.create_async(params, {"idempotency_key": question.reference})).to_dict())

    async def _said(self, request: Awaitable[Answer], read: Read = answer_to) -> Answer:
        try:
            return await request
        except stripe.StripeError as error:
            return read(error)

    # Look-ups -------------------------------------------------------------------------------------------------------

    async def _look_for_intent(self, question: Authorise) -> Answer:
        """Find the intent by creating it again, while Stripe knows its key; cancel one that was not confirmed."""
        if not self._is_young(question.reference):
            return await self._search(question.reference)
        try:
            intent = await self._create(question)
        except stripe.StripeError as error:
            answer = NotFound() if is_burnt(error) else answer_to(error)
            if isinstance(answer, NotFound | Declined):
                return answer  # without an intent, nothing was confirmed
            raise
        return await self._concluded(intent["id"], question.reference)

    async def _concluded(self, intent_id: str, reference: str) -> Answer:
        found = of_intent(await self._read(intent_id))
        return await self._forget(intent_id, reference) if isinstance(found, NotFound) else found

    async def _forget(self, intent_id: str, reference: str) -> Answer:
        """Cancel an intent that was not confirmed; one that was meanwhile lets go of its money by it."""
        try:
            await self._intents.cancel_async(intent_id, {}, {"idempotency_key": f"{reference}:forget"})
        except stripe.InvalidRequestError:
            intent = await self._read(intent_id)
            found = of_intent(intent)
            return Unknown("open") if isinstance(found, NotFound) and intent["status"] != "canceled" else found
        return NotFound()

    async def _search(self, reference: str) -> Answer:
        """Find an intent older than the keys are kept. The search lags behind: that it finds nothing proves nothing."""
        found = await self._intents.search_async({"query": f"metadata['{REFERENCE}']:'{reference}'"})
        for each in found.data:
            return await self._concluded(each.id, reference)
        return Unknown("too_old_to_be_found")

    async def _look_for(
        self,
        read: Callable[[], Awaitable[Answer | None]],
        ask: Callable[[], Awaitable[Answer]],
        said: Read = answer_to,
    ) -> Answer:
        """Read what was done; where nothing was, ask for it again under its key."""
        done = await read()
        if done is not None:
            return done
        try:
            return await ask()
        except stripe.StripeError as error:
            if is_burnt(error):
                return await read() or NotFound()
            answer = said(error)
            return answer if isinstance(answer, Unknown | Declined) else Unknown(_code(answer))

    async def _named(self, question: Increment | Capture) -> Answer | None:
        intent = await self._read(question.authorisation)
        amount = (intent.get("metadata") or {}).get(question.reference)
        return None if amount is None else Succeeded(str(intent["id"]), int(amount))

    async def _voided(self, question: Void) -> Answer | None:
        intent = await self._read(question.authorisation)
        return _let_go(intent) if intent["status"] == "canceled" else None

    async def _refunded(self, question: Refund) -> Answer | None:
        page = await self._refunds.list_async({"payment_intent": question.authorisation, "limit": 100})
        async for each in page.auto_paging_iter():
            refund = each.to_dict()
            if (refund.get("metadata") or {}).get(REFERENCE) == question.reference:
                return of_refund(refund)
        return None

    def _is_young(self, reference: str) -> bool:
        """Whether Stripe still knows a key of this reference, if it ever came; an attempt is no older than its id."""
        try:
            made_ms = ids.unix_ms_of(ids.from_text("att", reference))
        except InvalidId:
            return False
        return self._runtime.now().timestamp() * 1000 - made_ms < KEYS_KEPT.total_seconds() * 1000


def modes_of(api_key: str) -> list[str]:
    """Return the mode that a key is of. Raises: ValueError: not one of Stripe's secret or restricted keys."""
    kind, _, rest = api_key.partition("_")
    mode = rest.partition("_")[0]
    if kind not in ("sk", "rk") or mode not in ("test", "live"):
        raise ValueError("Stripe's key begins with sk_test_, sk_live_, rk_test_ or rk_live_")
    return [mode]


def _let_go(intent: Intent) -> Answer:
    return Succeeded(str(intent["id"]), int(intent["amount"]))


def _not_taken(amount_minor: int, currency: str) -> NotSent | None:
    if currency in ODD_CURRENCIES or (currency in THREE_DECIMALS and amount_minor % 10):
        return NotSent("currency_unsupported")
    return NotSent("amount_too_large") if amount_minor > MAX_AMOUNT_MINOR else None


def _of_increment(error: stripe.StripeError) -> Answer:
    """Return what an error says of an increment: one that is refused as a request is of a card that takes none."""
    answer = answer_to(error)
    if isinstance(error, stripe.InvalidRequestError) and isinstance(answer, Declined):
        return Declined("increment_not_supported", answer.connector_code)
    return answer


def _is_reused(error: stripe.StripeError) -> bool:
    return isinstance(error, stripe.IdempotencyError)


def _code(answer: Answer) -> str:
    return answer.code if isinstance(answer, Unknown | NotSent | Declined) else "answer_unreadable"
