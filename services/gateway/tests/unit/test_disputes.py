"""What is made of what an acquirer says of a dispute, in whatever order it says it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common import ids
from rialto_gateway.connectors.disputes import Standing, Status
from rialto_gateway.disputes import dispute as disputes
from rialto_gateway.disputes.dispute import (
    ENDED,
    LOOKED_AT_EVERY,
    Dispute,
    State,
    accept,
    contradicts,
    dispute_id,
    heard,
    not_heard,
    opened,
    submit,
)

NOW = datetime(2026, 5, 6, tzinfo=UTC)
STANDING = Standing(
    "dsp_1", "att_1", 600, "USD", "fraudulent", "needs_response", NOW + timedelta(days=7), NOW - timedelta(days=1)
)
PAYMENT_ID, MERCHANT_ID = ids.uuid7(1, 1), ids.uuid7(1, 2)
statuses = st.sampled_from(get_args(Status))


def a_dispute() -> Dispute:
    return opened(STANDING, "harbour", PAYMENT_ID, MERCHANT_ID, "test", 15)


def told(dispute: Dispute, status: Status, now: datetime = NOW) -> Dispute:
    return heard(dispute, replace(STANDING, status=status), now)[0]


def test_told_twice_it_is_one_and_another_acquirers_is_another() -> None:
    assert dispute_id("harbour", STANDING) == dispute_id("harbour", replace(STANDING, status="won"))
    assert dispute_id("harbour", STANDING) != dispute_id("quay", STANDING)
    assert dispute_id("harbour", STANDING) != dispute_id("harbour", replace(STANDING, reference="dsp_2"))


@pytest.mark.parametrize("order", list(permutations(["needs_response", "under_review", "won"])))
def test_the_order_of_the_news_makes_no_difference(order: tuple[Status, ...]) -> None:
    dispute = a_dispute()
    happened = []
    for status in order:
        dispute, happening = heard(dispute, replace(STANDING, status=status), NOW)
        happened.append(happening)
    assert (dispute.state, dispute.due_at, dispute.closed_at) == ("won", None, NOW)
    assert happened.count("won") == 1
    assert happened.count("evidence_submitted") <= 1


@given(st.lists(statuses, max_size=8))
def test_a_dispute_never_goes_back_and_is_asked_about_until_it_has_ended(order: list[Status]) -> None:
    dispute = a_dispute()
    for status in order:
        before, (dispute, happening) = dispute, heard(dispute, replace(STANDING, status=status), NOW)
        assert disputes.RANK[dispute.state] >= disputes.RANK[before.state]
        assert (happening is None) == (dispute.state == before.state)
        assert (dispute.due_at is None) == (dispute.state in ENDED) == (dispute.closed_at is not None)
        assert dispute.due_at is None or dispute.due_at > NOW
        if before.state in ENDED:
            assert dispute == before
            assert contradicts(before, status) == (status in ENDED and status != before.state)


def test_why_it_was_lost() -> None:
    assert told(a_dispute(), "lost").cause == "expired"
    assert told(told(a_dispute(), "under_review"), "lost").cause == "decided"
    assert told(submit(a_dispute(), NOW), "lost").cause == "decided"
    assert told(accept(a_dispute(), NOW), "lost").cause == "accepted"
    assert told(a_dispute(), "won").cause is None


def test_what_is_to_be_sent_is_sent_until_the_acquirer_has_it() -> None:
    sending = submit(a_dispute(), NOW)
    assert (sending.sending, sending.due_at) == ("evidence", NOW)
    for tries in range(4):
        sending = not_heard(sending, NOW)
        assert (sending.sending, sending.asks) == ("evidence", tries + 1)
        assert sending.due_at is not None
        assert sending.due_at > NOW
    assert told(sending, "needs_response").sending == "evidence", "old news says nothing of what was sent"
    taken = told(sending, "under_review")
    assert (taken.sending, taken.submitted_at, taken.due_at) == (None, NOW, NOW + LOOKED_AT_EVERY)


def test_it_can_be_answered_in_time_and_once() -> None:
    dispute = a_dispute()
    assert dispute.answerable(NOW)
    assert not dispute.answerable(dispute.respond_by)
    assert dispute.due_at == dispute.respond_by
    for answered in (submit(dispute, NOW), accept(dispute, NOW), told(dispute, "under_review"), told(dispute, "won")):
        assert not answered.answerable(NOW)
    longer = replace(STANDING, respond_by=STANDING.respond_by + timedelta(days=1))
    assert heard(dispute, longer, NOW)[0].due_at == longer.respond_by


def test_one_that_nobody_answered_is_asked_about_until_the_acquirer_says_how_it_ended() -> None:
    late = STANDING.respond_by
    asked = told(a_dispute(), "needs_response", late)
    assert (asked.state, asked.asks) == ("needs_response", 1)
    assert asked.due_at is not None
    assert late < asked.due_at < late + timedelta(minutes=10)
    assert told(asked, "lost", late).cause == "expired"


def test_every_state_is_in_the_table() -> None:
    rows = [line.split("|") for line in (disputes.__doc__ or "").splitlines() if line.startswith("| `")]
    for state in get_args(State):
        [row] = [row for row in rows if f"`{state}`" in row[1]]
        assert (row[3].strip() == "none") == (state in ENDED)
