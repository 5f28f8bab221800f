"""The tables of `states.py`: the docstring, the deadlines, the transitions, and the machine that follows them."""

import re
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from rialto_common.errors import Conflict, InvalidRequest
from rialto_gateway.payments import facts, machine, states
from rialto_gateway.payments.states import DEADLINES as DEADLINE_OF
from rialto_gateway.payments.states import FINAL, TRANSITIONS, State

from .payment_states import DEADLINES, EVERY_FACT, NOW, after_deadline, card, fits, payment, variants

STATES: tuple[State, ...] = get_args(State)
UNITS = {"s": "seconds", "min": "minutes", "days": "days"}


def test_the_table_in_the_docstring_is_the_table_of_deadlines() -> None:
    rows = re.findall(r"^\| (`.+?) \| .+? \| (.+?) \| ?(.*?) ?\|$", states.__doc__ or "", re.MULTILINE)
    told: dict[str, tuple[timedelta | None, str]] = {}
    for names, after, then in rows:
        length = re.fullmatch(r"(\d+) (s|min|days)", after)
        lasts = None if length is None else timedelta(**{UNITS[length[2]]: int(length[1])})
        for name in re.findall(r"`(\w+)`", names):
            told[name] = (lasts, then)
    assert set(told) == set(STATES)
    for state, (lasts, then) in told.items():
        if state in FINAL:
            assert lasts is None
            continue
        deadline = DEADLINE_OF[state]  # type: ignore[index]
        # The gateway's own deadline for an authorisation comes a minute after the ledger's.
        assert lasts == deadline.after - (timedelta(minutes=1) if state == "authorised" else timedelta())
        assert f"`{deadline.leads_to}`" in then


def test_every_state_that_is_not_final_has_a_deadline_and_no_final_one_has() -> None:
    assert set(DEADLINE_OF) == set(STATES) - FINAL
    assert all(deadline.after > timedelta() and deadline.leads_to != state for state, deadline in DEADLINE_OF.items())


def test_the_transitions_name_every_fact_and_lead_out_of_every_state_that_is_not_final() -> None:
    every = {kind.__name__ for kind in get_args(facts.Fact)}
    assert set(TRANSITIONS) == every == {type(fact).__name__ for fact in EVERY_FACT}
    for state in set(STATES) - FINAL:
        assert any(table.get(state, frozenset()) - {state} for table in TRANSITIONS.values()), state
    for table in TRANSITIONS.values():
        assert all(table[state] == {state} for state in table if state in FINAL), "a final state is left"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("fact", EVERY_FACT, ids=repr)
def test_each_fact_leads_from_each_state_only_where_the_table_says(state: State, fact: facts.Fact) -> None:
    allowed = TRANSITIONS[type(fact).__name__].get(state, frozenset())
    for before in filter(lambda each: fits(each, fact), variants(state)):
        try:
            change = machine.apply(before, fact, after_deadline(), DEADLINES)
        except (Conflict, InvalidRequest):
            assert isinstance(
                fact,
                facts.CaptureAsked | facts.IncrementAsked | facts.VoidAsked | facts.RefundAsked | facts.ReviewDecided,
            )
            continue
        if change is None:
            continue
        after = change.payment
        assert after.state in allowed, before
        assert (after.deadline_at is None) == (after.state in FINAL)
        assert after.deadline_at is None or after.deadline_at >= NOW
        assert change.name


def test_each_transition_in_the_table_happens() -> None:
    seen = set()
    for state in STATES:
        for fact in EVERY_FACT:
            for before in filter(lambda each: fits(each, fact), variants(state)):
                try:
                    change = machine.apply(before, fact, after_deadline(), DEADLINES)
                except (Conflict, InvalidRequest):
                    continue
                if change is not None:
                    seen.add((type(fact).__name__, state, change.payment.state))
    listed = {
        (name, state, after) for name, table in TRANSITIONS.items() for state, ends in table.items() for after in ends
    }
    assert seen == listed


@pytest.mark.parametrize("state", sorted(set(STATES) - FINAL))
def test_a_deadline_leads_where_the_table_says_or_asks_the_question_that_leads_there(state: State) -> None:
    change = machine.apply(payment(state), facts.DeadlinePassed(), NOW, DEADLINES)
    assert change is not None
    asks = {"unknown": "void.requested", "authorised": "void.requested", "captured": "settlement.requested"}
    if state in asks:
        assert change.payment.state == state
        assert f"rialto.{asks[state]}.v1" in [data.type for data in change.outgoing]
        assert change.payment.deadline_at is not None
        assert change.payment.deadline_at > NOW
    else:
        assert change.payment.state == DEADLINE_OF[state].leads_to


@pytest.mark.parametrize("state", sorted(set(STATES) - FINAL))
def test_a_cards_deadline_asks_nothing_of_the_ledger_and_gives_up_no_money(state: State) -> None:
    change = machine.apply(card(state), facts.DeadlinePassed(), NOW, DEADLINES)
    assert change is not None
    assert not {"rialto.void.requested.v1", "rialto.payment.approved.v1"} & {data.type for data in change.outgoing}
    if state == "unknown":
        assert (change.payment.state, change.attempts) == ("unknown", ())
        assert change.payment.deadline_at is not None
        assert change.payment.deadline_at > NOW
    voids = [question for question in change.attempts if question.step == "void"]
    assert len(voids) == (1 if state in ("authorised", "requires_action") else 0)


@pytest.mark.parametrize("state", STATES)
def test_a_deadline_that_has_not_passed_changes_nothing(state: State) -> None:
    waiting = payment(state, deadline_at=None if state in FINAL else NOW + timedelta(microseconds=1))
    assert machine.apply(waiting, facts.DeadlinePassed(), NOW, DEADLINES) is None


def test_the_machine_reaches_for_no_clock_and_no_chance() -> None:
    chapters = (Path(machine.__file__ or "").parent / "chapters").glob("*.py")
    for path in (*(Path(module.__file__ or "") for module in (machine, states, facts)), *chapters):
        assert not re.search(r"\b(now\(|mint\(|random|async |await )", path.read_text()), path.name
