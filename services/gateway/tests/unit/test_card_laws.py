"""Laws of payments by card, over random histories: three acquirers that lose answers, random routes, webhooks that come
whenever they like, a ledger that hears late, and merchants and clocks that interrupt anywhere.

Whatever happens, the payment ends, nothing stays held, and the merchant is credited with exactly what the acquirers
captured less the fee of that and what they gave back.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from rialto_common.errors import Conflict, InvalidRequest
from rialto_common.events import payments as events
from rialto_common.events.envelope import EventData
from rialto_common.runtime import SystemRuntime
from rialto_gateway.attempts.attempt import OPEN, Attempt, Card, heard, may_go_elsewhere, question_of, started
from rialto_gateway.attempts.memory import queued_for
from rialto_gateway.attempts.outcome import fact_of
from rialto_gateway.attempts.resolver import route_of
from rialto_gateway.connectors.port import (
    Answer,
    Authorise,
    Capture,
    Declined,
    Increment,
    NotSent,
    Question,
    Unknown,
    Void,
)
from rialto_gateway.connectors.routes import Acquirer, Routed, RouteMetrics
from rialto_gateway.connectors.routing import HealthPolicy, Rule
from rialto_gateway.payments import machine
from rialto_gateway.payments.facts import (
    CaptureAsked,
    CaptureBooked,
    ComplianceVerdict,
    DeadlinePassed,
    Fact,
    FraudVerdict,
    IncrementAsked,
    IncrementLimits,
    RefundAsked,
    RefundBooked,
    RefundRefused,
    SettlementReorged,
    SettlementSubmitted,
    VoidAsked,
)
from rialto_gateway.payments.states import FINAL
from rialto_gateway.pricing.price import FREE, Rate

from ..integration.scripted_acquirer import Fault, ScriptedAcquirer
from .payment_states import BATCH_ID, DEADLINES, NOW, card, confirmed
from .test_machine_laws import RATES

LIMITS = IncrementLimits(10_000)
LEASE = timedelta(seconds=60)
CARD = Card("tok_1", None, None)
FAULTS: list[Fault | None] = [
    *(None, None, None, "lost_before", "lost_after", "not_sent", "action", "pending"),
    Declined("no", "05"),
    Declined("busy", "96", retry_elsewhere=True),
]
NAMES = ("harbour", "quay", "pier")
RULES = st.lists(
    st.builds(
        Rule,
        connectors=st.permutations(NAMES).flatmap(lambda names: st.integers(1, 3).map(lambda n: tuple(names[:n]))),
        currencies=st.sampled_from([None, frozenset({"USD"}), frozenset({"EUR"})]),
        minimum_minor=st.sampled_from([0, 1_000, 2_000]),
        retry_declines=st.sampled_from([frozenset(), frozenset({"no"})]),
    ),
    max_size=3,
)
Step = tuple[str, int]
STEPS = {
    "ask": len(FAULTS) - 1,
    "die": 1,
    "webhook": 5,
    "payer": 0,
    "ledger": 3,
    "hear_ledger": 3,
    "bridge": 0,
    "capture_part": 400,
    "capture_final": 400,
    "capture_rest": 0,
    "increment": 600,
    "void": 0,
    "refund_part": 200,
    "refund_rest": 0,
    "wait_seconds": 90,
    "wait_days": 8,
    "sweep": 0,
}


class Clock(SystemRuntime):
    """A runtime whose time is the world's."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    def now(self) -> datetime:
        """Return the world's time."""
        return self._world.now


