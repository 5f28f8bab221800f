"""Applying facts: what is written, what is sent, and that the same history gives the same ids."""

import pytest

from rialto_common import ids
from rialto_common.bus.memory import MemoryStore, MemoryTransaction
from rialto_common.errors import InvariantViolated, MalformedEvent
from rialto_common.events import ledger
from rialto_common.events.envelope import Event, compose
from rialto_common.memory_keyring import KeyStore, MemoryKeyring
from rialto_common.simulation import SimulatedRuntime
from rialto_gateway.payments.facts import (
    AuthorisationRefused,
    CaptureAsked,
    CaptureRefused,
    ComplianceVerdict,
    Fact,
    FraudVerdict,
    HoldPlaced,
)
from rialto_gateway.payments.handlers import TYPES, Occurrence, apply_all, read_fact
from rialto_gateway.payments.memory import GatewayStore, MemoryUnit
from rialto_gateway.payments.ports import TimelineLine
from rialto_gateway.payments.states import Payment

from .payment_states import DEADLINES, MERCHANT_ID, NOW, PAYMENT_ID, capture_id, payment


def store(held: Payment) -> GatewayStore:
    return GatewayStore(payments={held.id: held})


async def run(gateway: GatewayStore, *occurrences: Occurrence) -> list[Event]:
    """Apply occurrences, commit, and return what was sent."""
    transaction = MemoryTransaction(MemoryStore())
    keyring = MemoryKeyring(b"key", KeyStore(), SimulatedRuntime(1))
    await apply_all(occurrences, MemoryUnit(gateway, keyring, transaction), now=NOW, deadlines=DEADLINES)
    transaction.apply()
    return transaction.outgoing


def lines(gateway: GatewayStore) -> list[TimelineLine]:
    return [line.line for line in gateway.timelines.get(PAYMENT_ID, {}).values()]


def history(*, cause: Event | None = None) -> list[Occurrence]:
    facts: list[Fact] = [FraudVerdict("allow"), ComplianceVerdict("clear"), HoldPlaced(ids.derive(PAYMENT_ID, "hold"))]
    return [Occurrence(PAYMENT_ID, fact, cause) for fact in facts]


def refused(step: str, **fields: object) -> Event:
    data = ledger.PostingRefused.model_validate(
        {
            "payment_id": PAYMENT_ID,
            "merchant_id": MERCHANT_ID,
            "mode": "test",
            "step": step,
            "code": "insufficient_funds",
            "detail": "",
            **fields,
        }
    )
    return compose(data, source="rialto.ledger", root=PAYMENT_ID, key="pay", shard=0, time=NOW, sequence=1)


async def test_the_same_history_sends_the_same_events_and_no_id_twice() -> None:
    sent = await run(store(payment()), *history())
    again = await run(store(payment()), *history())
    assert sent == again
    assert len({event.id for event in sent}) == len(sent) > 2
    one_by_one = store(payment())
    assert [event for occurrence in history() for event in await run(one_by_one, occurrence)] == sent


async def test_sequences_grow_over_timeline_and_events_together() -> None:
    gateway = store(payment(sequence=5))
    sent = await run(gateway, *history())
    used = sorted([line.nth for line in lines(gateway)] + [event.sequence for event in sent])
    assert used == list(range(6, 6 + len(used)))
    assert gateway.payments[PAYMENT_ID].sequence == used[-1]


async def test_events_name_their_cause_and_go_on_with_its_trace() -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    cause = refused("authorise")._replace(correlation_id="the-root", traceparent=trace)
    gateway = store(payment())
    for event in await run(gateway, *history(cause=cause)):
        assert (event.correlation_id, event.causation_id) == ("the-root", str(cause.id))
        assert (event.traceparent or "").startswith(f"00-{'a' * 32}-")
    assert {line.cause for line in lines(gateway)} == {str(cause.id)}


async def test_a_fact_that_changes_nothing_writes_nothing() -> None:
    gateway = store(payment("settled"))
    assert await run(gateway, *history()) == []
    assert gateway == store(payment("settled"))


async def test_a_fact_about_no_payment_is_a_broken_invariant() -> None:
    with pytest.raises(InvariantViolated):
        await run(store(payment()), Occurrence(MERCHANT_ID, FraudVerdict("allow")))


async def test_a_refused_command_in_a_batch_changes_no_payment() -> None:
    gateway = store(payment())
    with pytest.raises(Exception, match="nothing left to capture"):
        await run(
            gateway, Occurrence(PAYMENT_ID, FraudVerdict("allow")), Occurrence(PAYMENT_ID, CaptureAsked(None, False))
        )
    assert gateway.payments[PAYMENT_ID] == payment()


def test_a_refusal_is_read_by_the_step_that_was_refused() -> None:
    def fact(event: Event) -> object:
        occurrence = read_fact(event)
        return None if occurrence is None else occurrence.fact

    assert fact(refused("authorise")) == AuthorisationRefused("insufficient_funds")
    one = {"capture_id": capture_id(), "amount_minor": "300"}
    assert fact(refused("capture", **one)) == CaptureRefused(capture_id(), 300, "insufficient_funds")
    assert fact(refused("void")) is None
    assert fact(refused("settle")) is None


def test_other_types_are_none_of_the_gateways_business_and_broken_ones_are_permanent() -> None:
    event = refused("authorise")
    assert read_fact(event._replace(type="rialto.journal_entry.posted.v1")) is None
    for event_type in TYPES:
        with pytest.raises(MalformedEvent):
            read_fact(event._replace(type=event_type, data=b'{"payment_id":"pay_nonsense"}'))
