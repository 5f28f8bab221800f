"""Deciding a batch: commands in order, each with its own outcome, on state that is already loaded.

`decide` is pure. Ids are de-duplicated against the state and inside the batch alike, because each command sees what the
ones before it did. A refusal leaves no trace, except that a refused authorisation is remembered as a hold that will
never be placed: asking again gets the first answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common import ids
from rialto_common.errors import InvariantViolated
from rialto_ledger.domain import chart, disputes, movements, posting_rules, transfer
from rialto_ledger.domain.account import AccountDelta, AccountStatus, StatusChange
from rialto_ledger.domain.book import Book, LedgerState
from rialto_ledger.domain.commands import (
    CaptureHold,
    ChangeAccountStatus,
    Command,
    ConfirmSettlement,
    ExpireHold,
    ExtendHold,
    HoldCommand,
    IncreaseHold,
    Linked,
    OpenAccount,
    PlaceHold,
    PostEntry,
    ReverseEntry,
    ReverseSettlement,
    VoidHold,
)
from rialto_ledger.domain.errors import (
    AccountClosed,
    AccountIdReused,
    AccountNotFound,
    AccountUnlimited,
    CurrencyMismatch,
    EntryIdReused,
    EntryIdTooOld,
    EntryNotFound,
    EntryNotReversible,
    HoldHasExpired,
    HoldIdReused,
    HoldNotFound,
    LedgerError,
    LinkedPartlyPosted,
    LinkedRefused,
)
from rialto_ledger.domain.hold import Hold, HoldStatus, tombstone
from rialto_ledger.domain.journal import JournalEntry, reversal_id
from rialto_ledger.domain.outcomes import (
    AccountOpened,
    EntryPosted,
    HoldCaptured,
    HoldExtended,
    HoldIncreased,
    HoldPlaced,
    HoldReleased,
    LinkedPosted,
    NothingToDo,
    Outcome,
    OutcomeStatus,
    Result,
    SettlementPosted,
    StatusChanged,
)
from rialto_ledger.domain.settlement import (
    Settlement,
    SettlementStatus,
    reversal_entry_id,
    settlement_entry_id,
)

Answer = tuple[OutcomeStatus, Result]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a batch comes to: one outcome a command, in order, and what must be written, all of it or nothing.

    `deltas` has each account that changes, once.
    """

    outcomes: list[Outcome]
    entries: list[JournalEntry]
    new_holds: list[Hold]
    changed_holds: list[Hold]
    settlements: list[Settlement]
    deltas: dict[UUID, AccountDelta]
    status_changes: list[StatusChange] = field(default_factory=list)


def decide(state: LedgerState, commands: Sequence[Command], now: datetime) -> Decision:
    """Return what the commands come to, processed in their order at the instant `now`."""
    book = Book(state, now)
    book.to_open.update(
        command.spec.id for command in commands if isinstance(command, OpenAccount) and command.spec.id in state.opened
    )
    outcomes: list[Outcome] = []
    for command in commands:
        if isinstance(command, Linked):
            book, outcome = _linked(book, command)
        else:
            outcome = outcome_of(book, command)
        outcomes.append(outcome)
    return decision_of(book, outcomes)


def decision_of(book: Book, outcomes: list[Outcome]) -> Decision:
    """Return what a book has come to with these outcomes."""
    holds, known = book.changed_holds.values(), book.state.holds
    return Decision(
        outcomes=outcomes,
        entries=list(book.new_entries.values()),
        new_holds=[hold for hold in holds if hold.id not in known],
        changed_holds=[hold for hold in holds if hold.id in known],
        settlements=list(book.changed_settlements.values()),
        deltas=book.touched(),
        status_changes=book.status_changes,
    )


