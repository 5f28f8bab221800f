"""A transfer by itself: its states, and what each of its entries says."""

from dataclasses import replace
from datetime import timedelta

import pytest

from rialto_common.errors import InvariantViolated
from rialto_ledger.domain import chart
from rialto_ledger.domain import transfer as transfers
from rialto_ledger.domain.account import Side
from rialto_ledger.domain.commands import PostEntry
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.domain.transfer import TransferState
from rialto_ledger.testing import NOW, merchant_id
from rialto_ledger.transfer_testing import EAST, WEST, transfer, wallet_in

SOURCE, TARGET = wallet_in(EAST), wallet_in(WEST)
LATER = NOW + timedelta(seconds=1)
SENT = transfer(0, SOURCE, TARGET, 300)
TRANSIT = chart.shard_in_transit(TARGET.shard, "USD", "test")


def test_a_sent_transfer_ends_once_and_stays_as_it_ended() -> None:
    received, returned = SENT.received(LATER), SENT.returned("account_closed", LATER)
    assert (received.state, received.ended_at, received.refusal_code) == (TransferState.RECEIVED, LATER, None)
    assert (returned.state, returned.ended_at, returned.refusal_code) == (
        TransferState.RETURNED,
        LATER,
        "account_closed",
    )
    assert received.received(LATER + timedelta(days=1)) == received
    assert returned.returned("account_frozen", LATER + timedelta(days=1)) == returned


def test_an_answer_that_contradicts_an_earlier_one_is_a_bug() -> None:
    with pytest.raises(InvariantViolated):
        SENT.received(LATER).returned("account_closed", LATER)
    with pytest.raises(InvariantViolated):
        SENT.returned("account_closed", LATER).received(LATER)


def moved(command: PostEntry) -> list[tuple[object, Side, int]]:
    return [(posting.account_id, posting.side, posting.amount_minor) for posting in command.postings]


def test_what_is_sent_received_and_given_back_goes_through_one_account() -> None:
    sent, received = transfers.send(SENT, {}, NOW), transfers.receive(SENT, NOW)
    returned, aside = transfers.give_back(SENT, NOW), transfers.set_aside(SENT, NOW)
    suspense = chart.suspense("USD", "test")
    assert moved(sent) == [(SOURCE.id, Side.DEBIT, 300), (TRANSIT.id, Side.CREDIT, 300)]
    assert moved(received) == [(TRANSIT.id, Side.DEBIT, 300), (TARGET.id, Side.CREDIT, 300)]
    assert moved(returned) == [(SOURCE.id, Side.CREDIT, 300), (TRANSIT.id, Side.DEBIT, 300)]
    assert moved(aside) == [(suspense.id, Side.CREDIT, 300), (TRANSIT.id, Side.DEBIT, 300)]
    assert [sent.opens, received.opens, returned.opens] == [(TRANSIT,)] * 3
    assert aside.opens == (TRANSIT, suspense)
    assert returned.entry_id == aside.entry_id, "it is given back once, wherever it goes"
    assert len({sent.entry_id, received.entry_id, returned.entry_id}) == 3


def test_within_one_ledger_it_is_one_plain_entry_under_the_id_of_a_sending() -> None:
    booked = transfers.book(SENT, {}, NOW)
    assert moved(booked) == [(SOURCE.id, Side.DEBIT, 300), (TARGET.id, Side.CREDIT, 300)]
    assert booked.opens == ()
    assert booked.entry_id == transfers.send(SENT, {}, NOW).entry_id


def entry_of(command: PostEntry) -> JournalEntry:
    return JournalEntry(
        id=command.entry_id,
        kind=command.kind,
        mode=command.mode,
        shard=SOURCE.shard,
        merchant_id=command.merchant_id,
        payment_id=None,
        effective_at=command.effective_at,
        recorded_at=LATER,
        postings=command.postings,
        metadata=command.metadata,
    )


def test_the_first_entry_says_everything_about_its_transfer() -> None:
    asked = replace(SENT, merchant_id=merchant_id())
    sent = entry_of(transfers.send(asked, {"note": "rent", "transfer_id": "forged"}, NOW))
    assert sent.metadata["note"] == "rent"
    assert transfers.transfer_of(sent, SOURCE.shard) == replace(asked, asked_at=LATER)
    booked = transfers.transfer_of(entry_of(transfers.book(asked, {}, NOW)), SOURCE.shard)
    assert (booked.state, booked.ended_at) == (TransferState.RECEIVED, LATER)


def test_a_merchant_pays_its_own_accounts_and_wallets_and_the_operator_any() -> None:
    own, other = (chart.merchant_payable(merchant_id(number), "USD", "test") for number in range(2))
    acquirer = chart.test_acquirer("USD")
    assert [transfers.may_be_paid(spec, merchant_id(0)) for spec in (own, TARGET, None)] == [True, True, True]
    assert [transfers.may_be_paid(spec, merchant_id(0)) for spec in (other, acquirer)] == [False, False]
    assert [transfers.may_be_paid(spec, None) for spec in (own, other, acquirer, TARGET, None)] == [True] * 5
