"""What each command comes to, one by one and inside a batch."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rialto_common.money import MAX_MINOR
from rialto_ledger.adapters.memory import Books, MemoryLedger
from rialto_ledger.application.posting import post, rehearse
from rialto_ledger.domain.account import AccountStatus
from rialto_ledger.domain.balance import available_balance, ledger_balance, signed_balance
from rialto_ledger.domain.chain import GENESIS
from rialto_ledger.domain.chain import link as chain_link
from rialto_ledger.domain.commands import (
    ChangeAccountStatus,
    Command,
    ExtendHold,
    Linked,
    OpenAccount,
    PostEntry,
    ReverseEntry,
)
from rialto_ledger.domain.errors import LinkedPartlyPosted, LinkedRefused
from rialto_ledger.domain.hold import HoldStatus
from rialto_ledger.domain.journal import credit, debit, reversal_id
from rialto_ledger.domain.outcomes import (
    EntryPosted,
    HoldCaptured,
    HoldExtended,
    HoldReleased,
    LinkedPosted,
    NothingToDo,
    Outcome,
    OutcomeStatus,
    SettlementPosted,
)
from rialto_ledger.testing import NOW, Payment, merchant_id, number_id, open_wallet, top_up, wallet

APPLIED, REFUSED, DUPLICATE = OutcomeStatus.APPLIED, OutcomeStatus.REFUSED, OutcomeStatus.DUPLICATE


class Bench:
    """The books of one test."""

    def __init__(self) -> None:
        self.books = Books()

    async def do(self, *commands: Command, at: datetime = NOW) -> Sequence[Outcome]:
        """Decide and keep one batch."""
        ledger = MemoryLedger(self.books)
        decision = (await post(ledger, commands, at)).decision
        self.books.update(ledger.changes)
        return decision.outcomes

    def wallet_balances(self, number: int = 0) -> tuple[int, int]:
        """Return ledger and available balance of the nth wallet."""
        account = self.books.accounts[wallet(number).id]
        return ledger_balance(account), available_balance(account)


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    await bench.do(open_wallet(), top_up(0, 5000))
    return bench


def codes(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.error.stable_code if outcome.error else outcome.status.value for outcome in outcomes]


async def test_a_hold_lowers_available_and_not_ledger_balance(bench: Bench) -> None:
    assert codes(await bench.do(Payment(amount_minor=1200).place())) == ["applied"]
    assert bench.wallet_balances() == (5000, 3800)


async def test_a_hold_above_available_is_refused_and_remembered(bench: Bench) -> None:
    payment = Payment(amount_minor=5001)
    assert codes(await bench.do(payment.place())) == ["insufficient_funds"]
    await bench.do(top_up(0, 5000, entry=2))
    assert codes(await bench.do(payment.place())) == ["insufficient_funds"], "asking again gets the first answer"
    assert bench.wallet_balances() == (10_000, 10_000)


async def test_holds_in_one_batch_compete_for_the_same_money(bench: Bench) -> None:
    outcomes = await bench.do(*(Payment(n, amount_minor=2000).place() for n in range(4)))
    assert codes(outcomes) == ["applied", "applied", "insufficient_funds", "insufficient_funds"]
    assert bench.wallet_balances() == (5000, 1000)


async def test_a_hold_and_its_captures_in_one_batch_see_each_other(bench: Bench) -> None:
    payment = Payment(amount_minor=1000)
    outcomes = await bench.do(
        payment.place(), payment.capture(300, final=False), payment.capture(500, ordinal=1, final=True)
    )
    assert codes(outcomes) == ["applied"] * 3
    last = outcomes[-1].result
    assert isinstance(last, HoldCaptured)
    assert (last.remaining_minor, last.hold.released_minor) == (0, 200)
    assert bench.wallet_balances() == (4200, 4200)
    assert ledger_balance(bench.books.accounts[payment.payable.id]) == 800


async def test_a_duplicate_capture_gets_the_first_answer_inside_and_after_the_batch(bench: Bench) -> None:
    payment = Payment(amount_minor=1000)
    first, again = payment.capture(300, final=False), payment.capture(500, ordinal=1, final=True)
    outcomes = await bench.do(payment.place(), first, first, again)
    assert [outcome.status for outcome in outcomes] == [APPLIED, APPLIED, DUPLICATE, APPLIED]
    (late,) = await bench.do(first)
    assert isinstance(late.result, HoldCaptured)
    assert (late.status, late.result.remaining_minor, late.result.amount_minor) == (DUPLICATE, 700, 300)
    assert bench.wallet_balances() == (4200, 4200)


async def test_the_same_capture_id_with_another_amount_is_refused(bench: Bench) -> None:
    payment = Payment(amount_minor=1000)
    await bench.do(payment.place(), payment.capture(300, final=False))
    assert codes(await bench.do(payment.capture(301, final=False))) == ["entry_id_reused_with_other_content"]


async def test_capture_refusals_carry_their_codes(bench: Bench) -> None:
    payment = Payment(amount_minor=1000)
    assert codes(await bench.do(payment.capture())) == ["hold_not_found"]
    await bench.do(payment.place())
    assert codes(await bench.do(payment.capture(1001))) == ["capture_above_hold"]
    assert codes(await bench.do(replace(payment, currency="EUR").capture())) == ["currency_mismatch"]
    assert codes(await bench.do(replace(payment, merchant_number=9).capture())) == ["hold_not_found"]
    await bench.do(payment.void())
    assert codes(await bench.do(payment.capture())) == ["hold_already_voided"]
    assert bench.wallet_balances() == (5000, 5000)


async def test_a_void_releases_the_rest_and_repeats_its_answer(bench: Bench) -> None:
    payment = Payment(amount_minor=1000)
    await bench.do(payment.place(), payment.capture(300, final=False))
    for status in (APPLIED, DUPLICATE):
        (outcome,) = await bench.do(payment.void())
        assert isinstance(outcome.result, HoldReleased)
        assert (outcome.status, outcome.result.released_minor) == (status, 700)
    assert bench.wallet_balances() == (4700, 4700)


async def test_a_void_before_the_hold_makes_sure_that_it_is_never_placed(bench: Bench) -> None:
    payment = Payment()
    (voided,) = await bench.do(payment.void())
    assert isinstance(voided.result, HoldReleased)
    assert (voided.status, voided.result.released_minor) == (APPLIED, 0)
    assert codes(await bench.do(payment.place())) == ["hold_already_voided"]
    assert codes(await bench.do(payment.capture())) == ["hold_already_voided"]
    assert bench.wallet_balances() == (5000, 5000)


async def test_voiding_what_is_captured_expired_or_refused_releases_nothing(bench: Bench) -> None:
    captured, expired, refused = Payment(1), Payment(2), Payment(3, amount_minor=10**9)
    soon = NOW + timedelta(seconds=1)
    await bench.do(captured.place(), captured.capture(), expired.place(expires_at=soon), refused.place())
    await bench.do(expired.expire(), at=soon)
    for payment in (captured, expired, refused):
        (outcome,) = await bench.do(payment.void())
        assert isinstance(outcome.result, HoldReleased)
        assert outcome.result.released_minor == 0


async def test_expiry_releases_only_what_is_due(bench: Bench) -> None:
    payment = Payment()
    await bench.do(payment.place(expires_at=NOW + timedelta(hours=1)))
    (early,) = await bench.do(payment.expire())
    assert early.result == NothingToDo()
    assert bench.wallet_balances() == (5000, 4000)
    (due,) = await bench.do(payment.expire(), at=NOW + timedelta(hours=1))
    assert isinstance(due.result, HoldReleased)
    assert bench.books.holds[payment.hold_id].status is HoldStatus.EXPIRED
    assert bench.wallet_balances() == (5000, 5000)


async def test_a_hold_whose_deadline_passed_before_it_came_is_refused(bench: Bench) -> None:
    assert codes(await bench.do(Payment().place(expires_at=NOW))) == ["hold_expired"]


async def test_an_unknown_wallet_another_merchants_and_another_mode_all_look_like_none(bench: Bench) -> None:
    await bench.do(OpenAccount(wallet(5, owner=merchant_id(7))), top_up(0, 1, entry=9))
    outcomes = await bench.do(
        Payment(1, wallet_number=99).place(),
        Payment(2, wallet_number=5, merchant_number=8).place(),
        Payment(3, mode="live").place(),
    )
    assert codes(outcomes) == ["account_not_found"] * 3


async def test_a_payment_in_another_currency_than_its_wallets_is_refused(bench: Bench) -> None:
    assert codes(await bench.do(Payment(currency="EUR").place())) == ["currency_mismatch"]


async def test_the_same_hold_id_with_other_content_is_refused(bench: Bench) -> None:
    await bench.do(Payment(amount_minor=100).place())
    assert codes(await bench.do(Payment(amount_minor=101).place())) == ["hold_id_reused_with_other_content"]


async def test_a_top_up_is_posted_once_by_its_entry_id(bench: Bench) -> None:
    outcomes = await bench.do(top_up(0, 100, entry=5), top_up(0, 100, entry=5), top_up(0, 101, entry=5))
    assert codes(outcomes) == ["applied", "duplicate", "entry_id_reused_with_other_content"]
    assert isinstance(outcomes[1].result, EntryPosted)
    assert outcomes[0].result == outcomes[1].result
    assert bench.wallet_balances() == (5100, 5100)


async def test_opening_an_account_twice_is_opening_it_once_and_with_other_content_is_refused(bench: Bench) -> None:
    euro = OpenAccount(wallet(0, currency="EUR"))
    outcomes = await bench.do(open_wallet(7), open_wallet(7), euro)
    assert codes(outcomes) == ["applied", "duplicate", "account_id_reused_with_other_content"]
    assert codes(await bench.do(open_wallet(7))) == ["duplicate"]


async def test_an_account_in_an_unknown_currency_is_not_found(bench: Bench) -> None:
    assert codes(await bench.do(OpenAccount(wallet(8, currency="ZZZ")))) == ["account_not_found"]
    assert codes(await bench.do(replace(Payment(), currency="ZZZ").confirm())) == ["account_not_found"]


async def test_a_frozen_wallet_takes_credits_and_promised_captures_but_no_new_holds(bench: Bench) -> None:
    promised = Payment(1)
    await bench.do(promised.place())
    account = bench.books.accounts[wallet().id]
    bench.books.accounts[account.id] = replace(account, status=AccountStatus.FROZEN)
    outcomes = await bench.do(Payment(2).place(), promised.capture(), top_up(0, 5, entry=3))
    assert codes(outcomes) == ["account_frozen", "applied", "applied"]


async def test_a_closed_wallet_takes_nothing(bench: Bench) -> None:
    account = bench.books.accounts[wallet().id]
    bench.books.accounts[account.id] = replace(account, status=AccountStatus.CLOSED)
    assert codes(await bench.do(Payment(2).place(), top_up(0, 5, entry=3))) == ["account_closed"] * 2


async def test_totals_that_would_pass_38_digits_are_refused(bench: Bench) -> None:
    outcomes = await bench.do(top_up(0, MAX_MINOR - 5000, entry=3), top_up(0, 1, entry=4))
    assert codes(outcomes) == ["applied", "balance_overflow"]


async def test_a_settlement_is_posted_once_however_often_it_is_confirmed(bench: Bench) -> None:
    payment = Payment()
    outcomes = await bench.do(payment.confirm(sequence=3), payment.confirm(sequence=3), payment.confirm(sequence=4))
    assert [outcome.status for outcome in outcomes] == [APPLIED, DUPLICATE, DUPLICATE]
    assert ledger_balance(bench.books.accounts[payment.settlement_accounts.treasury.id]) == -10_000_000


async def test_a_reorganised_settlement_is_reversed_and_posted_again_under_the_next_ordinal(bench: Bench) -> None:
    payment = Payment()
    treasury = payment.settlement_accounts.treasury.id
    outcomes = await bench.do(payment.confirm(sequence=1), payment.reorg(sequence=2), payment.reorg(sequence=2))
    assert [outcome.status for outcome in outcomes] == [APPLIED, APPLIED, DUPLICATE]
    assert ledger_balance(bench.books.accounts[treasury]) == 0
    (again,) = await bench.do(payment.confirm(sequence=3))
    assert isinstance(again.result, SettlementPosted)
    assert (again.status, again.result.ordinal) == (APPLIED, 1)
    assert ledger_balance(bench.books.accounts[treasury]) == -10_000_000


async def test_an_older_fact_of_the_chain_is_never_applied_over_a_newer_one(bench: Bench) -> None:
    payment = Payment()
    await bench.do(payment.confirm(sequence=1), payment.reorg(sequence=5))
    (stale,) = await bench.do(payment.confirm(sequence=1))
    assert stale.status is DUPLICATE
    await bench.do(payment.confirm(sequence=6))
    (stale,) = await bench.do(payment.reorg(sequence=5))
    assert stale.result == NothingToDo()
    assert ledger_balance(bench.books.accounts[payment.settlement_accounts.treasury.id]) == -10_000_000


async def test_a_reorg_before_any_confirmation_changes_nothing(bench: Bench) -> None:
    (outcome,) = await bench.do(Payment().reorg())
    assert outcome.result == NothingToDo()
    assert not [entry for entry in bench.books.entries.values() if entry.payment_id == Payment().id]


async def test_a_second_settlement_of_another_amount_is_refused(bench: Bench) -> None:
    payment = Payment()
    outcomes = await bench.do(payment.confirm(), payment.confirm(amount_minor=999))
    assert codes(outcomes) == ["applied", "entry_id_reused_with_other_content"]


async def test_a_refused_command_leaves_no_delta(bench: Bench) -> None:
    before = dict(bench.books.accounts)
    await bench.do(Payment(1, amount_minor=10**9).place(), Payment(2).capture())
    after = {key: bench.books.accounts[key] for key in before}
    assert after == before
    assert sum(signed_balance(account) for account in bench.books.accounts.values()) == 0


def transfer(number: int, amount_minor: int, *, source: int = 0, target: int = 1) -> PostEntry:
    """Return the operator's nth transfer between wallets."""
    return PostEntry(
        entry_id=number_id("transfer", number),
        kind="transfer",
        about=wallet(source).id,
        mode="test",
        shard=None,
        merchant_id=None,
        postings=(debit(wallet(source).id, amount_minor, "USD"), credit(wallet(target).id, amount_minor, "USD")),
        opens=(),
        effective_at=NOW,
    )