def outcome_of(book: Book, command: Command) -> Outcome:
    """Return what one command, which is not linked to others, comes to; a refused one leaves no trace in the book."""
    status, result, refusal = OutcomeStatus.REFUSED, None, None
    try:
        status, result = _DECIDERS[type(command)](book, command)
    except LedgerError as error:
        refusal = error
    if isinstance(command, HoldCommand):
        hold = book.hold(command.hold_id)
        return Outcome(command, status, result, refusal, 0 if hold is None else hold.version)
    return Outcome(command, status, result, refusal)


def _open_account(book: Book, command: OpenAccount) -> Answer:
    is_new = command.spec.id in book.to_open
    book.to_open.discard(command.spec.id)
    account = book.account(command.spec.id)
    # The number for the outside comes with the configuration, which may have changed since.
    if replace(account.spec, identifier=command.spec.identifier) != command.spec:
        raise AccountIdReused(account.id)
    return OutcomeStatus.APPLIED if is_new else OutcomeStatus.DUPLICATE, AccountOpened(account)


def _linked(book: Book, command: Linked) -> tuple[Book, Outcome]:
    """Post all or none: on a copy of the book, which takes its place if nothing is refused."""
    trial = book.copy()
    outcomes = []
    for index, each in enumerate(command.commands):
        outcome = outcome_of(trial, each)
        if outcome.error is not None:
            return book, Outcome(command, OutcomeStatus.REFUSED, error=LinkedRefused(index, outcome.error))
        outcomes.append(outcome)
    duplicates = [index for index, outcome in enumerate(outcomes) if outcome.status is OutcomeStatus.DUPLICATE]
    if duplicates and len(duplicates) < len(outcomes):
        return book, Outcome(command, OutcomeStatus.REFUSED, error=LinkedPartlyPosted(duplicates[0]))
    status = OutcomeStatus.DUPLICATE if duplicates else OutcomeStatus.APPLIED
    return trial, Outcome(command, status, LinkedPosted(tuple(outcomes)))


def _change_status(book: Book, command: ChangeAccountStatus) -> Answer:
    account = book.account(command.account_id)
    if account.spec.mode != command.mode:
        raise AccountNotFound(account.id)
    if book.status(account) is command.status:
        return OutcomeStatus.DUPLICATE, StatusChanged(account, command.status)
    book.change_status(account, command.status, command.reason)
    return OutcomeStatus.APPLIED, StatusChanged(account, command.status)


def _post_entry(book: Book, command: PostEntry) -> Answer:
    entry = JournalEntry(
        id=command.entry_id,
        kind=command.kind,
        mode=command.mode,
        shard=book.account(command.about).spec.shard if command.shard is None else command.shard,
        merchant_id=command.merchant_id,
        payment_id=None,
        effective_at=command.effective_at,
        recorded_at=book.now,
        postings=command.postings,
        metadata=command.metadata,
    )
    existing = book.entry(entry.id)
    if existing is not None:
        if not existing.same_content(entry):
            raise EntryIdReused(entry.id)
        return OutcomeStatus.DUPLICATE, EntryPosted(existing, command.about)
    if command.merchant_id is not None:
        for posting in entry.postings:
            book.account_of(posting.account_id, command.merchant_id, command.mode)
    book.post(entry, checks_status=not command.fact)
    return OutcomeStatus.APPLIED, EntryPosted(entry, command.about)


def _reverse_entry(book: Book, command: ReverseEntry) -> Answer:
    posted = book.entry(command.reverses)
    if posted is None and command.reverses < book.state.ids_from:
        raise EntryIdTooOld(command.reverses)
    if posted is None or posted.mode != command.mode:
        raise EntryNotFound(command.reverses)
    about = posted.postings[0].account_id
    reversal = book.entry(reversal_id(posted.id))
    if reversal is not None:
        if reversal.reverses != posted.id:
            raise EntryIdReused(reversal.id)
        return OutcomeStatus.DUPLICATE, EntryPosted(reversal, about)
    if posted.payment_id is not None:
        raise EntryNotReversible(posted.id, "it belongs to a payment, which is undone by a refund, a void or the chain")
    if posted.reverses is not None:
        raise EntryNotReversible(posted.id, "it is a reversal itself; post the entry anew")
    if posted.kind in transfer.KINDS:
        raise EntryNotReversible(posted.id, "it is a transfer's, perhaps with a part in another ledger; transfer back")
    entry = JournalEntry(
        id=reversal_id(posted.id),
        kind="reversal",
        mode=posted.mode,
        shard=posted.shard,
        merchant_id=posted.merchant_id,
        payment_id=None,
        effective_at=command.effective_at,
        recorded_at=book.now,
        postings=posting_rules.reversal(posted.postings),
        metadata=command.metadata,
        reverses=posted.id,
    )
    book.post(entry)
    return OutcomeStatus.APPLIED, EntryPosted(entry, about)


