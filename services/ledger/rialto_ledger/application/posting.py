"""The one way by which anything is written: load, decide, save, in the transaction of the caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from rialto_ledger.application.ports import Keys, Ledger
from rialto_ledger.domain import chain, chart
from rialto_ledger.domain.account import Account, AccountSpec
from rialto_ledger.domain.batch import Decision, decide
from rialto_ledger.domain.commands import (
    CaptureHold,
    ChangeAccountStatus,
    Command,
    ConfirmSettlement,
    HoldCommand,
    Linked,
    OpenAccount,
    PlaceHold,
    PostEntry,
    ReverseEntry,
    ReverseSettlement,
)
from rialto_ledger.domain.journal import reversal_id


@dataclass(frozen=True, slots=True)
class Posted:
    """A batch that is decided and written, and the accounts it was decided on, as they were before it."""

    decision: Decision
    accounts: Mapping[UUID, Account]

    def account_after(self, account_id: UUID) -> Account:
        """Return an account as the batch leaves it."""
        account, delta = self.accounts[account_id], self.decision.deltas.get(account_id)
        for change in self.decision.status_changes:
            if change.account_id == account_id:
                account = replace(account, status=change.status)
        return account if delta is None else account.after(delta)


async def post(ledger: Ledger, commands: Sequence[Command], now: datetime) -> Posted:
    """Decide and write a batch; the caller commits, and tells the outcomes in the same transaction."""
    posted = await rehearse(ledger, commands, now)
    entries = posted.decision.entries
    heads = await ledger.lock_heads({entry.shard for entry in entries})
    links, _ = chain.extend(heads, entries)
    await ledger.save(posted.decision, links, now)
    return posted


async def rehearse(ledger: Ledger, commands: Sequence[Command], now: datetime) -> Posted:
    """Decide a batch and write nothing but the accounts that it opens; alone it is a dry run, to be rolled back."""
    state = await ledger.load(keys_of(commands), now)
    return Posted(decide(state, commands, now), state.accounts)


def keys_of(commands: Sequence[Command]) -> Keys:
    """Return everything that deciding the commands can need. Accounts in unknown currencies are never opened."""
    keys = _Keys()
    for command in commands:
        keys.add(command)
    return keys.frozen()


@dataclass(slots=True)
class _Keys:
    accounts: set[UUID] = field(default_factory=set)
    opens: dict[UUID, AccountSpec] = field(default_factory=dict)
    holds: set[UUID] = field(default_factory=set)
    entries: set[UUID] = field(default_factory=set)
    reversed_entries: set[UUID] = field(default_factory=set)
    settled_payments: set[UUID] = field(default_factory=set)

    def add(self, command: Command) -> None:
        match command:
            case PostEntry():
                self.accounts.update(posting.account_id for posting in command.postings)
                self.opens.update((spec.id, spec) for spec in command.opens)
                self.entries.add(command.entry_id)
            case ReverseEntry():
                self.reversed_entries.add(command.reverses)
                self.entries.add(reversal_id(command.reverses))
            case Linked():
                for each in command.commands:
                    self.add(each)
            case PlaceHold():
                self.accounts.add(command.account_id)
                self.holds.add(command.hold_id)
            case CaptureHold():
                self.opens[command.payable.id] = command.payable
                self.holds.add(command.hold_id)
                self.entries.add(command.entry_id)
            case HoldCommand():
                self.holds.add(command.hold_id)
            case ConfirmSettlement():
                self.opens.update((spec.id, spec) for spec in command.accounts)
                self.settled_payments.add(command.payment_id)
            case ReverseSettlement():
                self.settled_payments.add(command.payment_id)
            case OpenAccount():
                self.opens.setdefault(command.spec.id, command.spec)
            case ChangeAccountStatus():
                self.accounts.add(command.account_id)

    def frozen(self) -> Keys:
        return Keys(
            accounts=frozenset(self.accounts),
            opens=tuple(spec for spec in self.opens.values() if chart.can_open(spec)),
            holds=frozenset(self.holds),
            entries=frozenset(self.entries),
            reversed_entries=frozenset(self.reversed_entries),
            settled_payments=frozenset(self.settled_payments),
        )