def change(status: AccountStatus, number: int = 0) -> ChangeAccountStatus:
    return ChangeAccountStatus(wallet(number).id, status, "test", "asked by a test")


async def test_linked_entries_are_posted_all_or_none(bench: Bench) -> None:
    await bench.do(open_wallet(1))
    good = Linked((transfer(0, 2000), transfer(1, 500, source=1, target=0)))
    bad = Linked((transfer(2, 3000), transfer(3, 9000)))
    applied, refused = await bench.do(good, bad)
    assert isinstance(applied.result, LinkedPosted)
    assert [each.status for each in applied.result.outcomes] == [APPLIED, APPLIED]
    assert isinstance(refused.error, LinkedRefused)
    assert (refused.error.index, refused.error.cause.code) == (1, "insufficient_funds")
    assert bench.wallet_balances() == (3500, 3500)
    assert number_id("transfer", 2) not in bench.books.entries
    assert codes(await bench.do(good)) == ["duplicate"]


async def test_what_a_refused_linked_batch_tried_is_free_for_the_next_command(bench: Bench) -> None:
    await bench.do(open_wallet(1))
    outcomes = await bench.do(Linked((transfer(0, 3000), transfer(1, 3000))), transfer(2, 5000))
    assert codes(outcomes) == ["linked_entries_refused", "applied"]
    assert bench.wallet_balances() == (0, 0)