def _place_hold(book: Book, command: PlaceHold) -> Answer:
    existing = book.hold(command.hold_id)
    if existing is not None:
        return _placed_before(existing, command)
    hold = Hold(
        id=command.hold_id,
        payment_id=command.payment_id,
        account_id=command.account_id,
        merchant_id=command.merchant_id,
        mode=command.mode,
        shard=command.shard,
        currency=command.currency,
        amount_minor=command.amount_minor,
        status=HoldStatus.PENDING,
        placed_at=book.now,
        expires_at=command.expires_at,
    )
    try:
        if hold.is_due(book.now):
            raise HoldHasExpired(hold.id)
        account = book.account_of(command.account_id, command.merchant_id, command.mode)
        if account.spec.currency != command.currency:
            raise CurrencyMismatch(account.spec.currency, command.currency)
        if command.payment_id is None and command.merchant_id and account.spec.minimum_available_minor is None:
            raise AccountUnlimited(account.id)
        book.reserve(hold, account.id)
    except LedgerError as error:
        book.changed_holds[hold.id] = replace(
            hold, status=HoldStatus.REFUSED, refusal_code=error.stable_code, closed_at=book.now
        )
        raise
    return OutcomeStatus.APPLIED, HoldPlaced(hold)


def _placed_before(existing: Hold, command: PlaceHold) -> Answer:
    if existing.account_id is None:
        raise existing.why_closed()
    asked = (command.account_id, command.merchant_id, command.mode, command.currency, command.amount_minor)
    if asked != (
        existing.account_id,
        existing.merchant_id,
        existing.mode,
        existing.currency,
        existing.placed_minor,
    ):
        raise HoldIdReused(existing.id)
    if existing.status is HoldStatus.REFUSED:
        raise existing.why_closed()
    return OutcomeStatus.DUPLICATE, HoldPlaced(existing)


def _capture_hold(book: Book, command: CaptureHold) -> Answer:
    hold = _hold_of(book, command)
    if hold is None or hold.account_id is None:
        raise HoldNotFound(command.hold_id) if hold is None else hold.why_closed()
    existing = book.entry(command.entry_id)
    if existing is not None:
        return OutcomeStatus.DUPLICATE, _captured_before(existing, hold, command)
    captured = hold.capture(command.amount_minor, final=command.final, now=book.now)
    if command.payable.currency != hold.currency:
        raise CurrencyMismatch(hold.currency, command.payable.currency)
    # A payment's capture was promised to its merchant; nobody promised anything to an account that was closed for good,
    # and what came onto it could never leave it.
    if hold.payment_id is None and book.status(payee := book.account(command.payable.id)) is AccountStatus.CLOSED:
        raise AccountClosed(payee.id)
    freed = hold.remaining_minor - captured.remaining_minor
    entry = JournalEntry(
        id=command.entry_id,
        kind="capture",
        mode=command.mode,
        shard=command.shard,
        merchant_id=command.merchant_id,
        payment_id=command.payment_id,
        effective_at=command.effective_at,
        recorded_at=book.now,
        postings=_captured(hold.account_id, command),
        metadata={
            "capture_id": ids.to_text("cap", command.capture_id),
            "final": "true" if command.final else "false",
            "remaining_minor": str(captured.remaining_minor),
            # A payment has one hold, known by the payment; one of the API's is known by its id alone.
            **({} if hold.payment_id else {"hold_id": ids.to_text("hold", hold.id)}),
        },
    )
    # The money was promised when the hold was placed: a wallet frozen since then does not break the promise.
    book.post(entry, held={hold.account_id: -freed}, checks_status=False)
    book.changed_holds[hold.id] = captured
    result = HoldCaptured(
        captured, command.capture_id, entry, command.amount_minor, captured.remaining_minor, command.final
    )
    return OutcomeStatus.APPLIED, result