class Ledger:
    """What the ledger does with captures and refunds of acquirers, in amounts."""

    def __init__(self) -> None:
        self.receivable = self.suspense = self.payable = self.income = 0
        self.suspended: dict[UUID, int] = {}
        self.booked: set[UUID] = set()

    def handle(self, data: EventData) -> Iterable[Fact]:
        """Post what an event asks for."""
        match data:
            case events.AttemptUnknown(capture_id=UUID() as subject, amount_minor=int() as amount):
                if subject not in self.booked and subject not in self.suspended:
                    self._move(subject, amount, receivable=amount)
            case events.AttemptResolved(capture_id=UUID() as subject, outcome="failed"):
                if (amount := self.suspended.pop(subject, 0)) and subject not in self.booked:
                    self.suspense -= amount
                    self.receivable -= amount
            case events.CaptureRequested(capture_id=subject, amount_minor=amount):
                assert subject not in self.booked, "a capture is booked twice"
                self.booked.add(subject)
                if self.suspended.pop(subject, 0):
                    self.suspense -= amount
                else:
                    self.receivable += amount
                assert 0 <= data.fee_minor <= amount
                self.payable += amount - data.fee_minor
                self.income += data.fee_minor
                yield CaptureBooked(subject, amount, data.final, data.fee_minor)
            case events.RefundRequested(refund_id=subject, amount_minor=amount):
                if self.payable < amount:
                    yield RefundRefused(subject, amount, "insufficient_merchant_balance")
                else:
                    self._move(subject, amount, payable=-amount)
                    yield RefundBooked(subject, amount, NOW)
            case events.RefundSucceeded(refund_id=subject, amount_minor=amount):
                assert self.suspended.pop(subject) == amount
                self.suspense -= amount
                self.receivable -= amount
            case events.RefundFailed(refund_id=subject) if subject in self.suspended:
                amount = self.suspended.pop(subject)
                self.suspense -= amount
                self.payable += amount

    def _move(self, subject: UUID, amount: int, *, receivable: int = 0, payable: int = 0) -> None:
        self.suspended[subject] = amount
        self.suspense += amount
        self.receivable += receivable
        self.payable += payable


