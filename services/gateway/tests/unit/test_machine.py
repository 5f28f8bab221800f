"""The state machine's decisions, one by one."""

from datetime import timedelta
from typing import Any

import pytest

from rialto_common.events import payments as events
from rialto_common.events.envelope import EventData
from rialto_gateway.attempts.attempt import NOT_FOUND
from rialto_gateway.payments import machine
from rialto_gateway.payments.chapters.captures import CAPTURES_ASKED_FOR
from rialto_gateway.payments.errors import (
    CaptureAboveAuthorised,
    IncrementAboveLimit,
    IncrementNotAbove,
    IncrementUnderWay,
    PaymentNotCapturable,
    PaymentNotIncrementable,
    PaymentNotInReview,
    PaymentNotVoidable,
)
from rialto_gateway.payments.facts import (
    AcquirerIncremented,
    AcquirerRefusedCapture,
    AcquirerRefusedIncrement,
    AuthorisationRefused,
    CaptureAsked,
    CaptureRefused,
    ComplianceVerdict,
    DeadlinePassed,
    Fact,
    FraudVerdict,
    HoldCaptured,
    HoldIncreased,
    HoldPlaced,
    HoldVoided,
    IncrementAsked,
    IncrementLimits,
    IncrementRefused,
    OutcomeUnknown,
    ReviewDecided,
    SettlementFailed,
    VoidAsked,
)
from rialto_gateway.payments.states import HOLD_LASTS, Payment, State

from .payment_states import (
    AMOUNT,
    DEADLINES,
    LIMITS,
    NOW,
    PAYMENT_ID,
    attempt,
    capture_id,
    card,
    increment_id,
    payment,
)

HOLD = HoldPlaced(PAYMENT_ID)


def kinds(sent: list[EventData]) -> list[str]:
    """Return the names of the events' types."""
    return [type(data).__name__ for data in sent]


def after(start: Payment, *facts: Fact) -> tuple[Payment, list[EventData]]:
    """Return the payment after some facts, and every event sent."""
    sent: list[EventData] = []
    for fact in facts:
        change = machine.apply(start, fact, NOW, DEADLINES)
        if change is not None:
            start = change.payment
            sent.extend(change.outgoing)
    return start, sent


@pytest.mark.parametrize(
    ("fraud", "compliance", "state", "why"),
    [
        ("allow", "clear", "approved", None),
        ("review", "clear", "review", "fraud_review"),
        ("allow", "review", "review", "compliance_review"),
        ("review", "review", "review", "fraud_review,compliance_review"),
        ("block", "clear", "declined", "fraud_suspected"),
        ("block", "review", "declined", "fraud_suspected"),
        ("allow", "block", "declined", "sanctions_hit"),
        ("review", "block", "declined", "sanctions_hit"),
    ],
)
def test_two_verdicts_decide_in_either_order(fraud: str, compliance: str, state: State, why: str | None) -> None:
    verdicts: list[Fact] = [FraudVerdict(fraud), ComplianceVerdict(compliance)]  # type: ignore[arg-type]
    for order in (verdicts, verdicts[::-1]):
        decided, _ = after(payment(), *order)
        assert decided.state == state
        assert why == (decided.decline_code if state == "declined" else decided.reason)


@pytest.mark.parametrize("block", [FraudVerdict("block"), ComplianceVerdict("block")])
def test_one_block_declines_without_waiting_for_the_other_verdict(block: Fact) -> None:
    decided, sent = after(payment(), block)
    assert decided.state == "declined"
    assert kinds(sent) == ["PaymentDeclined"]


def test_a_missing_verdict_that_comes_late_still_decides() -> None:
    waiting, _ = after(payment(), FraudVerdict("allow"), DeadlinePassed())
    assert (waiting.state, waiting.reason) == ("review", machine.ASSESSMENT_MISSING)
    approved, sent = after(waiting, ComplianceVerdict("clear"))
    assert approved.state == "approved"
    closed = sent[0]
    assert isinstance(closed, events.PaymentReviewClosed)
    assert (closed.decision, closed.decided_by) == ("approved", "assessments")
    assert after(waiting, ComplianceVerdict("block"))[0].state == "declined"


