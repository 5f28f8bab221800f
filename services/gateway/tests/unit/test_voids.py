"""A void that never arrived at the acquirer: what it was to let go of is still held, so another is asked for."""

from datetime import timedelta

from rialto_common import ids
from rialto_gateway.attempts.attempt import NOT_FOUND
from rialto_gateway.payments import machine
from rialto_gateway.payments.chapters.captures import VOIDS_AT_ONCE
from rialto_gateway.payments.chapters.change import Change
from rialto_gateway.payments.facts import AcquirerRefusedVoid, AcquirerVoided, DeadlinePassed, Fact, VoidAsked
from rialto_gateway.payments.states import Payment

from .payment_states import AUTHORISATION, DEADLINES, NOW, OTHER_AUTHORISATION, PAYMENT_ID, attempt, card


def lost(ordinal: int, authorisation: str = AUTHORISATION) -> AcquirerRefusedVoid:
    """The acquirer has nothing of a void, and will not act on it any more."""
    return AcquirerRefusedVoid(attempt("void", ordinal=ordinal, was_unknown=True), authorisation, NOT_FOUND)


def change(payment: Payment, fact: Fact, *, later: timedelta = timedelta()) -> Change:
    found = machine.apply(payment, fact, NOW + later, DEADLINES)
    assert found is not None
    return found


def expiring() -> Payment:
    """A payment whose time is over, and whose acquirer is asked to let go."""
    return change(card("authorised", capture_method="manual"), DeadlinePassed(), later=timedelta(days=30)).payment


def test_another_void_is_asked_for_at_once_and_the_payment_ends_when_one_is_answered() -> None:
    for before, end in ((expiring(), "expired"), (change(card("authorised"), VoidAsked()).payment, "voided")):
        assert before.voids == 1
        again = change(before, lost(1))
        assert (again.payment.state, again.payment.void_reason) == ("authorised", before.void_reason)
        [question] = again.attempts
        assert question.attempt_id == ids.derive(PAYMENT_ID, "attempt.void", 2)
        assert (question.step, question.connector, question.authorisation) == ("void", "harbour", AUTHORISATION)
        assert again.payment.capturable_minor == 0, "it is on its way to be let go of"
        ended = change(again.payment, AcquirerVoided(attempt("void", ordinal=2), AUTHORISATION))
        assert ended.payment.state == end


def test_after_many_were_lost_the_next_waits_for_the_deadline_and_no_clock_gives_it_up() -> None:
    payment = expiring()
    for ordinal in range(1, VOIDS_AT_ONCE):
        payment = change(payment, lost(ordinal)).payment
    waiting = change(payment, lost(VOIDS_AT_ONCE))
    assert (waiting.attempts, waiting.payment.state, waiting.payment.reason) == ((), "authorised", NOT_FOUND)
    assert waiting.payment.deadline_at is not None
    asked = change(waiting.payment, DeadlinePassed(), later=timedelta(days=31))
    assert [each.ordinal for each in asked.attempts] == [VOIDS_AT_ONCE + 1]
    assert asked.payment.void_reason == "expired"
    twice = change(asked.payment, DeadlinePassed(), later=timedelta(days=32))
    assert twice.attempts == (), "one is under way"


def test_an_authorisation_that_came_too_late_is_let_go_of_by_another_void() -> None:
    for before in (card("failed", voids=1), card("settled", voids=1)):
        again = change(before, lost(1, OTHER_AUTHORISATION))
        assert [(each.ordinal, each.authorisation) for each in again.attempts] == [(2, OTHER_AUTHORISATION)]
        assert (again.payment.state, again.payment.voids) == (before.state, 2)
        given_up = change(card(before.state, voids=VOIDS_AT_ONCE), lost(VOIDS_AT_ONCE, OTHER_AUTHORISATION))
        assert given_up.attempts == ()


def test_what_the_payment_stands_on_is_not_let_go_of_unless_that_was_asked_for() -> None:
    kept = change(card("authorised", voids=1), lost(1))
    assert (kept.attempts, kept.payment.state, kept.payment.capturable_minor > 0) == ((), "authorised", True)
