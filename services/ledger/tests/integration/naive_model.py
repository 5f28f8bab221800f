"""A ledger on plain dictionaries, to hold the real ones against.

Written from README.md and the glossary, it shares nothing with the ledger but the commands and the ids: it takes one
command at a time, and puts everything back as it was where it refuses.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from rialto_ledger.domain.account import AccountSpec, Mode, Side
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
from rialto_ledger.domain.journal import Posting, reversal_id
from rialto_ledger.domain.settlement import reversal_entry_id, settlement_entry_id


class Refused(Exception):
    """Carries a stable code."""


@dataclass
class ModelAccount:
    spec: AccountSpec
    status: str = "open"
    debits: int = 0
    credits: int = 0
    held: int = 0

    @property
    def ledger(self) -> int:
        grows_by_debits = self.spec.type in ("asset", "expense")
        return self.debits - self.credits if grows_by_debits else self.credits - self.debits

    @property
    def available(self) -> int:
        return self.ledger - self.held


@dataclass
class ModelHold:
    command: HoldCommand
    status: str
    remaining: int = 0
    amount: int = 0
    expires_at: datetime | None = None
    code: str = ""

    def refuse_unless_pending(self, now: datetime) -> None:
        if self.status != "pending":
            raise Refused(
                {"captured": "hold_already_captured", "voided": "hold_already_voided", "expired": "hold_expired"}.get(
                    self.status, self.code
                )
            )
        if self.is_due(now):
            raise Refused("hold_expired")

    def is_due(self, now: datetime) -> bool:
        return self.status == "pending" and self.expires_at is not None and self.expires_at <= now


class ModelEntry(NamedTuple):
    what: tuple[object, ...]
    mode: Mode
    payment: UUID | None
    reverses: UUID | None
    postings: tuple[Posting, ...]


@dataclass
class ModelSettlement:
    ordinal: int
    stands: bool
    sequence: int


@dataclass
class Model:
    accounts: dict[UUID, ModelAccount] = field(default_factory=dict)
    entries: dict[UUID, ModelEntry] = field(default_factory=dict)
    holds: dict[UUID, ModelHold] = field(default_factory=dict)
    settlements: dict[UUID, ModelSettlement] = field(default_factory=dict)

    def do_all(self, commands: Sequence[Command], now: datetime) -> list[str]:
        """Return what each command comes to: applied, duplicate, or the code of its refusal."""
        for command in commands:
            for spec in opened_on_first_use(command):
                self.accounts.setdefault(spec.id, ModelAccount(spec))
        return [self.do(command, now) for command in commands]

    def do(self, command: Command, now: datetime) -> str:
        before = deepcopy(self.__dict__)
        try:
            applied: bool = getattr(self, type(command).__name__)(command, now)
        except Refused as refusal:
            self.__dict__ = before
            code = str(refusal)
            if isinstance(command, PlaceHold) and command.hold_id not in self.holds:
                self.holds[command.hold_id] = ModelHold(command, "refused", code=code)
            return code
        return "applied" if applied else "duplicate"

    # One method a command: whether it was applied, or a duplicate.

    def OpenAccount(self, command: OpenAccount, now: datetime) -> bool:
        known = self.accounts.get(command.spec.id)
        if known is not None and known.spec != command.spec:
            raise Refused("account_id_reused_with_other_content")
        self.accounts.setdefault(command.spec.id, ModelAccount(command.spec))
        return known is None

    def ChangeAccountStatus(self, command: ChangeAccountStatus, now: datetime) -> bool:
        account = self.account(command.account_id, command.mode)
        if account.status == command.status:
            return False
        if account.status == "closed":
            raise Refused("account_closed")
        if command.status == "closed" and (account.ledger, account.held) != (0, 0):
            raise Refused("account_not_empty")
        account.status = command.status
        return True

    def PostEntry(self, command: PostEntry, now: datetime) -> bool:
        if command.shard is None:
            self.account(command.about, None)
        if len(command.postings) < 2:
            raise Refused("posting_invalid")
        for currency in {posting.currency for posting in command.postings}:
            lines = [posting for posting in command.postings if posting.currency == currency]
            if sum(p.amount_minor if p.side == "debit" else -p.amount_minor for p in lines) != 0:
                raise Refused("entry_unbalanced")
        what = (command.kind, command.mode, command.merchant_id, command.postings, dict(command.metadata))
        if self.is_posted(command.entry_id, what):
            return False
        if command.merchant_id is not None:
            for posting in command.postings:
                self.chargeable(posting.account_id, command.merchant_id, command.mode)
        entry = ModelEntry(what, command.mode, None, None, command.postings)
        self.post(command.entry_id, entry, heeds_status=not command.fact)
        return True

    def ReverseEntry(self, command: ReverseEntry, now: datetime) -> bool:
        posted = self.entries.get(command.reverses)
        if posted is None or posted.mode != command.mode:
            raise Refused("entry_not_found")
        what = ("reversal", command.reverses)
        if self.is_posted(reversal_id(command.reverses), what):
            return False
        if posted.payment is not None or posted.reverses is not None:
            raise Refused("entry_not_reversible")
        self.post(
            reversal_id(command.reverses),
            ModelEntry(what, posted.mode, None, command.reverses, undone(posted.postings)),
        )
        return True

    def Linked(self, command: Linked, now: datetime) -> bool:
        results = [self.do(each, now) for each in command.commands]
        if not {"applied", "duplicate"}.issuperset(results):
            raise Refused("linked_entries_refused")
        if len(set(results)) == 2:
            raise Refused("linked_entries_partly_posted")
        return results[0] == "applied"

    def PlaceHold(self, command: PlaceHold, now: datetime) -> bool:
        known = self.holds.get(command.hold_id)
        if known is not None:
            if not isinstance(known.command, PlaceHold):
                raise Refused("hold_already_voided")
            if replace(command, expires_at=known.command.expires_at) != known.command:
                raise Refused("hold_id_reused_with_other_content")
            if known.status == "refused":
                raise Refused(known.code)
            return False
        if command.expires_at <= now:
            raise Refused("hold_expired")
        account = self.chargeable(command.account_id, command.merchant_id, command.mode)
        if account.spec.currency != command.currency:
            raise Refused("currency_mismatch")
        by_a_merchant = command.payment_id is None and command.merchant_id is not None
        if by_a_merchant and account.spec.minimum_available_minor is None:
            raise Refused("account_has_no_minimum")
        after = replace(account, held=account.held + command.amount_minor)
        refuse_unless_allowed(account, after)
        self.accounts[command.account_id] = after
        self.holds[command.hold_id] = ModelHold(
            command, "pending", command.amount_minor, command.amount_minor, command.expires_at
        )
        return True

    def CaptureHold(self, command: CaptureHold, now: datetime) -> bool:
        hold = self.hold(command)
        if hold is None:
            raise Refused("hold_not_found")
        if not isinstance(hold.command, PlaceHold):
            raise Refused("hold_already_voided")
        account_id, currency = hold.command.account_id, command.payable.currency
        postings = (
            Posting(account_id, Side.DEBIT, command.amount_minor, currency),
            Posting(command.payable.id, Side.CREDIT, command.amount_minor, currency),
        )
        what = ("capture", command.hold_id, postings, command.final)
        if self.is_posted(command.entry_id, what):
            return False
        hold.refuse_unless_pending(now)
        if command.amount_minor > hold.remaining:
            raise Refused("capture_above_hold")
        if currency != hold.command.currency:
            raise Refused("currency_mismatch")
        is_last = command.final or command.amount_minor == hold.remaining
        freed = hold.remaining if is_last else command.amount_minor
        entry = ModelEntry(what, command.mode, command.payment_id, None, postings)
        self.post(command.entry_id, entry, freed=(account_id, freed), heeds_status=False)
        hold.remaining -= freed
        hold.status = "captured" if is_last else "pending"
        return True

    def VoidHold(self, command: VoidHold, now: datetime) -> bool:
        hold = self.hold(command)
        if hold is None:
            self.holds[command.hold_id] = ModelHold(command, "voided")
            return True
        return self.release(hold, "voided") if hold.status == "pending" else False

    def ExtendHold(self, command: ExtendHold, now: datetime) -> bool:
        hold = self.hold(command)
        if hold is None:
            raise Refused("hold_not_found")
        hold.refuse_unless_pending(now)
        if hold.expires_at == command.expires_at:
            return False
        if command.expires_at <= now:
            raise Refused("hold_deadline_passed")
        hold.expires_at = command.expires_at
        return True

    def IncreaseHold(self, command: IncreaseHold, now: datetime) -> bool:
        hold = self.hold(command)
        if hold is None:
            raise Refused("hold_not_found")
        if not isinstance(hold.command, PlaceHold):
            raise Refused("hold_already_voided")
        if command.currency != hold.command.currency:
            raise Refused("currency_mismatch")
        if hold.status != "refused" and command.amount_minor <= hold.amount:
            return False
        hold.refuse_unless_pending(now)
        more = command.amount_minor - hold.amount
        account = self.accounts[hold.command.account_id]
        after = replace(account, held=account.held + more)
        refuse_unless_allowed(account, after)
        self.accounts[hold.command.account_id] = after
        hold.amount += more
        hold.remaining += more
        return True

    def ExpireHold(self, command: ExpireHold, now: datetime) -> bool:
        hold = self.holds.get(command.hold_id)
        if hold is None:
            raise Refused("hold_not_found")
        return self.release(hold, "expired") if hold.is_due(now) else False

    def ConfirmSettlement(self, command: ConfirmSettlement, now: datetime) -> bool:
        known = self.settlements.get(command.payment_id)
        ordinal = 0 if known is None else known.ordinal
        if known is not None and command.sequence < known.sequence:
            return False
        if known is not None and command.sequence > known.sequence and not known.stands:
            ordinal += 1
        payable, position, token_position, treasury = command.accounts
        postings = (
            Posting(payable.id, Side.DEBIT, command.amount_minor, payable.currency),
            Posting(position.id, Side.CREDIT, command.amount_minor, payable.currency),
            Posting(token_position.id, Side.DEBIT, command.token_amount, treasury.currency),
            Posting(treasury.id, Side.CREDIT, command.token_amount, treasury.currency),
        )
        entry_id, what = settlement_entry_id(command.payment_id, ordinal), ("settlement", postings)
        if self.is_posted(entry_id, what):
            return False
        self.post(entry_id, ModelEntry(what, command.mode, command.payment_id, None, postings), heeds_status=False)
        self.settlements[command.payment_id] = ModelSettlement(ordinal, True, command.sequence)
        return True

    def ReverseSettlement(self, command: ReverseSettlement, now: datetime) -> bool:
        known = self.settlements.get(command.payment_id)
        if known is None or not known.stands or command.sequence <= known.sequence:
            return False
        posted_id = settlement_entry_id(command.payment_id, known.ordinal)
        entry = ModelEntry((), command.mode, command.payment_id, posted_id, undone(self.entries[posted_id].postings))
        self.post(reversal_entry_id(command.payment_id, known.ordinal), entry, heeds_status=False)
        known.stands, known.sequence = False, command.sequence
        return True

    # What they share.

    def account(self, account_id: UUID, mode: Mode | None) -> ModelAccount:
        account = self.accounts.get(account_id)
        if account is None or mode not in (None, account.spec.mode):
            raise Refused("account_not_found")
        return account

    def chargeable(self, account_id: UUID, merchant: UUID | None, mode: Mode) -> ModelAccount:
        account = self.account(account_id, mode)
        if account.spec.merchant_id not in (None, merchant):
            raise Refused("account_not_found")
        return account

    def hold(self, command: HoldCommand) -> ModelHold | None:
        hold = self.holds.get(command.hold_id)
        asked = (command.payment_id, command.merchant_id, command.mode)
        if hold and (hold.command.payment_id, hold.command.merchant_id, hold.command.mode) != asked:
            raise Refused("hold_not_found")
        return hold

    def release(self, hold: ModelHold, status: str) -> bool:
        if isinstance(hold.command, PlaceHold):
            self.accounts[hold.command.account_id].held -= hold.remaining
        hold.status, hold.remaining = status, 0
        return True

    def is_posted(self, entry_id: UUID, what: tuple[object, ...]) -> bool:
        known = self.entries.get(entry_id)
        if known is not None and known.what != what:
            raise Refused("entry_id_reused_with_other_content")
        return known is not None

    def post(
        self, entry_id: UUID, entry: ModelEntry, *, freed: tuple[UUID, int] | None = None, heeds_status: bool = True
    ) -> None:
        changed: dict[UUID, ModelAccount] = {}
        for posting in entry.postings:
            account = self.account(posting.account_id, entry.mode)
            if account.spec.currency != posting.currency:
                raise Refused("currency_mismatch")
            after = changed.setdefault(posting.account_id, replace(account))
            if posting.side == "debit":
                after.debits += posting.amount_minor
            else:
                after.credits += posting.amount_minor
        if freed is not None:
            changed[freed[0]].held -= freed[1]
        for account_id, after in changed.items():
            refuse_unless_allowed(self.accounts[account_id], after, heeds_status=heeds_status)
        self.accounts.update(changed)
        self.entries[entry_id] = entry


def refuse_unless_allowed(before: ModelAccount, after: ModelAccount, *, heeds_status: bool = True) -> None:
    """Raise what the account says to becoming like this."""
    minimum, maximum = after.spec.minimum_available_minor, after.spec.maximum_balance_minor
    if heeds_status and before.status == "closed":
        raise Refused("account_closed")
    if heeds_status and before.status == "frozen" and after.available < before.available:
        raise Refused("account_frozen")
    if max(after.debits, after.credits, after.held) >= 10**38:
        raise Refused("balance_overflow")
    if minimum is not None and after.available < min(minimum, before.available):
        raise Refused("insufficient_funds")
    if maximum is not None and after.ledger > max(maximum, before.ledger):
        raise Refused("balance_above_maximum")


def undone(postings: Iterable[Posting]) -> tuple[Posting, ...]:
    """Return the postings with their sides changed."""
    sides = {Side.DEBIT: Side.CREDIT, Side.CREDIT: Side.DEBIT}
    return tuple(posting._replace(side=sides[posting.side]) for posting in postings)


def opened_on_first_use(command: Command) -> tuple[AccountSpec, ...]:
    """Return the accounts that come to be with a command, whatever becomes of it."""
    match command:
        case PostEntry():
            return command.opens
        case CaptureHold():
            return (command.payable,)
        case ConfirmSettlement():
            return tuple(command.accounts)
        case Linked():
            return tuple(spec for each in command.commands for spec in opened_on_first_use(each))
        case _:
            return ()