def test_a_late_verdict_that_asks_for_review_keeps_the_reviews_deadline() -> None:
    waiting, _ = after(payment(), FraudVerdict("allow"), DeadlinePassed())
    change = machine.apply(waiting, ComplianceVerdict("review"), NOW + timedelta(days=3), DEADLINES)
    assert change is not None
    assert (change.payment.reason, change.payment.deadline_at) == ("compliance_review", waiting.deadline_at)


def test_a_review_for_cause_is_not_ended_by_a_repeated_verdict() -> None:
    reviewed, _ = after(payment(), FraudVerdict("review"), ComplianceVerdict("clear"))
    assert after(reviewed, FraudVerdict("allow"), ComplianceVerdict("clear")) == (reviewed, [])


def test_a_person_may_approve_what_the_models_held_back_and_only_in_review() -> None:
    reviewed, _ = after(payment(), FraudVerdict("review"), ComplianceVerdict("clear"))
    approved, sent = after(reviewed, ReviewDecided("approve", "operator"))
    assert approved.state == "approved"
    assert kinds(sent) == ["PaymentReviewClosed", "PaymentApproved"]
    assert after(reviewed, ReviewDecided("decline", "operator"))[0].decline_code == "review_declined"
    with pytest.raises(PaymentNotInReview):
        after(approved, ReviewDecided("decline", "operator"))


def test_an_approval_asks_for_a_hold_of_the_whole_amount_for_a_week() -> None:
    _, sent = after(payment(), FraudVerdict("allow"), ComplianceVerdict("clear"))
    (approved,) = sent
    assert isinstance(approved, events.PaymentApproved)
    assert (approved.amount_minor, approved.expires_at) == (AMOUNT, NOW + HOLD_LASTS)


def test_automatic_capture_asks_for_all_of_it_at_once_and_manual_for_nothing() -> None:
    automatic, sent = after(payment("approved"), HOLD)
    request = sent[1]
    assert isinstance(request, events.CaptureRequested)
    assert (request.capture_id, request.amount_minor, request.final) == (capture_id(), AMOUNT, True)
    assert automatic.capturable_minor == 0
    manual, sent = after(payment("approved", capture_method="manual"), HOLD)
    assert kinds(sent) == ["PaymentAuthorised"]
    assert manual.capturable_minor == AMOUNT


def test_a_hold_placed_after_the_gateway_stopped_waiting_is_cancelled() -> None:
    unknown, sent = after(payment("approved"), DeadlinePassed())
    assert kinds(sent) == ["AttemptUnknown", "VoidRequested"]
    failed, sent = after(unknown, HOLD, HoldVoided(AMOUNT))
    assert failed.state == "failed"
    assert kinds(sent) == ["AttemptResolved", "PaymentFailed"]


def test_a_refusal_that_comes_while_unknown_declines() -> None:
    unknown, _ = after(payment("approved"), DeadlinePassed())
    declined, sent = after(unknown, AuthorisationRefused("insufficient_funds"), HoldVoided(0))
    assert (declined.state, declined.decline_code) == ("declined", "insufficient_funds")
    assert isinstance(sent[0], events.AttemptResolved)


def test_captures_in_parts_settle_their_total_after_the_last_one() -> None:
    start = payment("authorised", capture_method="manual")
    some, sent = after(
        start, CaptureAsked(300, False), CaptureAsked(200, False), HoldCaptured(capture_id(), 300, False)
    )
    assert (some.state, some.amount_captured_minor, some.capture_pending_minor) == ("authorised", 300, 200)
    assert some.capturable_minor == 500
    done, sent = after(
        some, HoldCaptured(capture_id(2), 200, False), CaptureAsked(None, False), HoldCaptured(capture_id(3), 500, True)
    )
    assert done.state == "captured"
    assert kinds(sent[1:]) == ["PaymentCaptured", "SettlementRequested"]
    assert isinstance(sent[-1], events.SettlementRequested)
    assert sent[-1].amount_minor == AMOUNT


