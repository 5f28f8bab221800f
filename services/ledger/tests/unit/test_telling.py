"""What the ledger writes out by hand says what its model would."""

from uuid import UUID

import pytest

from rialto_common import ids
from rialto_common.events import ledger as events
from rialto_ledger.application.posting import Posted
from rialto_ledger.application.telling import Teller
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.batch import Decision
from rialto_ledger.domain.journal import JournalEntry, credit, debit
from rialto_ledger.domain.outcomes import EntryPosted, Outcome, OutcomeStatus
from rialto_ledger.testing import NOW, merchant_id, number_id, top_up, wallet


def posted(entry: JournalEntry) -> Posted:
    outcome = Outcome(top_up(1, 5), OutcomeStatus.APPLIED, EntryPosted(entry, wallet(1).id))
    accounts = {spec.id: Account(spec) for spec in (wallet(1), wallet(2))}
    return Posted(Decision([outcome], [entry], [], [], [], {}), accounts)


@pytest.mark.parametrize("merchant", [None, merchant_id(1)])
@pytest.mark.parametrize("payment", [None, number_id("payment", 1)])
@pytest.mark.parametrize("amount", [1, 10**38 - 1])
def test_a_posted_entry_is_told_as_its_model_writes_it(
    merchant: UUID | None, payment: UUID | None, amount: int
) -> None:
    entry = JournalEntry(
        id=number_id("entry", 1),
        kind="transfer",
        mode="test",
        shard=5,
        merchant_id=merchant,
        payment_id=payment,
        effective_at=NOW,
        recorded_at=NOW,
        postings=(debit(wallet(1).id, amount, "USD"), credit(wallet(2).id, amount, "USD")),
    )
    batch = posted(entry)
    [event] = Teller(batch.accounts, NOW).events_of(batch.decision.outcomes[0])
    told = event.read(events.JournalEntryPosted)
    assert event.data == told.model_dump_json().encode()
    assert (told.entry_id, told.payment_id, told.merchant_id) == (entry.id, payment, merchant)
    assert [line.account for line in told.postings] == [wallet(1).code, wallet(2).code]
    assert event.id == ids.derive(entry.id, events.JournalEntryPosted.type)
