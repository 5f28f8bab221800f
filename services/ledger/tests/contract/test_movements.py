"""Captures and refunds that come to no hold: what each step books, once, in memory and in PostgreSQL."""

from itertools import permutations
from uuid import UUID

import pytest

from rialto_common import ids
from rialto_ledger.domain import chart
from rialto_ledger.domain.balance import ledger_balance
from rialto_ledger.domain.commands import (
    BookCapture,
    BookRefund,
    Command,
    FinishRefund,
    MovementCommand,
    ReturnCapture,
    SuspendCapture,
)
from rialto_ledger.domain.errors import EntryIdReused, InsufficientMerchantBalance
from rialto_ledger.domain.outcomes import MovementPosted, OutcomeStatus
from rialto_ledger.testing import NOW, Payment, open_wallet, top_up, wallet

from .test_ledger import World
from .test_ledger import world as world  # the fixture

PAYMENT = Payment(amount_minor=1000)
CAPTURE_ID = ids.derive(PAYMENT.id, "capture", 1)
REFUND_ID = ids.derive(PAYMENT.id, "refund", 1)
ACQUIRER = "harbour"
RECEIVABLE = chart.acquirer_receivable(ACQUIRER, "USD", "test")
SUSPENSE = chart.suspense("USD", "test")


def of(kind: type[MovementCommand], subject_id: UUID, amount_minor: int = 1000, **more: object) -> Command:
    """Return a command about the payment."""
    named: dict[str, object] = {
        "payment_id": PAYMENT.id,
        "merchant_id": PAYMENT.merchant_id,
        "mode": "test",
        "shard": PAYMENT.shard,
        "subject_id": subject_id,
        "amount_minor": amount_minor,
        "currency": "USD",
        "acquirer": ACQUIRER,
        "effective_at": NOW,
        **more,
    }
    return kind(**named)  # type: ignore[arg-type]


def booked(amount_minor: int = 1000) -> Command:
    return of(BookCapture, CAPTURE_ID, amount_minor, final=True)


async def balances(world: World) -> tuple[int, int, int]:
    """Return what the acquirer owes us, what is in suspense, and what we owe the merchant."""
    found = [await world.reader.account(spec.id) for spec in (RECEIVABLE, SUSPENSE, PAYMENT.payable)]
    receivable, suspense, payable = [0 if account is None else ledger_balance(account) for account in found]
    return receivable, suspense, payable


async def test_a_capture_that_is_known_goes_to_the_merchant_at_once_and_only_once(world: World) -> None:
    (first,) = await world.do(booked())
    assert first.status is OutcomeStatus.APPLIED
    assert await balances(world) == (1000, 0, 1000)
    (again,) = await world.do(booked())
    assert again.status is OutcomeStatus.DUPLICATE
    assert isinstance(again.result, MovementPosted)
    assert await balances(world) == (1000, 0, 1000)
    (other,) = await world.do(booked(900))
    assert isinstance(other.error, EntryIdReused)


async def test_an_unknown_capture_waits_in_suspense_and_goes_where_it_belongs(world: World) -> None:
    await world.do(of(SuspendCapture, CAPTURE_ID))
    assert await balances(world) == (1000, 1000, 0)
    await world.do(of(SuspendCapture, CAPTURE_ID), booked())
    assert await balances(world) == (1000, 0, 1000)
    await world.do(of(ReturnCapture, CAPTURE_ID), of(SuspendCapture, CAPTURE_ID))
    assert await balances(world) == (1000, 0, 1000), "what is booked stays booked"


async def test_an_unknown_capture_that_did_not_happen_leaves_nothing(world: World) -> None:
    await world.do(of(ReturnCapture, CAPTURE_ID))
    assert await balances(world) == (0, 0, 0), "nothing was suspended, so nothing comes back"
    await world.do(of(SuspendCapture, CAPTURE_ID), of(ReturnCapture, CAPTURE_ID), of(ReturnCapture, CAPTURE_ID))
    assert await balances(world) == (0, 0, 0)
    await world.do(booked())
    assert await balances(world) == (1000, 0, 1000), "an acquirer that did capture after all is believed"


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_capture_ends_booked_once_in_whatever_order_it_is_told(world: World, order: tuple[int, ...]) -> None:
    told = [of(SuspendCapture, CAPTURE_ID), booked(), of(ReturnCapture, CAPTURE_ID)]
    for place in order:
        await world.do(told[place])
    receivable, suspense, payable = await balances(world)
    assert (receivable - suspense, payable) == (1000, 1000)
    assert suspense == 0


async def test_a_refund_to_a_wallet_is_taken_from_the_merchant_and_only_while_there_is_enough(world: World) -> None:
    to_wallet = {"acquirer": None, "wallet_id": wallet().id}
    await world.do(open_wallet(), top_up(0, 5000), booked())
    (given,) = await world.do(of(BookRefund, REFUND_ID, 600, **to_wallet))
    assert given.error is None
    assert (await world.balances())[0] == 5600
    assert await balances(world) == (1000, 0, 400)
    second, third = ids.derive(PAYMENT.id, "refund", 2), ids.derive(PAYMENT.id, "refund", 3)
    outcomes = await world.do(of(BookRefund, second, 400, **to_wallet), of(BookRefund, third, 1, **to_wallet))
    assert outcomes[0].error is None
    assert isinstance(outcomes[1].error, InsufficientMerchantBalance)
    assert await balances(world) == (1000, 0, 0)
    (again,) = await world.do(of(BookRefund, REFUND_ID, 600, **to_wallet))
    assert again.status is OutcomeStatus.DUPLICATE, "asking again takes nothing more, and is not refused"


@pytest.mark.parametrize(("succeeded", "left"), [(True, (400, 0, 400)), (False, (1000, 0, 1000))])
async def test_a_refund_at_an_acquirer_is_set_aside_until_it_has_answered(
    world: World, succeeded: bool, left: tuple[int, int, int]
) -> None:
    finish = of(FinishRefund, REFUND_ID, 600, succeeded=succeeded)
    await world.do(booked(), finish)
    assert await balances(world) == (1000, 0, 1000), "nothing was set aside"
    await world.do(of(BookRefund, REFUND_ID, 600, wallet_id=None))
    assert await balances(world) == (1000, 600, 400)
    await world.do(finish, finish)
    await world.do(finish)
    assert await balances(world) == left