def test_a_final_capture_of_a_part_leaves_nothing_to_capture_unless_it_is_refused() -> None:
    asked, _ = after(payment("authorised"), CaptureAsked(300, True))
    assert asked.capturable_minor == 0
    with pytest.raises(PaymentNotCapturable):
        after(asked, CaptureAsked(1, False))
    refused, _ = after(asked, CaptureRefused(capture_id(), 300, "account_frozen"))
    assert (refused.capturable_minor, refused.reason) == (AMOUNT, "account_frozen")
    captured, sent = after(asked, HoldCaptured(capture_id(), 300, True))
    assert captured.state == "captured"
    assert isinstance(sent[0], events.PaymentCaptured)
    assert sent[0].amount_minor == 300


def test_a_refused_capture_does_not_reopen_the_payment_while_the_final_one_is_on_its_way() -> None:
    both, _ = after(payment("authorised"), CaptureAsked(300, False), CaptureAsked(200, True))
    refused, _ = after(both, CaptureRefused(capture_id(1), 300, "refused"))
    assert refused.capturable_minor == 0


def test_a_capture_refused_after_the_hold_expired_is_recorded() -> None:
    expired = payment("expired", capture_pending_minor=300)
    change = machine.apply(expired, CaptureRefused(capture_id(), 300, "hold_has_expired"), NOW, DEADLINES)
    assert change is not None
    assert (change.payment.state, change.payment.capture_pending_minor) == ("expired", 0)
    assert [capture.state for capture in change.captures] == ["failed"]


@pytest.mark.parametrize("amount", [AMOUNT + 1, AMOUNT * 10])
def test_a_capture_above_what_is_authorised_is_refused(amount: int) -> None:
    with pytest.raises(CaptureAboveAuthorised):
        after(payment("authorised"), CaptureAsked(amount, False))


def test_a_void_waits_for_captures_and_is_asked_once() -> None:
    with pytest.raises(PaymentNotVoidable):
        after(payment("authorised"), CaptureAsked(300, False), VoidAsked())
    voiding, sent = after(payment("authorised"), VoidAsked(), VoidAsked())
    assert kinds(sent) == ["VoidRequested"]
    with pytest.raises(PaymentNotCapturable):
        after(voiding, CaptureAsked(None, False))
    assert after(voiding, HoldVoided(AMOUNT))[0].state == "voided"


def test_voiding_the_rest_after_a_capture_settles_what_was_captured() -> None:
    start = payment("authorised", amount_captured_minor=300)
    captured, sent = after(start, VoidAsked(), HoldVoided(700))
    assert captured.state == "captured"
    assert isinstance(sent[-1], events.SettlementRequested)
    assert sent[-1].amount_minor == 300


def test_time_does_not_void_what_the_ledger_is_booking() -> None:
    waiting, sent = after(payment("authorised", capture_pending_minor=300), DeadlinePassed())
    assert sent == []
    assert (waiting.reason, waiting.void_reason) == ("capture_unanswered", None)


@pytest.mark.parametrize("state", ["captured", "unknown"])
def test_a_question_is_put_again_ever_more_seldom_but_at_least_once_an_hour(state: State) -> None:
    waiting, now, pauses = payment(state), NOW, []
    for _ in range(12):
        change = machine.apply(waiting, DeadlinePassed(), now, DEADLINES)
        assert change is not None
        assert len(change.outgoing) == 1
        waiting = change.payment
        assert waiting.deadline_at is not None
        pauses.append((waiting.deadline_at - now).total_seconds())
        now = waiting.deadline_at
    assert pauses[:4] == [30, 60, 120, 240]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 3600