async def test_linked_entries_of_which_some_are_posted_are_refused_whole(bench: Bench) -> None:
    await bench.do(open_wallet(1), transfer(0, 100))
    [refused] = await bench.do(Linked((transfer(1, 100), transfer(0, 100))))
    assert isinstance(refused.error, LinkedPartlyPosted)
    assert refused.error.index == 1
    assert bench.wallet_balances() == (4900, 4900)


async def test_an_entry_is_reversed_once_and_asking_again_gets_the_same_reversal(bench: Bench) -> None:
    await bench.do(open_wallet(1), transfer(0, 1200))
    reverse = ReverseEntry(number_id("transfer", 0), "test", NOW)
    first, second = await bench.do(reverse, reverse)
    assert (first.status, second.status) == (APPLIED, DUPLICATE)
    assert isinstance(first.result, EntryPosted)
    assert first.result.entry == second.result.entry  # type: ignore[union-attr]
    assert (first.result.entry.id, first.result.entry.reverses) == (reversal_id(reverse.reverses), reverse.reverses)
    assert bench.wallet_balances() == (5000, 5000)
    assert bench.wallet_balances(1) == (0, 0)


async def test_an_entry_that_took_the_reversals_id_is_not_taken_for_the_reversal(bench: Bench) -> None:
    taken = transfer(1, 5)._replace(entry_id=reversal_id(number_id("transfer", 0)))
    outcomes = await bench.do(
        open_wallet(1), transfer(0, 1200), taken, ReverseEntry(number_id("transfer", 0), "test", NOW)
    )
    assert codes(outcomes)[-1] == "entry_id_reused_with_other_content"


