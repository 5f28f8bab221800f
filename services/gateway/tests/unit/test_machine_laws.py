"""Laws of the state machine, over random histories with a ledger that obeys its own rules and a chain that pays once.

Events travel in order per sender and as late as the history likes; people and time interrupt anywhere.
"""

from collections import deque
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rialto_common import ids
from rialto_common.errors import Conflict, InvalidRequest
from rialto_common.events import payments as events
from rialto_common.events.envelope import EventData
from rialto_gateway.payments import machine
from rialto_gateway.payments.facts import (
    AuthorisationRefused,
    CaptureAsked,
    CaptureRefused,
    ComplianceVerdict,
    DeadlinePassed,
    Fact,
    FraudVerdict,
    HoldCaptured,
    HoldExpired,
    HoldIncreased,
    HoldPlaced,
    HoldVoided,
    IncrementAsked,
    IncrementLimits,
    IncrementRefused,
    ReviewDecided,
    SettlementReorged,
    SettlementSubmitted,
    VoidAsked,
)
from rialto_gateway.payments.states import FINAL
from rialto_gateway.pricing.price import FREE, Rate
from rialto_ledger.domain.commands import VoidHold
from rialto_ledger.domain.errors import HoldError
from rialto_ledger.domain.hold import Hold, HoldStatus, tombstone

from .payment_states import BATCH_ID, DEADLINES, MERCHANT_ID, NOW, PAYMENT_ID, WALLET_ID, confirmed, payment

HOLD_ID = ids.derive(PAYMENT_ID, "hold")

LIMITS = IncrementLimits(10_000)
MOST_HELD = 1_800
"""What the wallet has: an increment above it is refused."""

Verdicts = tuple[str, str]
Step = tuple[str, int]

STEPS = {
    "fraud": 0,
    "compliance": 0,
    "ledger": 3,
    "hear_ledger": 3,
    "bridge": 0,
    "hear_bridge": 0,
    "capture_part": 400,
    "capture_final": 400,
    "capture_rest": 0,
    "increment": 600,
    "void": 0,
    "approve": 0,
    "decline": 0,
    "wait_seconds": 90,
    "wait_days": 8,
    "gateway_sweep": 0,
    "ledger_sweep": 0,
}
"""What can happen, and how large a number goes with it."""