class World:
    """One payment, the acquirers, the ledger and the bridge."""

    def __init__(self, *, manual: bool, rules: Sequence[Rule] = (), rate: Rate = FREE) -> None:
        self.now = NOW
        self.payment = card("created", capture_method="manual" if manual else "automatic")
        self.payment = replace(self.payment, fee_bps=rate.bps, fee_fixed_minor=rate.fixed_minor)
        self.payment = replace(self.payment, deadline_at=DEADLINES.of("created", NOW))
        self.acquirers = {name: ScriptedAcquirer(name) for name in NAMES}
        acquirers = [Acquirer(each) for each in self.acquirers.values()]
        self.routes = Routed(acquirers, rules, Clock(self), RouteMetrics(CollectorRegistry()), HealthPolicy(2))
        self.attempts: dict[UUID, Attempt] = {}
        self.ledger = Ledger()
        self.to_ledger: deque[EventData] = deque()
        self.from_ledger: deque[Fact] = deque()
        self.to_bridge: deque[EventData] = deque()
        self.paid: int | None = None
        self.apply(FraudVerdict("allow"))
        self.apply(ComplianceVerdict("clear"))

    def step(self, name: str, number: int) -> None:
        """Let one thing happen."""
        match name:
            case "ask" | "die":
                self.ask(FAULTS[number] if name == "ask" else FAULTS[number * 4], dies=name == "die")
            case "webhook":
                self.webhook(number)
            case "payer":
                for acquirer in self.acquirers.values():
                    for reference, answer in list(acquirer.known.items()):
                        if type(answer).__name__ in ("ActionRequired", "Pending"):
                            acquirer.decide(reference)
            case "ledger":
                for _ in range(min(number + 1, len(self.to_ledger))):
                    self.from_ledger.extend(self.ledger.handle(self.to_ledger.popleft()))
            case "hear_ledger":
                for _ in range(min(number + 1, len(self.from_ledger))):
                    self.apply(self.from_ledger.popleft())
            case "bridge":
                self.bridge()
            case "capture_part" | "capture_final":
                self.command(CaptureAsked(number + 1, name == "capture_final"))
            case "capture_rest":
                self.command(CaptureAsked(None, False))
            case "increment":
                self.command(IncrementAsked(self.payment.amount_minor + number, LIMITS))
            case "void":
                self.command(VoidAsked())
            case "refund_part" | "refund_rest":
                self.command(RefundAsked(number + 1 if name == "refund_part" else None))
            case "wait_seconds" | "wait_days":
                self.now += timedelta(**{name.removeprefix("wait_"): number})
            case "sweep":
                self.apply(DeadlinePassed())

    def command(self, fact: Fact) -> None:
        """Let the merchant ask for something, in vain perhaps."""
        try:
            self.apply(fact)
        except (Conflict, InvalidRequest):
            return

    def apply(self, fact: Fact) -> None:
        """Apply a fact and hold the laws."""
        before = self.payment
        change = machine.apply(before, fact, self.now, DEADLINES)
        if change is None:
            return
        after = self.payment = change.payment
        assert before.state not in FINAL or after.state == before.state, "a final state was left"
        assert (after.deadline_at is None) == (after.state in FINAL)
        assert after.amount_captured_minor + after.capture_pending_minor <= after.amount_minor
        assert after.amount_refunded_minor + after.refund_pending_minor <= after.amount_captured_minor
        assert before.fee_minor <= after.fee_minor <= after.amount_captured_minor
        for question in change.attempts:
            assert question.attempt_id not in self.attempts, "an attempt is recorded twice"
            self.attempts[question.attempt_id] = queued_for(after, question, self.now)
        for data in change.outgoing:
            assert not isinstance(data, events.PaymentApproved | events.VoidRequested), "the ledger holds nothing here"
            if isinstance(data, events.SettlementRequested):
                self.to_bridge.append(data)
            else:
                self.to_ledger.append(data)

    def ask(self, fault: Fault | None, *, dies: bool = False) -> None:
        """Send or look up the first attempt that is due; the process may die after the call."""
        due = [each for each in self.attempts.values() if each.due_at is not None and each.due_at <= self.now]
        due = [each for each in due if not self.waits(each)]
        if not due:
            return
        attempt = min(due, key=lambda each: (each.due_at, each.id))
        if attempt.state == "started":
            self.hear(attempt, Unknown("interrupted"))
        elif attempt.state == "queued":
            self.send(attempt, fault, dies=dies)
        else:
            acquirer = self.acquirers[attempt.connector or ""]
            self.hear(attempt, asyncio.run(acquirer.lookup(question_of(attempt, CARD))))

    def waits(self, attempt: Attempt) -> bool:
        """Whether an increment, capture or void must wait for one before it."""
        steps = ("increment", "capture", "void")
        place = (attempt.created_at, attempt.step, attempt.ordinal)
        return (
            attempt.state == "queued"
            and attempt.step in steps
            and any(
                each.step in steps and each.state in OPEN and (each.created_at, each.step, each.ordinal) < place
                for each in self.attempts.values()
            )
        )

    def send(self, attempt: Attempt, fault: Fault | None, *, dies: bool) -> None:
        """Record it as started, and call."""
        name = attempt.connector or self.next_acquirer(attempt)
        if name is None:
            self.hear(attempt, NotSent("no_acquirer_available"))
            return
        begun = self.attempts[attempt.id] = started(attempt, name, self.now, LEASE)
        acquirer = self.acquirers[name]
        if attempt.step != "authorise" and fault == "action":
            fault = None
        acquirer.faults.clear()
        acquirer.fail(fault)
        self.routes.sent(name)
        answer = asyncio.run(self.call(acquirer, question_of(begun, CARD)))
        if not dies:
            self.routes.heard(name, answer)
            self.hear(begun, answer)

    async def call(self, acquirer: ScriptedAcquirer, question: Question) -> Answer:
        """Put a question."""
        if isinstance(question, Authorise):
            return await acquirer.authorise(question)
        if isinstance(question, Increment):
            return await acquirer.increment(question)
        if isinstance(question, Capture):
            return await acquirer.capture(question)
        if isinstance(question, Void):
            return await acquirer.void(question)
        return await acquirer.refund(question)

    def next_acquirer(self, attempt: Attempt, answer: Answer | None = None) -> str | None:
        """Return the acquirer that the routes choose."""
        tried = {each.connector for each in self.attempts.values() if each.step == "authorise" and each.connector}
        chosen = self.routes.choose(route_of(attempt, tried, answer))
        return None if chosen is None else chosen.name

    def hear(self, attempt: Attempt, answer: Answer) -> None:
        """Take in an answer as the resolver does."""
        before = self.attempts[attempt.id]
        elsewhere = before.step == "authorise" and (may_go_elsewhere(answer) or isinstance(answer, Declined))
        elsewhere = elsewhere and self.next_acquirer(before, answer) is not None
        after = heard(before, answer, self.now)
        if after is before:
            return
        self.attempts[attempt.id] = after
        fact = fact_of(before, after, answer, elsewhere=elsewhere)
        if fact is not None:
            self.apply(fact)

    def webhook(self, number: int) -> None:
        """Let an acquirer tell by itself what it has done."""
        known = [
            (attempt, acquirer.known[attempt.reference])
            for attempt in self.attempts.values()
            for acquirer in self.acquirers.values()
            if attempt.connector == acquirer.name and attempt.reference in acquirer.known
        ]
        if known:
            self.hear(*known[number % len(known)])

    def bridge(self) -> None:
        """Pay once, however often it is asked."""
        if not self.to_bridge:
            return
        data = self.to_bridge.popleft()
        assert isinstance(data, events.SettlementRequested)
        if self.paid is None:
            self.paid = data.amount_minor
            self.ledger.payable -= data.amount_minor
        assert self.paid == data.amount_minor, "asked to pay another amount than before"
        for fact in (SettlementSubmitted(BATCH_ID, 31337, "0xabc"), SettlementReorged(), confirmed()):
            self.apply(fact)

    def run_out(self) -> None:
        """Let everything arrive, every attempt be known and every deadline pass."""
        for _ in range(120):
            self.step("payer", 0)
            for _ in range(4):
                self.ask(None)
            for name in ("ledger", "hear_ledger", "bridge", "sweep"):
                self.step(name, 3)
            quiet = not (self.to_ledger or self.from_ledger or self.to_bridge)
            if quiet and self.payment.state in FINAL and not any(each.state in OPEN for each in self.attempts.values()):
                return
            self.now += timedelta(hours=8)
        raise AssertionError(f"still {self.payment.state} with {[each.state for each in self.attempts.values()]}")