def _captured(account_id: UUID, command: CaptureHold) -> posting_rules.Postings:
    """Return the postings of a capture: what we owe the merchant for it, and the fee that we take of that."""
    payable = command.payable
    postings = posting_rules.capture(account_id, payable, command.amount_minor)
    if command.fee_minor == 0:
        return postings
    income = chart.fees_income(payable.currency, payable.mode)
    return (*postings, *posting_rules.fee(payable, income, command.fee_minor))


def _captured_before(entry: JournalEntry, hold: Hold, command: CaptureHold) -> HoldCaptured:
    final = entry.metadata.get("final") == "true"
    asked = None
    if hold.account_id is not None:
        asked = _captured(hold.account_id, command)
    of_hold = hold.payment_id is not None or entry.metadata.get("hold_id") == ids.to_text("hold", hold.id)
    told = (entry.kind, entry.payment_id, entry.postings, final)
    if not of_hold or told != ("capture", command.payment_id, asked, command.final):
        raise EntryIdReused(entry.id)
    remaining = int(entry.metadata["remaining_minor"])
    return HoldCaptured(hold, command.capture_id, entry, command.amount_minor, remaining, final)


def _void_hold(book: Book, command: VoidHold) -> Answer:
    hold = _hold_of(book, command)
    if hold is None:
        never = tombstone(command, book.now)
        book.release(never, 0)
        return OutcomeStatus.APPLIED, HoldReleased(never, 0)
    voided = hold.void(book.now)
    if voided is hold:
        released = hold.released_minor if hold.status is HoldStatus.VOIDED else 0
        return OutcomeStatus.DUPLICATE, HoldReleased(hold, released)
    book.release(voided, hold.remaining_minor)
    return OutcomeStatus.APPLIED, HoldReleased(voided, hold.remaining_minor)


def _extend_hold(book: Book, command: ExtendHold) -> Answer:
    hold = _hold_of(book, command)
    if hold is None:
        raise HoldNotFound(command.hold_id)
    extended = hold.extend(command.expires_at, book.now)
    if extended is hold:
        return OutcomeStatus.DUPLICATE, HoldExtended(hold)
    book.changed_holds[hold.id] = extended
    return OutcomeStatus.APPLIED, HoldExtended(extended)


def _increase_hold(book: Book, command: IncreaseHold) -> Answer:
    hold = _hold_of(book, command)
    if hold is None or hold.account_id is None:
        raise HoldNotFound(command.hold_id) if hold is None else hold.why_closed()
    if command.currency != hold.currency:
        raise CurrencyMismatch(hold.currency, command.currency)
    increased = hold.increase(command.amount_minor, book.now)
    if increased is hold:
        return OutcomeStatus.DUPLICATE, HoldIncreased(hold)
    book.reserve_more(increased, hold.account_id, increased.amount_minor - hold.amount_minor)
    return OutcomeStatus.APPLIED, HoldIncreased(increased)


def _expire_hold(book: Book, command: ExpireHold) -> Answer:
    hold = book.hold(command.hold_id)
    if hold is None:
        raise HoldNotFound(command.hold_id)
    expired = hold.expire(book.now)
    if expired is hold:
        return OutcomeStatus.DUPLICATE, NothingToDo()
    book.release(expired, hold.remaining_minor)
    return OutcomeStatus.APPLIED, HoldReleased(expired, hold.remaining_minor)