async def test_a_reversal_that_would_overdraw_is_refused(bench: Bench) -> None:
    await bench.do(open_wallet(1), open_wallet(2), transfer(0, 1200), transfer(1, 1000, source=1, target=2))
    assert codes(await bench.do(ReverseEntry(number_id("transfer", 0), "test", NOW))) == ["insufficient_funds"]


async def test_no_entry_of_a_payment_no_reversal_and_nothing_of_another_mode_is_reversed(bench: Bench) -> None:
    payment = Payment()
    capture = payment.capture()
    await bench.do(open_wallet(1), payment.place(), capture, transfer(0, 100))
    await bench.do(ReverseEntry(number_id("transfer", 0), "test", NOW))
    outcomes = await bench.do(
        ReverseEntry(capture.entry_id, "test", NOW),
        ReverseEntry(reversal_id(number_id("transfer", 0)), "test", NOW),
        ReverseEntry(number_id("transfer", 0), "live", NOW),
        ReverseEntry(number_id("transfer", 9), "test", NOW),
    )
    assert codes(outcomes) == ["entry_not_reversible", "entry_not_reversible", "entry_not_found", "entry_not_found"]


async def test_a_status_holds_from_the_next_command_on_and_an_emptied_account_closes_for_good(bench: Bench) -> None:
    await bench.do(open_wallet(1))
    outcomes = await bench.do(
        change(AccountStatus.FROZEN),
        transfer(0, 100),
        transfer(1, 100, source=1, target=0),
        change(AccountStatus.FROZEN),
        change(AccountStatus.CLOSED),
        change(AccountStatus.OPEN),
        transfer(2, 5000),
        change(AccountStatus.CLOSED),
        transfer(3, 100, source=1, target=0),
        change(AccountStatus.OPEN),
    )
    assert codes(outcomes) == [
        "applied",
        "account_frozen",
        "insufficient_funds",
        "duplicate",
        "account_not_empty",
        "applied",
        "applied",
        "applied",
        "account_closed",
        "account_closed",
    ]
    assert bench.books.accounts[wallet().id].status is AccountStatus.CLOSED


