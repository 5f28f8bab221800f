"""Takes requests for settlement: one intent a payment, whatever is asked again."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rialto_chain_bridge.application.facts import Facts
from rialto_chain_bridge.application.ports import Unit
from rialto_chain_bridge.application.records import Intent
from rialto_chain_bridge.domain import token
from rialto_chain_bridge.domain.errors import ModeNotServed, SettlementContentChanged
from rialto_common.errors import InvalidRequest
from rialto_common.events import Event
from rialto_common.events.payments import SettlementRequested
from rialto_common.runtime import Runtime

LONGEST_KEPT_ADDRESS = 100


@dataclass(frozen=True, slots=True)
class Terms:
    """What this bridge pays: which mode, and with how many token decimals."""

    mode: str
    token_decimals: int
    deadline: timedelta
    checksummed: Callable[[str], str]


class TakeRequests:
    """The consumer's handler."""

    def __init__(self, terms: Terms, facts: Facts, runtime: Runtime) -> None:
        self._terms = terms
        self._facts = facts
        self._runtime = runtime

    async def handle(self, unit: Unit, events: Sequence[Event]) -> None:
        """Record a batch of requests; those that can never be paid are refused at once.

        Raises: SettlementContentChanged: a payment's settlement was asked for before, with other content.
        """
        now = self._runtime.now()
        requests = [(to_intent(event, self._terms, now), event) for event in events]
        intents = {intent.payment_id: intent for intent, _ in reversed(requests)}
        new = await unit.store.save_intents(list(intents.values()))
        await self._check_repeated([intent for intent, _ in requests], new, unit)
        for intent, event in requests:
            if intent.failure_code is not None and intent.payment_id in new and intents[intent.payment_id] is intent:
                unit.publish(self._facts.refused(intent, event, now))

    async def _check_repeated(self, intents: Sequence[Intent], new: Collection[object], unit: Unit) -> None:
        if len(new) == len(intents):
            return
        known = await unit.store.intent_contents([intent.payment_id for intent in intents])
        for intent in intents:
            if known[intent.payment_id] != intent.content():
                raise SettlementContentChanged(
                    f"the settlement of payment {intent.payment_id} was asked for before, with other content"
                )


def to_intent(event: Event, terms: Terms, now: datetime) -> Intent:
    """Return what a request asks for, with its failure when it can never be paid.

    Raises: MalformedEvent.
    """
    request = event.read(SettlementRequested)
    address, amount, failure = request.payee_address[:LONGEST_KEPT_ADDRESS], None, None
    try:
        if request.mode != terms.mode:
            raise ModeNotServed(f"this bridge settles {terms.mode} payments only")
        address = token.payee_address(request.payee_address, checksummed=terms.checksummed)
        amount = token.token_amount(request.amount_minor, request.currency, terms.token_decimals)
    except InvalidRequest as error:
        failure = error
    return Intent(
        payment_id=request.payment_id,
        settlement_id=request.settlement_id,
        merchant_id=request.merchant_id,
        mode=request.mode,
        shard=event.shard,
        amount_minor=request.amount_minor,
        currency=request.currency,
        payee_address=address,
        token_amount=amount,
        failure_code=None if failure is None else failure.code,
        failure_detail=None if failure is None else failure.detail,
        cause_id=event.id,
        traceparent=event.traceparent,
        requested_at=now,
        deadline_at=now + terms.deadline,
    )