steps = st.sampled_from(sorted(STEPS)).flatmap(lambda name: st.tuples(st.just(name), st.integers(0, STEPS[name])))


ACTION, LOST_AFTER = FAULTS.index("action"), FAULTS.index("lost_after")
PAYER_TOO_LATE: list[Step] = [("ask", ACTION), ("wait_days", 1), ("sweep", 0), *[("ask", 0)] * 3]
"""The acquirer has let go by the time the payer acts, and holds the amount all the same."""


@settings(max_examples=200, deadline=None)
@given(st.booleans(), st.lists(steps, max_size=40), RULES, RATES)
@example(False, PAYER_TOO_LATE, [], FREE)
@example(
    True,
    [("ask", LOST_AFTER), ("wait_seconds", 90), ("sweep", 0), ("ask", 0), ("void", 0), ("ask", LOST_AFTER)],
    [],
    FREE,
)
@example(
    False,
    [("ask", 0), ("ask", LOST_AFTER), ("ledger", 3), ("wait_seconds", 9), ("webhook", 1), ("ask", 0)],
    [],
    Rate(290, 30),
)
@example(  # an increment is lost, a part is captured behind it, and the rest is voided
    True,
    [("ask", 0), ("increment", 99), ("ask", LOST_AFTER), ("capture_part", 399), ("ask", 0), ("wait_seconds", 9)],
    [],
    FREE,
)
@example(
    True, [("ask", 0), ("increment", 99), ("ask", FAULTS.index("pending")), ("void", 0), ("ask", 0)], [], Rate(290, 30)
)
@example(
    True,
    [("ask", 0), ("capture_part", 99), ("capture_final", 49), ("die", 0), ("refund_rest", 0), ("wait_days", 8)],
    [],
    Rate(0, 120),
)
def test_the_merchant_is_credited_with_what_the_acquirers_captured_less_fees_and_what_they_gave_back(
    manual: bool, history: list[Step], rules: list[Rule], rate: Rate
) -> None:
    world = World(manual=manual, rules=rules, rate=rate)
    for name, number in history:
        world.step(name, number)
    world.run_out()
    payment, acquirers = world.payment, world.acquirers.values()
    captured = sum(sum(each.captured.values()) for each in acquirers)
    refunded = sum(sum(each.refunded.values()) for each in acquirers)
    assert payment.amount_captured_minor == captured, "gateway and acquirers differ"
    assert payment.amount_refunded_minor == refunded
    assert captured <= payment.amount_minor, "charged more than once"
    assert sum(bool(sum(each.captured.values())) for each in acquirers) <= 1, "charged by two acquirers"
    assert (world.ledger.receivable, world.ledger.suspense) == (captured - refunded, 0)
    fee = world.ledger.income
    assert payment.fee_minor == fee == rate.fee_of(captured), "the parts cost something else than the whole"
    assert payment.fee_pending_minor == 0
    assert world.ledger.payable + (world.paid or 0) == captured - fee - refunded
    assert world.paid in (None, captured - fee)
    assert all(amount == 0 for each in acquirers for amount in each.held.values()), "money stays held"
    assert (payment.capture_pending_minor, payment.refund_pending_minor) == (0, 0)
    assert payment.increment_to_minor is None, "an increment is under way for ever"
    if payment.authorised_at is not None:
        authorised = world.acquirers[payment.connector or ""].authorised[payment.authorisation or ""]
        assert payment.amount_minor == authorised, "gateway and acquirer have other amounts"
    assert (payment.state == "settled") == (captured > 0)
