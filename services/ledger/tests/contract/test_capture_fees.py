"""Fees that are taken with captures: in the capture's own entry, once, in memory and in PostgreSQL."""

from dataclasses import replace

import pytest

from rialto_common import ids
from rialto_common.errors import MalformedEvent
from rialto_common.events import ledger as events
from rialto_common.events.envelope import compose
from rialto_common.events.payments import CaptureRequested
from rialto_ledger.application.posting import Posted
from rialto_ledger.application.telling import Teller
from rialto_ledger.domain.batch import Decision
from rialto_ledger.domain.commands import BookCapture, CaptureHold, SuspendCapture
from rialto_ledger.domain.errors import EntryIdReused
from rialto_ledger.domain.outcomes import HoldCaptured, MovementPosted, Outcome, OutcomeStatus
from rialto_ledger.entrypoints.consumer import command_of
from rialto_ledger.testing import NOW, open_wallet, top_up

from .test_disputes import INCOME, balances
from .test_ledger import World
from .test_ledger import world as world  # the fixture
from .test_movements import ACQUIRER, CAPTURE_ID, PAYMENT, of

FEE = 59


def capture(amount_minor: int = 1000, *, ordinal: int = 0, final: bool = True, fee_minor: int = FEE) -> CaptureHold:
    """Return a capture of the payment's hold."""
    return replace(PAYMENT.capture(amount_minor, ordinal=ordinal, final=final), fee_minor=fee_minor)


async def held(world: World) -> None:
    await world.do(open_wallet(PAYMENT.wallet_number), top_up(PAYMENT.wallet_number, 5000), PAYMENT.place())


async def test_a_capture_of_a_hold_takes_its_fee_in_the_same_entry_and_only_once(world: World) -> None:
    await held(world)
    first, again = await world.do(capture(), capture())
    assert (first.status, again.status) == (OutcomeStatus.APPLIED, OutcomeStatus.DUPLICATE)
    assert isinstance(first.result, HoldCaptured)
    lines = [(each.side.value, each.amount_minor) for each in first.result.entry.postings]
    assert lines == [("debit", 1000), ("credit", 1000), ("debit", FEE), ("credit", FEE)]
    assert await balances(world) == (0, 1000 - FEE, 0, FEE)
    for other in (capture(fee_minor=FEE + 1), capture(fee_minor=0)):
        (refused,) = await world.do(other)
        assert isinstance(refused.error, EntryIdReused)
    assert await balances(world) == (0, 1000 - FEE, 0, FEE)


async def test_parts_are_each_charged_and_a_fee_may_take_all_of_one(world: World) -> None:
    await held(world)
    await world.do(capture(400, ordinal=1, final=False, fee_minor=41), capture(5, ordinal=2, final=False, fee_minor=5))
    await world.do(capture(595, ordinal=3, fee_minor=0))
    assert await balances(world) == (0, 1000 - 46, 0, 46)


@pytest.mark.parametrize("was_unknown", [True, False])
async def test_a_capture_by_an_acquirer_takes_its_fee_once_it_is_known(world: World, was_unknown: bool) -> None:
    if was_unknown:
        await world.do(of(SuspendCapture, CAPTURE_ID))
        assert await balances(world) == (1000, 0, 0, 0)
    booked = of(BookCapture, CAPTURE_ID, final=True, fee_minor=FEE)
    first, again = await world.do(booked, booked)
    assert (first.status, again.status) == (OutcomeStatus.APPLIED, OutcomeStatus.DUPLICATE)
    assert isinstance(first.result, MovementPosted)
    assert await balances(world) == (1000, 1000 - FEE, 0, FEE)
    (other,) = await world.do(of(BookCapture, CAPTURE_ID, final=True, fee_minor=FEE + 1))
    assert isinstance(other.error, EntryIdReused)


async def test_what_was_booked_is_told_with_its_fee(world: World) -> None:
    await held(world)
    outcomes = await world.do(capture(), of(BookCapture, CAPTURE_ID, final=True, fee_minor=FEE))
    accounts = {}
    for spec_id in {line.account_id for each in outcomes for line in each.result.entry.postings}:  # type: ignore[union-attr]
        account = await world.reader.account(spec_id)
        assert account is not None
        accounts[spec_id] = account
    posted = Posted(Decision(list(outcomes), [], [], [], [], {}), accounts)
    told = [event for each in outcomes for event in Teller(posted.accounts, NOW).events_of(each)]
    by_hold = next(each for each in told if each.type == events.HoldCaptured.type).read(events.HoldCaptured)
    by_acquirer = next(each for each in told if each.type == events.CaptureBooked.type).read(events.CaptureBooked)
    assert (by_hold.amount_minor, by_hold.fee_minor) == (by_acquirer.amount_minor, by_acquirer.fee_minor) == (1000, FEE)
    assert INCOME.id in accounts
    refused = Outcome(capture(), OutcomeStatus.REFUSED, error=EntryIdReused(CAPTURE_ID))
    [event] = Teller(accounts, NOW).events_of(refused)
    assert event.read(events.PostingRefused).fee_minor == FEE


@pytest.mark.parametrize("acquirer", [None, ACQUIRER])
def test_a_request_without_a_fee_takes_none_and_one_above_its_capture_is_malformed(acquirer: str | None) -> None:
    def asked(**fee: int) -> CaptureHold | BookCapture:
        data = CaptureRequested(
            payment_id=PAYMENT.id,
            merchant_id=PAYMENT.merchant_id,
            mode="test",
            capture_id=CAPTURE_ID,
            ordinal=1,
            amount_minor=1000,
            currency="USD",
            final=True,
            acquirer=acquirer,
            **fee,
        )
        key = ids.to_text("pay", PAYMENT.id)
        event = compose(data, source="rialto.gateway", root=CAPTURE_ID, key=key, shard=1, time=NOW, sequence=1)
        command = command_of(event)
        assert isinstance(command, CaptureHold | BookCapture)
        return command

    assert asked().fee_minor == 0
    assert asked(fee_minor=1000).fee_minor == 1000
    with pytest.raises(MalformedEvent):
        asked(fee_minor=1001)
