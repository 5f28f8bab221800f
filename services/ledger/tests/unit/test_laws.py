"""Laws that hold after any batch of any commands, in any order, however often repeated."""

import asyncio
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from rialto_ledger.adapters.memory import Books, MemoryLedger
from rialto_ledger.application.posting import post
from rialto_ledger.domain.account import Side
from rialto_ledger.domain.balance import available_balance, ledger_balance, signed_balance
from rialto_ledger.domain.commands import Command, ConfirmSettlement, ReverseSettlement
from rialto_ledger.domain.outcomes import OutcomeStatus
from rialto_ledger.testing import NOW, Payment, open_wallet, top_up

payments = st.builds(
    Payment,
    number=st.integers(0, 5),
    amount_minor=st.sampled_from([1, 400, 1000, 2500]),
    wallet_number=st.integers(0, 2),
    merchant_number=st.integers(0, 1),
)


@st.composite
def some_command(draw: st.DrawFn) -> Command:
    """Draw any command; wallet 2 is never opened."""
    payment = draw(payments)
    kind = draw(st.sampled_from(["open", "top_up", "place", "capture", "void", "expire", "confirm", "reorg"]))
    match kind:
        case "open":
            return open_wallet(draw(st.integers(0, 1)))
        case "top_up":
            return top_up(draw(st.integers(0, 2)), draw(st.sampled_from([700, 3000])), entry=draw(st.integers(0, 4)))
        case "place":
            return payment.place(expires_at=NOW + timedelta(minutes=draw(st.integers(0, 30))))
        case "capture":
            part = draw(st.integers(1, payment.amount_minor + 1))
            captured = payment.capture(part, ordinal=draw(st.integers(0, 2)), final=draw(st.booleans()))
            return replace(captured, fee_minor=draw(st.sampled_from([0, part // 2, part])))
        case "void":
            return payment.void()
        case "expire":
            return payment.expire()
        case "confirm":
            return payment.confirm()
        case _:
            return payment.reorg()


def as_sent(batches: list[list[Command]]) -> list[list[Command]]:
    """Number the chain's facts as the chain-bridge does: growing, in the order in which they are sent."""
    numbers = count(1)
    return [
        [replace(c, sequence=next(numbers)) if isinstance(c, ConfirmSettlement | ReverseSettlement) else c for c in b]
        for b in batches
    ]


batches = st.lists(st.lists(some_command(), max_size=8), max_size=5).map(as_sent)


def run(batches: list[list[Command]]) -> Books:
    """Post the batches a minute apart and return the books, having checked each step's laws."""

    async def play() -> Books:
        books = Books()
        for minute, batch in enumerate(batches):
            ledger = MemoryLedger(books)
            now = NOW + timedelta(minutes=minute)
            decision = (await post(ledger, batch, now)).decision
            assert len(decision.outcomes) == len(batch)
            books.update(ledger.changes)
            check(books)
            answered = [outcome.command for outcome in decision.outcomes if outcome.status is not OutcomeStatus.REFUSED]
            replay = (await post(MemoryLedger(books), answered, now)).decision
            assert {outcome.status for outcome in replay.outcomes} <= {OutcomeStatus.DUPLICATE}
            assert (replay.entries, replay.deltas, replay.settlements) == ([], {}, [])
        return books

    return asyncio.run(play())


def check(books: Books) -> None:
    """I1, I2, I5, and that totals are the sums of the journal and of the holds."""
    currency_sums: dict[str, int] = defaultdict(int)
    debits: dict[object, int] = defaultdict(int)
    credits: dict[object, int] = defaultdict(int)
    for entry in books.entries.values():
        sums: dict[str, int] = defaultdict(int)
        for posting in entry.postings:
            sign = 1 if posting.side is Side.DEBIT else -1
            sums[posting.currency] += sign * posting.amount_minor
            (debits if sign == 1 else credits)[posting.account_id] += posting.amount_minor
        assert set(sums.values()) == {0}
    for account in books.accounts.values():
        currency_sums[account.spec.currency] += signed_balance(account)
        held = sum(hold.remaining_minor for hold in books.holds.values() if hold.account_id == account.id)
        assert (account.debits_minor, account.credits_minor) == (debits[account.id], credits[account.id])
        assert account.held_minor == held
        assert available_balance(account) == ledger_balance(account) - held
        if account.spec.minimum_available_minor is not None:
            assert available_balance(account) >= account.spec.minimum_available_minor
    assert set(currency_sums.values()) <= {0}


@settings(max_examples=150, deadline=None)
@given(batches)
def test_any_history_keeps_the_books_right_and_replays_change_nothing(batches: list[list[Command]]) -> None:
    run(batches)


@settings(max_examples=80, deadline=None)
@given(st.lists(some_command(), max_size=25), st.integers(1, 10))
def test_how_commands_are_cut_into_batches_does_not_matter(commands: list[Command], size: int) -> None:
    async def play(size: int) -> Books:
        books = Books()
        for start in range(0, len(commands), size):
            ledger = MemoryLedger(books)
            await post(ledger, commands[start : start + size], NOW)
            books.update(ledger.changes)
        return books

    (commands,) = as_sent([commands])
    one_by_one, in_batches = asyncio.run(play(1)), asyncio.run(play(size))
    assert one_by_one.entries == in_batches.entries
    assert one_by_one.holds == in_batches.holds
    assert {key: signed_balance(account) for key, account in one_by_one.accounts.items()} == {
        key: signed_balance(account) for key, account in in_batches.accounts.items()
    }
