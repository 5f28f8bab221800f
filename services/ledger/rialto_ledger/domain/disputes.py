"""Deciding on disputes: what an acquirer says a payer wants back is set aside, and then goes to the payer or back.

    nothing ──opened──▶ set aside ──won──▶ the merchant's again
                                  ──lost──▶ the payer's: the acquirer owes us that much less

Each step is an entry with an id derived from the dispute, so that no step happens twice. A dispute is a fact, booked
whatever the status of the accounts, and though the merchant may then owe us. Our fee, where there is one, is taken with
the opening and not given back.
"""

from collections.abc import Callable
from typing import Any, Literal
from uuid import UUID

from rialto_common import ids
from rialto_ledger.domain import chart, posting_rules
from rialto_ledger.domain.account import AccountSpec
from rialto_ledger.domain.book import Book
from rialto_ledger.domain.commands import CloseDispute, DisputeCommand, OpenDispute
from rialto_ledger.domain.errors import EntryIdReused
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.domain.outcomes import MovementPosted, NothingToDo, OutcomeStatus, Result
from rialto_ledger.domain.posting_rules import Postings

Answer = tuple[OutcomeStatus, Result]
Stage = Literal["opened", "closed"]

OPENED, CLOSED, SETTLED = 1, 2, 3
"""The order of a dispute's entries, as they are told; the last is an acquirer's settlement of what was lost."""


def entry_id(dispute_id: UUID, stage: Stage) -> UUID:
    """Return the id of the entry that a stage of a dispute makes."""
    return ids.derive(dispute_id, stage)


def entry_ids(command: DisputeCommand) -> list[UUID]:
    """Return every entry that deciding the command may look at."""
    return [entry_id(command.dispute_id, stage) for stage in ("opened", "closed")]


def accounts_of(command: DisputeCommand) -> list[AccountSpec]:
    """Return the accounts that the command may post on, all of them of the chart."""
    accounts = [_payable(command), _reserve(command)]
    if isinstance(command, OpenDispute):
        return [*accounts, chart.fees_income(command.currency, command.mode)] if command.fee_minor else accounts
    return [*accounts, _receivable(command)]


def _open(book: Book, command: OpenDispute) -> Answer:
    payable, income = _payable(command), chart.fees_income(command.currency, command.mode)
    opened = posting_rules.chargeback_opened(payable, _reserve(command), command.amount_minor)
    postings = (*opened, *posting_rules.fee(payable, income, command.fee_minor))
    return _post(book, command, "opened", OPENED, "chargeback_opened", postings)


def _close(book: Book, command: CloseDispute) -> Answer:
    if book.entry(entry_id(command.dispute_id, "opened")) is None:
        return OutcomeStatus.DUPLICATE, NothingToDo()
    reserve = _reserve(command)
    if command.won:
        postings = posting_rules.chargeback_won(reserve, _payable(command), command.amount_minor)
        return _post(book, command, "closed", CLOSED, "chargeback_won", postings)
    postings = posting_rules.chargeback_lost(reserve, _receivable(command).id, command.amount_minor)
    return _post(book, command, "closed", CLOSED, "chargeback_lost", postings)


def _post(book: Book, command: DisputeCommand, stage: Stage, nth: int, kind: str, postings: Postings) -> Answer:
    """Post a stage's entry, once. Raises: what `Book.post` raises; EntryIdReused: it is there with other content."""
    existing = book.entry(entry_id(command.dispute_id, stage))
    if existing is not None:
        if (existing.kind, existing.payment_id, existing.postings) != (kind, command.payment_id, postings):
            raise EntryIdReused(existing.id)
        return OutcomeStatus.DUPLICATE, MovementPosted(existing, nth)
    entry = JournalEntry(
        id=entry_id(command.dispute_id, stage),
        kind=kind,
        mode=command.mode,
        shard=command.shard,
        merchant_id=command.merchant_id,
        payment_id=command.payment_id,
        effective_at=command.effective_at,
        recorded_at=book.now,
        postings=postings,
        metadata={"dispute_id": ids.to_text("dp", command.dispute_id), "acquirer": command.acquirer},
    )
    book.post(entry, checks_status=False)
    return OutcomeStatus.APPLIED, MovementPosted(entry, nth)


def _payable(command: DisputeCommand) -> AccountSpec:
    return chart.merchant_payable(command.merchant_id, command.currency, command.mode)


def _reserve(command: DisputeCommand) -> AccountSpec:
    return chart.merchant_reserve(command.merchant_id, command.currency, command.mode)


def _receivable(command: DisputeCommand) -> AccountSpec:
    return chart.acquirer_receivable(command.acquirer, command.currency, command.mode)


DECIDERS: dict[type, Callable[[Book, Any], Answer]] = {OpenDispute: _open, CloseDispute: _close}