class World:
    """One payment, its gateway, a ledger and a bridge."""

    def __init__(self, *, fraud: str, compliance: str, rich: bool, manual: bool, rate: Rate = FREE) -> None:
        self.payment = payment("created", capture_method="manual" if manual else "automatic")
        self.payment = replace(self.payment, fee_bps=rate.bps, fee_fixed_minor=rate.fixed_minor)
        self.income_minor, self.charged = 0, dict[UUID, int]()
        self.payment = replace(self.payment, deadline_at=DEADLINES.of("created", NOW))
        self.verdicts = {"fraud": fraud, "compliance": compliance}
        self.now = NOW
        self.hold: Hold | None = None
        self.rich = rich
        self.to_ledger: deque[EventData] = deque()
        self.from_ledger: deque[Fact] = deque()
        self.to_bridge: deque[EventData] = deque()
        self.from_bridge: deque[Fact] = deque()
        self.paid_minor: int | None = None
        self.reviewed = False
        self.void_asked = False
        self.captures: dict[UUID, str] = {}
        self.increments: dict[UUID, str] = {}

    def step(self, name: str, number: int) -> None:
        """Let one thing happen."""
        match name:
            case "fraud" | "compliance":
                self.judge(name)
            case "ledger":
                for _ in range(min(number + 1, len(self.to_ledger))):
                    self.ledger_handles(self.to_ledger.popleft())
            case "hear_ledger":
                for _ in range(min(number + 1, len(self.from_ledger))):
                    self.apply(self.from_ledger.popleft())
            case "bridge":
                if self.to_bridge:
                    self.bridge_handles(self.to_bridge.popleft())
            case "hear_bridge":
                if self.from_bridge:
                    self.apply(self.from_bridge.popleft())
            case "capture_part" | "capture_final":
                self.command(CaptureAsked(number + 1, name == "capture_final"))
            case "capture_rest":
                self.command(CaptureAsked(None, False))
            case "increment":
                self.command(IncrementAsked(self.payment.amount_minor + number, LIMITS))
            case "void":
                self.command(VoidAsked())
            case "approve" | "decline":
                self.command(ReviewDecided("approve" if name == "approve" else "decline", "operator"))
            case "wait_seconds":
                self.now += timedelta(seconds=number)
            case "wait_days":
                self.now += timedelta(days=number)
            case "gateway_sweep":
                self.apply(DeadlinePassed())
            case "ledger_sweep":
                self.ledger_sweeps()

    def judge(self, name: str) -> None:
        """Let a verdict come; it comes once."""
        outcome = self.verdicts.pop(name, None)
        if outcome is not None:
            self.apply(FraudVerdict(outcome) if name == "fraud" else ComplianceVerdict(outcome))  # type: ignore[arg-type]

    def command(self, fact: Fact) -> None:
        """Let a person ask for something, in vain perhaps."""
        try:
            self.apply(fact)
        except (Conflict, InvalidRequest):
            return
        if isinstance(fact, ReviewDecided):
            self.reviewed = True

    def apply(self, fact: Fact) -> None:
        """Apply a fact and hold the laws."""
        before = self.payment
        change = machine.apply(before, fact, self.now, DEADLINES)
        if change is None:
            return
        after = self.payment = change.payment
        assert before.state not in FINAL or after.state == before.state, "a final state was left"
        assert (after.deadline_at is None) == (after.state in FINAL)
        assert after.amount_captured_minor >= before.amount_captured_minor >= 0
        assert after.capture_pending_minor >= 0
        assert after.amount_captured_minor + after.capture_pending_minor <= after.amount_minor
        if after.state == "approved" and before.state != "approved":
            clean = (after.fraud, after.compliance) == ("allow", "clear")
            assert clean or isinstance(fact, ReviewDecided), "approved without two clear verdicts or a person"
            assert "block" not in (after.fraud, after.compliance)
        assert after.fee_minor >= before.fee_minor, "a fee was given back"
        assert after.fee_minor < after.amount_captured_minor or after.fee_minor == 0, "nothing is left to settle"
        for fee in change.fees:
            assert fee.id not in self.charged, "a capture is charged for twice"
            self.charged[fee.id] = fee.amount_minor
        for capture in change.captures:
            assert self.captures.get(capture.capture_id, "pending") == "pending", "a capture has one outcome"
            self.captures[capture.capture_id] = capture.state
        for increment in change.increments:
            assert self.increments.get(increment.increment_id, "pending") == "pending", "an increment has one outcome"
            self.increments[increment.increment_id] = increment.state
        assert after.amount_minor == before.amount_minor or isinstance(fact, HoldIncreased), "raised by nobody"
        for data in change.outgoing:
            self.send(data)

    def send(self, data: EventData) -> None:
        """Put an event of the gateway before those who act on it."""
        if isinstance(data, events.VoidRequested):
            assert self.payment.capture_pending_minor == 0, "a void overtakes a capture"
            self.void_asked = True
        if isinstance(data, events.CaptureRequested):
            assert not self.void_asked, "a capture after a void"
        if isinstance(
            data, events.PaymentApproved | events.CaptureRequested | events.IncrementRequested | events.VoidRequested
        ):
            self.to_ledger.append(data)
        if isinstance(data, events.SettlementRequested):
            self.to_bridge.append(data)

    def ledger_handles(self, data: EventData) -> None:
        """Do what the ledger's `batch.py` does."""
        if isinstance(data, events.PaymentApproved):
            self.place(data)
        elif isinstance(data, events.CaptureRequested):
            self.capture(data)
        elif isinstance(data, events.IncrementRequested):
            self.increase(data)
        elif self.hold is None:
            self.hold = tombstone(VoidHold(PAYMENT_ID, MERCHANT_ID, "test", 0, HOLD_ID), self.now)
            self.from_ledger.append(HoldVoided(0))
        else:
            left = self.hold.remaining_minor
            self.hold = self.hold.void(self.now)
            self.from_ledger.append(HoldVoided(left))

    def place(self, data: events.PaymentApproved) -> None:
        """Place the hold, or refuse it."""
        if self.hold is not None:
            self.from_ledger.append(AuthorisationRefused(self.hold.why_closed().code))
            return
        status = HoldStatus.PENDING if self.rich else HoldStatus.REFUSED
        amount, until = data.amount_minor, data.expires_at
        self.hold = Hold(HOLD_ID, PAYMENT_ID, WALLET_ID, MERCHANT_ID, "test", 0, "USD", amount, status, self.now, until)
        self.from_ledger.append(HoldPlaced(HOLD_ID) if self.rich else AuthorisationRefused("insufficient_funds"))

    def capture(self, data: events.CaptureRequested) -> None:
        """Book a capture, or refuse it."""
        assert self.hold is not None
        try:
            self.hold = self.hold.capture(data.amount_minor, final=data.final, now=self.now)
        except HoldError as error:
            self.from_ledger.append(CaptureRefused(data.capture_id, data.amount_minor, error.code, data.fee_minor))
            return
        assert 0 <= data.fee_minor <= data.amount_minor
        self.income_minor += data.fee_minor
        self.from_ledger.append(HoldCaptured(data.capture_id, data.amount_minor, data.final, data.fee_minor))

    def increase(self, data: events.IncrementRequested) -> None:
        """Raise the hold, or refuse to."""
        assert self.hold is not None
        try:
            raised = self.hold.increase(data.amount_minor, self.now)
            code = "insufficient_funds" if raised.amount_minor > MOST_HELD else None
        except HoldError as error:
            code = error.code
        if code is not None:
            self.from_ledger.append(IncrementRefused(data.increment_id, data.amount_minor, code))
            return
        self.hold = raised
        self.from_ledger.append(HoldIncreased(data.increment_id, data.amount_minor))

    def ledger_sweeps(self) -> None:
        """Expire the hold when it is due."""
        if self.hold is None:
            return
        left, expired = self.hold.remaining_minor, self.hold.expire(self.now)
        if expired is not self.hold:
            self.hold = expired
            self.from_ledger.append(HoldExpired(left))

    def bridge_handles(self, data: EventData) -> None:
        """Pay once, however often it is asked."""
        assert isinstance(data, events.SettlementRequested)
        if self.paid_minor is None:
            self.paid_minor = data.amount_minor
            submitted = SettlementSubmitted(BATCH_ID, 31337, "0xabc")
            self.from_bridge.extend((submitted, SettlementReorged(), submitted, confirmed()))
        assert self.paid_minor == data.amount_minor, "asked to pay another amount than before"

    def run_out(self) -> None:
        """Let everything arrive and every deadline pass."""
        for _ in range(40):
            for name in ("ledger", "hear_ledger", "bridge", "hear_bridge", "ledger_sweep", "gateway_sweep"):
                self.step(name, 3)
            if self.payment.state in FINAL and not (self.to_ledger or self.from_ledger):
                return
            self.now += timedelta(days=1)
        raise AssertionError(f"still {self.payment.state} after everything came and every deadline passed")


