"""Deciding on captures and refunds that come to no hold: those of acquirers, and refunds to wallets.

    nothing ──unknown──▶ suspended ──captured──▶ booked      (or nothing ──captured──▶ booked)
                         suspended ──not captured──▶ returned
    nothing ──refund to a wallet──▶ booked
    nothing ──refund at an acquirer──▶ suspended ──given back──▶ booked, or ──failed──▶ returned

Each step is an entry with an id derived from the capture or refund, so that no step happens twice. What an acquirer has
done is a fact: it is booked whatever the status of the accounts.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal
from uuid import UUID

from rialto_common import ids
from rialto_common.errors import InvariantViolated
from rialto_ledger.domain import chart, posting_rules
from rialto_ledger.domain.account import AccountSpec
from rialto_ledger.domain.book import Book
from rialto_ledger.domain.commands import (
    BookCapture,
    BookRefund,
    FinishRefund,
    MovementCommand,
    ReturnCapture,
    SuspendCapture,
)
from rialto_ledger.domain.errors import EntryIdReused, InsufficientMerchantBalance
from rialto_ledger.domain.journal import JournalEntry
from rialto_ledger.domain.outcomes import MovementPosted, NothingToDo, OutcomeStatus, Result
from rialto_ledger.domain.posting_rules import Postings

Answer = tuple[OutcomeStatus, Result]
Stage = Literal["suspended", "returned", "journal_entry"]

SUSPENDED, RETURNED, BOOKED = 1, 2, 3
"""The order of a capture's or refund's entries, as they are told."""


def entry_id(subject_id: UUID, stage: Stage) -> UUID:
    """Return the id of the entry that a stage of a capture or refund makes."""
    return ids.derive(subject_id, stage)


def entry_ids(command: MovementCommand) -> list[UUID]:
    """Return every entry that deciding the command may look at."""
    return [entry_id(command.subject_id, stage) for stage in ("suspended", "returned", "journal_entry")]


def accounts_of(command: MovementCommand) -> list[AccountSpec]:
    """Return the accounts of the chart that the command may post on."""
    accounts = [_payable(command)]
    if command.acquirer is not None:
        accounts += [_receivable(command), _suspense(command)]
    if isinstance(command, BookCapture) and command.fee_minor > 0:
        accounts.append(_income(command))
    return accounts


def _suspend_capture(book: Book, command: SuspendCapture) -> Answer:
    if book.entry(entry_id(command.subject_id, "journal_entry")) is not None:
        return OutcomeStatus.DUPLICATE, NothingToDo()
    postings = posting_rules.suspended(_capture(command), _suspense(command))
    return _post(book, command, "suspended", SUSPENDED, "suspended", postings)


def _return_capture(book: Book, command: ReturnCapture) -> Answer:
    if not _is_suspended(book, command) or book.entry(entry_id(command.subject_id, "journal_entry")) is not None:
        return OutcomeStatus.DUPLICATE, NothingToDo()
    postings = posting_rules.resolved_as_failed(_capture(command), _suspense(command))
    return _post(book, command, "returned", RETURNED, "suspended_returned", postings)


def _book_capture(book: Book, command: BookCapture) -> Answer:
    movement = _capture(command)
    if _is_suspended(book, command):
        movement = posting_rules.resolved_as_succeeded(movement, _suspense(command))
    movement = (*movement, *posting_rules.fee(_payable(command), _income(command), command.fee_minor))
    more = {"final": "true" if command.final else "false"}
    return _post(book, command, "journal_entry", BOOKED, "capture", movement, more)


def _book_refund(book: Book, command: BookRefund) -> Answer:
    payable = _payable(command)
    stage: Stage = "journal_entry" if command.acquirer is None else "suspended"
    if book.entry(entry_id(command.subject_id, stage)) is None:
        # What is owed has no lower limit, as the chain pays whatever happens; a refund can be refused in time.
        available = book.available(payable.id)
        if available < command.amount_minor:
            raise InsufficientMerchantBalance(payable.id, available, command.amount_minor)
    if command.acquirer is not None:
        postings = posting_rules.suspended(_refund(command), _suspense(command))
        return _post(book, command, stage, SUSPENDED, "suspended", postings, checks_status=True)
    if command.wallet_id is None:
        raise InvariantViolated(f"refund {command.subject_id} names neither an acquirer nor a wallet")
    postings = posting_rules.refund_to_wallet(payable, command.wallet_id, command.amount_minor)
    return _post(book, command, stage, SUSPENDED, "refund", postings, checks_status=True)


def _finish_refund(book: Book, command: FinishRefund) -> Answer:
    finished = book.entry(entry_id(command.subject_id, "journal_entry"))
    if finished is None and not _is_suspended(book, command):
        return OutcomeStatus.DUPLICATE, NothingToDo()
    movement, suspense = _refund(command), _suspense(command)
    if command.succeeded:
        postings = posting_rules.resolved_as_succeeded(movement, suspense)
        return _post(book, command, "journal_entry", BOOKED, "refund", postings)
    if finished is not None:
        return OutcomeStatus.DUPLICATE, NothingToDo()
    postings = posting_rules.resolved_as_failed(movement, suspense)
    return _post(book, command, "returned", RETURNED, "suspended_returned", postings)


def _is_suspended(book: Book, command: MovementCommand) -> bool:
    suspended = book.entry(entry_id(command.subject_id, "suspended"))
    return suspended is not None and book.entry(entry_id(command.subject_id, "returned")) is None


def _post(
    book: Book,
    command: MovementCommand,
    stage: Stage,
    nth: int,
    kind: str,
    postings: Postings,
    more: Mapping[str, str] | None = None,
    *,
    checks_status: bool = False,
) -> Answer:
    """Post a stage's entry, once. Raises: what `Book.post` raises; EntryIdReused: it is there with other content."""
    existing = book.entry(entry_id(command.subject_id, stage))
    if existing is not None:
        if (existing.kind, existing.payment_id) != (kind, command.payment_id) or _amount(existing) != _sum(postings):
            raise EntryIdReused(existing.id)
        return OutcomeStatus.DUPLICATE, MovementPosted(existing, nth)
    entry = JournalEntry(
        id=entry_id(command.subject_id, stage),
        kind=kind,
        mode=command.mode,
        shard=command.shard,
        merchant_id=command.merchant_id,
        payment_id=command.payment_id,
        effective_at=command.effective_at,
        recorded_at=book.now,
        postings=postings,
        metadata=_named(command) | dict(more or {}),
    )
    book.post(entry, checks_status=checks_status)
    return OutcomeStatus.APPLIED, MovementPosted(entry, nth)