def test_why_a_settlement_failed_is_not_forgotten_when_it_is_asked_for_again() -> None:
    failed, _ = after(payment("captured"), SettlementFailed("token_paused"), DeadlinePassed())
    assert (failed.state, failed.reason) == ("captured", "token_paused")
    overdue, _ = after(payment("captured"), DeadlinePassed())
    assert overdue.reason == "settlement_overdue"


def test_an_automatic_capture_that_the_acquirer_has_nothing_of_is_asked_for_again_a_few_times() -> None:
    held = card("authorised", captures=1, capture_pending_minor=AMOUNT)
    asked = []
    for ordinal in range(1, CAPTURES_ASKED_FOR + 1):
        change = machine.apply(
            held, AcquirerRefusedCapture(attempt("capture", ordinal=ordinal), NOT_FOUND), NOW, DEADLINES
        )
        assert change is not None
        held = change.payment
        assert change.captures[0].capture_id == capture_id(ordinal)
        assert change.captures[0].state == "failed"
        asked += [question.subject_id for question in change.attempts]
    assert asked == [capture_id(ordinal) for ordinal in range(2, CAPTURES_ASKED_FOR + 1)]
    assert (held.state, held.capturable_minor) == ("authorised", AMOUNT), "a merchant can still capture or void it"