CAPTURING_LATE: list[Step] = [
    ("fraud", 0),
    ("compliance", 0),
    ("ledger", 0),
    ("hear_ledger", 0),
    ("capture_part", 99),
    ("wait_days", 7),
]
RATES = st.one_of(st.just(FREE), st.builds(Rate, bps=st.integers(0, 10_000), fixed_minor=st.integers(0, 1_500)))
steps = st.sampled_from(sorted(STEPS)).flatmap(lambda name: st.tuples(st.just(name), st.integers(0, STEPS[name])))


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["allow", "allow", "allow", "review", "block"]),
    st.sampled_from(["clear", "clear", "clear", "review", "block"]),
    st.booleans(),
    st.booleans(),
    st.lists(steps, max_size=40),
    RATES,
)
@example(  # the hold expires in the ledger while a capture is on its way to it
    "allow",
    "clear",
    True,
    True,
    [*CAPTURING_LATE, ("ledger_sweep", 0), ("hear_ledger", 0), ("ledger", 0), ("hear_ledger", 0)],
    Rate(290, 30),
)
@example(  # the hold expires in the ledger while an increment is on its way to it
    "allow",
    "clear",
    True,
    True,
    [
        *CAPTURING_LATE[:4],
        ("increment", 99),
        ("wait_days", 7),
        ("ledger_sweep", 0),
        ("hear_ledger", 0),
        ("ledger", 0),
        ("hear_ledger", 0),
    ],
    Rate(290, 30),
)
@example(  # captured and voided behind an increment that nobody has answered yet
    "allow",
    "clear",
    True,
    True,
    [*CAPTURING_LATE[:4], ("increment", 99), ("capture_part", 399), ("ledger", 3), ("hear_ledger", 0), ("void", 0)],
    FREE,
)
@example(  # the hold is placed after the gateway stopped waiting for it
    "allow",
    "clear",
    True,
    False,
    [("fraud", 0), ("compliance", 0), ("wait_seconds", 90), ("gateway_sweep", 0), ("ledger", 3), ("hear_ledger", 3)],
    FREE,
)
def test_whatever_happens_the_payment_ends_and_agrees_with_the_ledger(
    fraud: str, compliance: str, rich: bool, manual: bool, history: list[Step], rate: Rate
) -> None:
    world = World(fraud=fraud, compliance=compliance, rich=rich, manual=manual, rate=rate)
    for name, number in history:
        world.step(name, number)
    world.run_out()
    captured = 0 if world.hold is None else world.hold.captured_minor
    assert world.payment.amount_captured_minor == captured, "gateway and ledger differ (I7)"
    assert world.hold is None or world.hold.status is not HoldStatus.PENDING, "money stays held"
    assert world.payment.capture_pending_minor == 0
    assert world.payment.increment_to_minor is None, "an increment is under way for ever"
    assert "pending" not in world.increments.values(), "an increment has no outcome"
    if world.hold is not None and world.hold.placed_minor:
        assert world.payment.amount_minor == world.hold.amount_minor, "gateway and ledger hold other amounts (I7)"
    assert "pending" not in world.captures.values(), "a capture has no outcome"
    assert (world.payment.state == "settled") == (captured > 0)
    fee = world.income_minor
    assert world.payment.fee_minor == fee == sum(world.charged.values()), "gateway and ledger differ in fees"
    assert fee == rate.fee_of(captured), "the parts cost something else than the whole"
    assert world.payment.fee_pending_minor == 0
    assert world.paid_minor == (captured - fee if captured else None), "the merchant gets what was captured, once"
    if "block" in (fraud, compliance) and not world.reviewed and not world.verdicts:
        assert world.payment.state == "declined"
