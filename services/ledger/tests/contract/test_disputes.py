"""Disputes: what each step books, once, in memory and in PostgreSQL."""

import pytest

from rialto_common import ids
from rialto_ledger.domain import chart
from rialto_ledger.domain.balance import ledger_balance
from rialto_ledger.domain.commands import BookCapture, CloseDispute, Command, DisputeCommand, OpenDispute
from rialto_ledger.domain.errors import EntryIdReused
from rialto_ledger.domain.outcomes import MovementPosted, NothingToDo, OutcomeStatus
from rialto_ledger.testing import NOW

from .test_ledger import World
from .test_ledger import world as world  # the fixture
from .test_movements import ACQUIRER, CAPTURE_ID, PAYMENT, RECEIVABLE, of

DISPUTE_ID = ids.derive(PAYMENT.id, "dispute")
RESERVE = chart.merchant_reserve(PAYMENT.merchant_id, "USD", "test")
INCOME = chart.fees_income("USD", "test")


def dispute(kind: type[DisputeCommand], amount_minor: int = 600, **more: object) -> Command:
    """Return a command about a dispute of the payment."""
    named: dict[str, object] = {
        "payment_id": PAYMENT.id,
        "merchant_id": PAYMENT.merchant_id,
        "mode": "test",
        "shard": PAYMENT.shard,
        "dispute_id": DISPUTE_ID,
        "amount_minor": amount_minor,
        "currency": "USD",
        "acquirer": ACQUIRER,
        "effective_at": NOW,
        **more,
    }
    return kind(**named)  # type: ignore[arg-type]


def opened(amount_minor: int = 600, fee_minor: int = 0) -> Command:
    return dispute(OpenDispute, amount_minor, fee_minor=fee_minor)


async def balances(world: World) -> tuple[int, int, int, int]:
    """Return what the acquirer owes us, what we owe the merchant, what is set aside, and our fees."""
    found = [await world.reader.account(spec.id) for spec in (RECEIVABLE, PAYMENT.payable, RESERVE, INCOME)]
    receivable, payable, reserve, income = [0 if account is None else ledger_balance(account) for account in found]
    return receivable, payable, reserve, income


async def test_a_dispute_sets_its_amount_aside_once_and_takes_its_fee_with_it(world: World) -> None:
    await world.do(of(BookCapture, CAPTURE_ID, 1000, final=True))
    (first,) = await world.do(opened(fee_minor=15))
    assert first.status is OutcomeStatus.APPLIED
    assert isinstance(first.result, MovementPosted)
    assert first.result.entry.kind == "chargeback_opened"
    assert await balances(world) == (1000, 385, 600, 15)
    (again,) = await world.do(opened(fee_minor=15))
    assert again.status is OutcomeStatus.DUPLICATE
    (other,) = await world.do(opened(700, fee_minor=15))
    assert isinstance(other.error, EntryIdReused)
    assert await balances(world) == (1000, 385, 600, 15)


@pytest.mark.parametrize(("won", "expected"), [(True, (1000, 985, 0, 15)), (False, (400, 385, 0, 15))])
async def test_a_dispute_ends_once_with_the_merchant_or_the_payer(
    world: World, won: bool, expected: tuple[int, int, int, int]
) -> None:
    await world.do(of(BookCapture, CAPTURE_ID, 1000, final=True), opened(fee_minor=15))
    first, again = await world.do(dispute(CloseDispute, won=won), dispute(CloseDispute, won=won))
    assert (first.status, again.status) == (OutcomeStatus.APPLIED, OutcomeStatus.DUPLICATE)
    (other,) = await world.do(dispute(CloseDispute, won=not won))
    assert isinstance(other.error, EntryIdReused)
    assert await balances(world) == expected


async def test_what_a_merchant_no_longer_has_is_owed_by_them(world: World) -> None:
    await world.do(opened())
    assert await balances(world) == (0, -600, 600, 0)
    await world.do(dispute(CloseDispute, won=False))
    assert await balances(world) == (-600, -600, 0, 0)


async def test_the_end_of_a_dispute_that_never_began_moves_nothing(world: World) -> None:
    (outcome,) = await world.do(dispute(CloseDispute, won=True))
    assert isinstance(outcome.result, NothingToDo)
    assert await balances(world) == (0, 0, 0, 0)