def test_a_capture_that_a_merchant_asked_for_or_an_acquirer_declined_is_not_asked_for_again() -> None:
    pending: dict[str, Any] = {"captures": 1, "capture_pending_minor": AMOUNT}
    for held, code in (
        (card("authorised", capture_method="manual", **pending), NOT_FOUND),
        (card("authorised", **pending), "capture_refused"),
        (card("authorised", captures=1, capture_pending_minor=AMOUNT // 4), NOT_FOUND),
    ):
        refused = AcquirerRefusedCapture(attempt("capture", held.capture_pending_minor), code)
        change = machine.apply(held, refused, NOW, DEADLINES)
        assert change is not None
        assert (change.attempts, change.payment.captures) == ((), 1)


def tab(method: str = "wallet", **changes: Any) -> Payment:
    """Return a payment that can be raised."""
    return (card if method == "card" else payment)("authorised", capture_method="manual", **changes)


@pytest.mark.parametrize("method", ["wallet", "card"])
def test_an_increment_raises_the_payment_once_it_has_succeeded_and_not_before(method: str) -> None:
    asked, sent = after(tab(method), IncrementAsked(1400, LIMITS))
    assert (asked.amount_minor, asked.capturable_minor, asked.increment_to_minor) == (AMOUNT, AMOUNT, 1400)
    assert kinds(sent) == (["IncrementRequested"] if method == "wallet" else [])
    done = (
        HoldIncreased(increment_id(), 1400) if method == "wallet" else AcquirerIncremented(attempt("increment", 1400))
    )
    raised, sent = after(asked, done, done)
    assert (raised.amount_minor, raised.capturable_minor, raised.increment_to_minor) == (1400, 1400, None)
    assert kinds(sent) == ["PaymentIncremented"]
    again, _ = after(raised, IncrementAsked(1500, LIMITS), HoldIncreased(increment_id(2), 1500), done)
    assert again.amount_minor == 1500, "told late, the first one changes nothing"


@pytest.mark.parametrize("method", ["wallet", "card"])
def test_a_refused_increment_leaves_what_was_authorised_as_it_was(method: str) -> None:
    asked, _ = after(tab(method), IncrementAsked(1400, LIMITS))
    no: Fact = IncrementRefused(increment_id(), 1400, "insufficient_funds")
    if method == "card":
        no = AcquirerRefusedIncrement(attempt("increment", 1400), "insufficient_funds")
    change = machine.apply(asked, no, NOW, DEADLINES)
    assert change is not None
    left = change.payment
    assert (left.state, left.reason, left.amount_minor, left.capturable_minor) == ("authorised", None, AMOUNT, AMOUNT)
    assert [(each.state, each.failure_code) for each in change.increments] == [("failed", "insufficient_funds")]
    assert kinds(list(change.outgoing)) == ["PaymentIncrementFailed"]


def test_what_cannot_be_raised_is_refused() -> None:
    for start in (
        payment("authorised"),
        tab(void_reason="requested"),
        tab(captures=1, capture_pending_minor=AMOUNT),
        tab(captures=1, capture_pending_minor=300, void_reason="captured_in_part"),
        payment("captured", capture_method="manual"),
        payment("created", capture_method="manual"),
    ):
        with pytest.raises(PaymentNotIncrementable):
            after(start, IncrementAsked(1400, LIMITS))
    with pytest.raises(IncrementUnderWay):
        after(tab(), IncrementAsked(1400, LIMITS), IncrementAsked(1500, LIMITS))
    for amount in (AMOUNT, AMOUNT - 1):
        with pytest.raises(IncrementNotAbove):
            after(tab(), IncrementAsked(amount, LIMITS))


def test_a_payment_is_raised_by_no_more_than_a_share_of_what_was_assessed_however_often() -> None:
    once, _ = after(tab(), IncrementAsked(1400, LIMITS), HoldIncreased(increment_id(), 1400))
    twice, _ = after(once, IncrementAsked(1500, LIMITS), HoldIncreased(increment_id(2), 1500))
    assert twice.amount_minor == 1500
    for start in (tab(), once, twice):
        with pytest.raises(IncrementAboveLimit):
            after(start, IncrementAsked(1501, LIMITS))


def test_a_payment_is_not_raised_past_the_amount_that_would_have_been_reviewed() -> None:
    limits = IncrementLimits(5_000, review_minor=1_200)
    assert after(tab(), IncrementAsked(1_199, limits))[0].increment_to_minor == 1_199
    with pytest.raises(IncrementAboveLimit):
        after(tab(), IncrementAsked(1_200, limits))
    assert limits.most(1_200) == 1_800, "it was reviewed"


def test_a_capture_behind_an_increment_has_to_say_how_much_and_does_not_close_the_payment() -> None:
    asked, _ = after(tab(), IncrementAsked(1400, LIMITS))
    with pytest.raises(IncrementUnderWay):
        after(asked, CaptureAsked(None, False))
    with pytest.raises(CaptureAboveAuthorised):
        after(asked, CaptureAsked(AMOUNT + 1, False))
    captured, _ = after(
        asked,
        CaptureAsked(AMOUNT, False),
        HoldIncreased(increment_id(), 1400),
        HoldCaptured(capture_id(), AMOUNT, False),
    )
    assert (captured.state, captured.capturable_minor) == ("authorised", 400)
    final, _ = after(asked, CaptureAsked(AMOUNT, True), HoldIncreased(increment_id(), 1400))
    assert final.capturable_minor == 0, "it was to be the last"


def test_an_unknown_increment_is_seen_and_is_not_what_was_voided_meanwhile() -> None:
    lost = OutcomeUnknown(attempt("increment", 1400), "timed_out")
    asked, _ = after(tab("card"), IncrementAsked(1400, LIMITS), lost, VoidAsked())
    assert (asked.reason, asked.void_reason) == ("increment_unknown", "requested")
    found, sent = after(asked, AcquirerIncremented(attempt("increment", 1400, was_unknown=True)))
    assert (found.reason, found.amount_minor, found.capturable_minor) == (None, 1400, 0)
    assert kinds(sent) == ["AttemptResolved", "PaymentIncremented"]


def test_time_does_not_void_what_is_being_raised() -> None:
    waiting, sent = after(tab(increments=1, increment_to_minor=1400, amount_assessed_minor=AMOUNT), DeadlinePassed())
    assert sent == []
    assert (waiting.reason, waiting.void_reason) == ("increment_unanswered", None)