async def test_an_account_on_which_something_is_held_does_not_close(bench: Bench) -> None:
    spec = replace(wallet(1), minimum_available_minor=-100)
    hold = Payment(amount_minor=100, wallet_number=1).place()
    outcomes = await bench.do(OpenAccount(spec), hold, change(AccountStatus.CLOSED, 1))
    assert codes(outcomes) == ["applied", "applied", "account_not_empty"]


async def test_no_balance_passes_an_accounts_maximum_though_it_may_stand_above_a_lower_one(bench: Bench) -> None:
    await bench.do(OpenAccount(replace(wallet(1), maximum_balance_minor=1000)))
    outcomes = await bench.do(transfer(0, 600), transfer(1, 401), transfer(2, 400), transfer(3, 1, source=1, target=0))
    assert codes(outcomes) == ["applied", "balance_above_maximum", "applied", "applied"]
    assert bench.wallet_balances(1) == (999, 999)


async def test_a_hold_of_the_apis_is_not_captured_onto_a_closed_account_and_stays(bench: Bench) -> None:
    hold = replace(Payment().place(), payment_id=None)
    capture = replace(Payment().capture(), payment_id=None, payable=wallet(1))
    outcomes = await bench.do(open_wallet(1), hold, change(AccountStatus.CLOSED, 1), capture)
    assert codes(outcomes) == ["applied", "applied", "applied", "account_closed"]
    assert bench.books.holds[hold.hold_id].remaining_minor == 1000
    assert bench.wallet_balances() == (5000, 4000)


