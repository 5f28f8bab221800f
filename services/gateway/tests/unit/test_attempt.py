"""An attempt's life: what it makes of answers, in whatever order they come."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from rialto_common import ids
from rialto_gateway.attempts import attempt as attempts
from rialto_gateway.attempts.attempt import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    OPEN,
    RESOLVED_WITHIN,
    SLOW_PAUSE,
    Attempt,
    Card,
    contradicts,
    heard,
    may_go_elsewhere,
    question_of,
    started,
)
from rialto_gateway.attempts.outcome import fact_of
from rialto_gateway.connectors.port import (
    ActionRequired,
    Answer,
    Authorise,
    Capture,
    Declined,
    NotFound,
    NotSent,
    Pending,
    Refund,
    Step,
    Succeeded,
    Unknown,
    Void,
)
from rialto_gateway.payments import facts

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAYMENT_ID = ids.uuid7(int(NOW.timestamp() * 1000), 1)
LEASE = timedelta(seconds=60)
STEPS: tuple[Step, ...] = ("authorise", "capture", "void", "refund")
ANSWERS: list[Answer] = [
    Succeeded("acq_1", 1000),
    Pending("acq_1"),
    ActionRequired("acq_1", "https://acquirer.example/3ds"),
    Declined("insufficient_funds", "51"),
    NotSent("connection_refused"),
    Unknown("timed_out"),
    NotFound(),
]


def queued(step: Step = "authorise", **changes: Any) -> Attempt:
    """Return an attempt as it is recorded."""
    plain = Attempt(
        id=ids.derive(PAYMENT_ID, f"attempt.{step}", 1),
        payment_id=PAYMENT_ID,
        merchant_id=PAYMENT_ID,
        mode="test",
        currency="USD",
        step=step,
        ordinal=1,
        subject_id=ids.derive(PAYMENT_ID, step, 1) if step in ("capture", "refund") else None,
        connector=None if step == "authorise" else "harbour",
        authorisation=None if step == "authorise" else "auth_1",
        amount_minor=1000,
        final=step == "capture",
        state="queued",
        code=None,
        connector_code=None,
        connector_reference=None,
        url=None,
        asks=0,
        asked_at=NOW,
        created_at=NOW,
        started_at=None,
        unknown_since=None,
        answered_at=None,
        overdue_at=None,
        due_at=NOW,
    )
    return replace(plain, **changes)


def sent(step: Step = "authorise") -> Attempt:
    """Return an attempt whose call is under way."""
    return started(queued(step), "harbour", NOW, LEASE)


def after(begun: Attempt, *answers: Answer, at: datetime = NOW) -> Attempt:
    for answer in answers:
        begun = heard(begun, answer, at)
    return begun


def test_it_is_recorded_with_its_acquirer_before_the_call() -> None:
    begun = sent()
    assert (begun.state, begun.connector, begun.started_at, begun.due_at) == ("started", "harbour", NOW, NOW + LEASE)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("answer", ANSWERS, ids=repr)
def test_what_is_open_is_asked_about_again_and_what_has_ended_is_not(step: Step, answer: Answer) -> None:
    for before in (sent(step), after(sent(step), Unknown("x")), after(sent(step), Pending("acq_1"))):
        found = heard(before, answer, NOW)
        assert (found.due_at is not None) == (found.state in OPEN)
        assert found.due_at is None or found.due_at > NOW
        assert found.state != "started", "an answer is an answer"


@pytest.mark.parametrize("step", STEPS)
def test_the_same_news_in_any_order_come_to_the_same(step: Step) -> None:
    certain = Succeeded("acq_1", 1000)
    news: list[Answer] = [Unknown("timed_out"), Pending("acq_1"), certain, certain]
    for order in permutations(news):
        ended = after(sent(step), *order)
        assert (ended.state, ended.connector_reference, ended.due_at) == ("succeeded", "acq_1", None)
    news = [Unknown("timed_out"), Pending("acq_1"), Declined("no", "05")]
    for order in permutations(news):
        assert after(sent(step), *order).code == "no"


@pytest.mark.parametrize("answer", [Unknown("timed_out"), Unknown("connection_lost")])
def test_an_unknown_is_looked_up_ever_more_seldom_and_past_its_deadline_waits_for_a_person(answer: Answer) -> None:
    unknown, now = after(sent(), answer), NOW
    pauses = []
    while unknown.overdue_at is None:
        assert unknown.due_at is not None
        pauses.append(unknown.due_at - now)
        now = unknown.due_at
        unknown = heard(unknown, answer, now)
        assert unknown.state == "unknown"
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses == sorted(pauses)
    assert max(pauses) == LONGEST_PAUSE
    assert RESOLVED_WITHIN <= now - NOW <= RESOLVED_WITHIN + LONGEST_PAUSE
    assert unknown.due_at == now + SLOW_PAUSE
    assert heard(unknown, Succeeded("acq_1", 1000), now).state == "succeeded", "it is never too late to know"


def test_a_look_up_that_was_not_sent_says_nothing_of_the_attempt() -> None:
    unknown = after(sent("capture"), Unknown("timed_out"), NotSent("connection_refused"))
    assert unknown.state == "unknown"
    waiting = after(sent(), ActionRequired("acq_1", "https://a.example"), Unknown("timed_out"))
    assert (waiting.state, waiting.url) == ("requires_action", "https://a.example")


@pytest.mark.parametrize("step", ["capture", "void", "refund"])
def test_what_certainly_did_not_arrive_is_sent_again_for_a_while_under_the_same_reference(step: Step) -> None:
    begun = sent(step)
    again = heard(begun, NotSent("busy"), NOW)
    assert (again.state, again.reference) == ("queued", begun.reference)
    assert again.due_at is not None
    assert again.due_at > NOW
    late = NOW + attempts.SENT_AGAIN_FOR[step]
    assert heard(begun, NotSent("busy"), late).state == "failed"


def test_an_authorisation_that_did_not_arrive_ends_so_that_another_acquirer_can_be_asked() -> None:
    assert heard(sent(), NotSent("busy"), NOW).state == "failed"


def test_only_what_certainly_did_not_charge_lets_another_acquirer_be_asked() -> None:
    assert [type(answer).__name__ for answer in ANSWERS if may_go_elsewhere(answer)] == ["NotSent", "NotFound"]
    assert may_go_elsewhere(Declined("acquirer_trouble", "96", retry_elsewhere=True))


def test_another_amount_than_was_asked_for_is_for_a_person() -> None:
    odd = heard(sent("capture"), Succeeded("acq_1", 999), NOW)
    assert (odd.state, odd.code) == ("unknown", "amount_differs")
    assert heard(sent("void"), Succeeded("acq_1", 400), NOW).state == "succeeded"


def test_what_was_certain_stays_and_what_denies_it_is_noticed() -> None:
    succeeded = after(sent("capture"), Succeeded("acq_1", 1000))
    assert heard(succeeded, Declined("no", "05"), NOW) is succeeded
    assert contradicts(succeeded, Declined("no", "05"))
    assert not contradicts(succeeded, Succeeded("acq_1", 1000))
    failed = after(sent("capture"), Declined("no", "05"))
    assert heard(failed, Succeeded("acq_1", 1000), NOW) is failed
    assert contradicts(failed, Succeeded("acq_1", 1000))
    late = heard(after(sent(), NotFound()), Succeeded("acq_1", 1000), NOW)
    assert late.state == "succeeded", "an authorisation that was given must be known, to be let go of"


def test_each_step_asks_for_what_it_is_about() -> None:
    card = Card("tok_1", "https://shop.example", "SHOP")
    name = queued().reference
    assert question_of(queued(), card) == Authorise(name, 1000, "USD", "tok_1", "SHOP", "https://shop.example")
    assert question_of(queued("capture"), None) == Capture(queued("capture").reference, "auth_1", 1000, "USD", True)
    assert question_of(queued("void"), None) == Void(queued("void").reference, "auth_1")
    assert question_of(queued("refund"), None) == Refund(queued("refund").reference, "auth_1", 1000, "USD")
    for step, missing in (("authorise", {}), ("capture", {"authorisation": None})):
        with pytest.raises(ValueError, match="has no"):
            question_of(queued(step, **missing), None)  # type: ignore[arg-type]
    assert "tok_1" not in repr(card)


@pytest.mark.parametrize(
    ("step", "answer", "fact"),
    [
        ("authorise", Succeeded("acq_1", 1000), facts.AcquirerAuthorised),
        ("authorise", ActionRequired("acq_1", "https://a.example"), facts.ActionNeeded),
        ("authorise", Declined("no", "05"), facts.AcquirerRefusedAuthorisation),
        ("capture", Succeeded("acq_1", 1000), facts.AcquirerCaptured),
        ("capture", NotFound(), facts.AcquirerRefusedCapture),
        ("void", Succeeded("acq_1", 0), facts.AcquirerVoided),
        ("void", Declined("no", "05"), facts.AcquirerRefusedVoid),
        ("refund", Succeeded("acq_1", 1000), facts.AcquirerRefunded),
        ("refund", Declined("no", "05"), facts.AcquirerRefusedRefund),
        ("refund", Unknown("timed_out"), facts.OutcomeUnknown),
        ("capture", Pending("acq_1"), type(None)),
        ("capture", NotSent("busy"), type(None)),
    ],
)
def test_each_outcome_is_told_to_the_payment_once(step: Step, answer: Answer, fact: type) -> None:
    before = sent(step)
    ended = heard(before, answer, NOW)
    assert type(fact_of(before, ended, answer, elsewhere=False)) is fact
    again = heard(ended, answer, NOW)
    told = fact_of(ended, again, answer, elsewhere=False)
    assert told is None or isinstance(told, facts.ActionNeeded)