def _hold_of(book: Book, command: HoldCommand) -> Hold | None:
    """Return the hold; one of another merchant, payment or mode is not found."""
    hold = book.hold(command.hold_id)
    asked = (command.merchant_id, command.payment_id, command.mode)
    if hold is not None and (hold.merchant_id, hold.payment_id, hold.mode) != asked:
        raise HoldNotFound(command.hold_id)
    return hold


def _confirm_settlement(book: Book, command: ConfirmSettlement) -> Answer:
    known = book.settlement(command.payment_id)
    ordinal = 0 if known is None else known.ordinal
    if known is not None and command.sequence < known.sequence:
        return OutcomeStatus.DUPLICATE, NothingToDo()
    if known is not None and command.sequence > known.sequence and known.status is SettlementStatus.REVERSED:
        ordinal += 1
    entry = JournalEntry(
        id=settlement_entry_id(command.payment_id, ordinal),
        kind="chain_settlement",
        mode=command.mode,
        shard=command.shard,
        merchant_id=command.merchant_id,
        payment_id=command.payment_id,
        effective_at=command.effective_at,
        recorded_at=book.now,
        postings=posting_rules.chain_settlement(command.accounts, command.amount_minor, command.token_amount),
        metadata=command.metadata,
    )
    existing = book.entry(entry.id)
    if existing is not None:
        # The block may differ (the chain may move a transaction that still counts); the money may not.
        if existing.postings != entry.postings:
            raise EntryIdReused(entry.id)
        return OutcomeStatus.DUPLICATE, SettlementPosted(existing, ordinal)
    book.post(entry, checks_status=False)
    book.changed_settlements[command.payment_id] = Settlement(
        command.payment_id, command.settlement_id, ordinal, SettlementStatus.POSTED, entry.id, command.sequence
    )
    return OutcomeStatus.APPLIED, SettlementPosted(entry, ordinal)


def _reverse_settlement(book: Book, command: ReverseSettlement) -> Answer:
    known = book.settlement(command.payment_id)
    if known is None or known.status is SettlementStatus.REVERSED or command.sequence <= known.sequence:
        return OutcomeStatus.DUPLICATE, NothingToDo()
    posted = book.entry(known.entry_id)
    if posted is None and known.entry_id < book.state.ids_from:
        raise EntryIdTooOld(known.entry_id)
    if posted is None:
        raise InvariantViolated(f"settlement of payment {known.payment_id} names entry {known.entry_id}: not there")
    entry = JournalEntry(
        id=reversal_entry_id(command.payment_id, known.ordinal),
        kind="chain_settlement_reversal",
        mode=command.mode,
        shard=command.shard,
        merchant_id=command.merchant_id,
        payment_id=command.payment_id,
        effective_at=command.effective_at,
        recorded_at=book.now,
        postings=posting_rules.reversal(posted.postings),
        metadata=command.metadata,
        reverses=posted.id,
    )
    book.post(entry, checks_status=False)
    book.changed_settlements[command.payment_id] = replace(
        known, status=SettlementStatus.REVERSED, sequence=command.sequence
    )
    return OutcomeStatus.APPLIED, SettlementPosted(entry, known.ordinal)


_DECIDERS: dict[type, Callable[[Book, Any], Answer]] = {
    OpenAccount: _open_account,
    ChangeAccountStatus: _change_status,
    PostEntry: _post_entry,
    ReverseEntry: _reverse_entry,
    PlaceHold: _place_hold,
    CaptureHold: _capture_hold,
    VoidHold: _void_hold,
    ExtendHold: _extend_hold,
    IncreaseHold: _increase_hold,
    ExpireHold: _expire_hold,
    ConfirmSettlement: _confirm_settlement,
    ReverseSettlement: _reverse_settlement,
    **movements.DECIDERS,
    **disputes.DECIDERS,
}