async def test_a_hold_is_extended_while_it_is_pending_and_to_the_future_only(bench: Bench) -> None:
    payment = Payment()
    await bench.do(payment.place(expires_at=NOW + timedelta(hours=1)))

    def extend(hours: int) -> ExtendHold:
        ids = (payment.id, payment.merchant_id, payment.mode, payment.shard, payment.hold_id)
        return ExtendHold(*ids, NOW + timedelta(hours=hours))

    first, again, past = await bench.do(extend(5), extend(5), extend(-1))
    assert (first.status, again.status) == (APPLIED, DUPLICATE)
    assert isinstance(first.result, HoldExtended)
    assert codes([past]) == ["hold_deadline_passed"]
    later = NOW + timedelta(hours=2)
    assert codes(await bench.do(payment.expire(), at=later)) == ["duplicate"]
    assert codes(await bench.do(extend(9), at=NOW + timedelta(hours=5))) == ["hold_expired"]
    assert codes(await bench.do(payment.expire(), at=NOW + timedelta(hours=5))) == ["applied"]


async def test_a_payments_hold_is_raised_within_what_is_available_and_once_however_often_it_is_asked(
    bench: Bench,
) -> None:
    payment = Payment(amount_minor=1000)
    await bench.do(payment.place())
    first, again = await bench.do(payment.increase(3000), payment.increase(3000))
    assert (first.status, again.status) == (APPLIED, DUPLICATE)
    assert bench.wallet_balances() == (5000, 2000)
    assert codes(await bench.do(payment.increase(5001, ordinal=2))) == ["insufficient_funds"]
    assert bench.wallet_balances() == (5000, 2000)
    assert codes(await bench.do(payment.increase(5000, ordinal=3), payment.increase(3000))) == ["applied", "duplicate"]
    assert bench.wallet_balances() == (5000, 0)
    assert codes(await bench.do(payment.capture(4500), payment.increase(5000, ordinal=3))) == ["applied", "duplicate"]
    assert bench.wallet_balances() == (500, 500)


async def test_a_raised_hold_is_still_known_by_the_amount_it_was_placed_with(bench: Bench) -> None:
    payment = Payment(amount_minor=1000)
    await bench.do(payment.place(), payment.increase(3000))
    other = replace(payment, amount_minor=3000).place()
    assert codes(await bench.do(payment.place(), other)) == ["duplicate", "hold_id_reused_with_other_content"]


async def test_a_frozen_account_holds_no_more_than_it_does(bench: Bench) -> None:
    payment = Payment(amount_minor=1000)
    await bench.do(payment.place(), change(AccountStatus.FROZEN, 0))
    assert codes(await bench.do(payment.increase(1001))) == ["account_frozen"]
    assert codes(await bench.do(payment.capture())) == ["applied"]


async def test_what_is_raised_must_be_there_and_in_its_currency(bench: Bench) -> None:
    payment, other = Payment(amount_minor=1000), Payment(2)
    euros = replace(payment.increase(2000), currency="EUR")
    await bench.do(payment.place(), other.void())
    assert codes(await bench.do(Payment(3).increase(2000), euros, other.increase(2000))) == [
        "hold_not_found",
        "currency_mismatch",
        "hold_already_voided",
    ]


async def test_a_rehearsal_says_what_would_come_and_writes_nothing(bench: Bench) -> None:
    await bench.do(open_wallet(1))
    ledger = MemoryLedger(bench.books)
    rehearsed = (await rehearse(ledger, [transfer(0, 100), transfer(1, 9000)], NOW)).decision.outcomes
    assert codes(rehearsed) == ["applied", "insufficient_funds"]
    assert ledger.changes.is_empty()


async def test_entries_are_chained_in_their_shard_in_the_order_in_which_they_are_posted(bench: Bench) -> None:
    await bench.do(open_wallet(1))
    await bench.do(transfer(0, 100), transfer(1, 100))
    await bench.do(transfer(2, 100), transfer(3, 1, source=1, target=0))
    entries = bench.books.entries
    for shard in {wallet(0).shard, wallet(1).shard}:
        chained = sorted((link for link in bench.books.links.values() if link.shard == shard), key=lambda x: x.position)
        assert [link.position for link in chained] == list(range(1, len(chained) + 1))
        reached = GENESIS[shard]
        for link in chained:
            reached = chain_link(reached, entries[link.entry_id])
            assert link.hash == reached
        assert bench.books.heads[shard].hash == reached