def _named(command: MovementCommand) -> dict[str, str]:
    is_refund = isinstance(command, BookRefund | FinishRefund)
    named = {"refund_id" if is_refund else "capture_id": ids.to_text("re" if is_refund else "cap", command.subject_id)}
    return named if command.acquirer is None else named | {"acquirer": command.acquirer}


def _amount(entry: JournalEntry) -> int:
    return _sum(entry.postings)


def _sum(postings: Postings) -> int:
    return sum(posting.amount_minor for posting in postings)


def _capture(command: MovementCommand) -> Postings:
    return posting_rules.capture_by_acquirer(_receivable(command), _payable(command), command.amount_minor)


def _refund(command: MovementCommand) -> Postings:
    return posting_rules.refund_through_acquirer(_payable(command), _receivable(command), command.amount_minor)


def _payable(command: MovementCommand) -> AccountSpec:
    return chart.merchant_payable(command.merchant_id, command.currency, command.mode)


def _receivable(command: MovementCommand) -> AccountSpec:
    if command.acquirer is None:
        raise InvariantViolated(f"{type(command).__name__} of {command.subject_id} names no acquirer")
    return chart.acquirer_receivable(command.acquirer, command.currency, command.mode)


def _income(command: MovementCommand) -> AccountSpec:
    return chart.fees_income(command.currency, command.mode)


def _suspense(command: MovementCommand) -> AccountSpec:
    return chart.suspense(command.currency, command.mode)


DECIDERS: dict[type, Callable[[Book, Any], Answer]] = {
    BookCapture: _book_capture,
    SuspendCapture: _suspend_capture,
    ReturnCapture: _return_capture,
    BookRefund: _book_refund,
    FinishRefund: _finish_refund,
}
