"""The one way by which anything is written: load, decide, save, in the transaction of the caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from rialto_ledger.application.ports import Ends, Keys, Ledger
from rialto_ledger.domain import chain, chart, disputes, movements
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.batch import Decision, decide
from rialto_ledger.domain.commands import (
    BookRefund,
    CaptureHold,
    ChangeAccountStatus,
    Command,
    ConfirmSettlement,
    DisputeCommand,
    HoldCommand,
    Linked,
    MovementCommand,
    OpenAccount,
    PlaceHold,
    PostEntry,
    ReverseEntry,
    ReverseSettlement,
)
from rialto_ledger.domain.journal import reversal_id


@dataclass(frozen=True, slots=True)
class Posted:
    """A batch that is decided, the accounts that it was decided on, as they were before, and the chains' ends after."""

    decision: Decision
    accounts: Mapping[UUID, Account]
    ends: Ends = field(default_factory=dict)

    def account_after(self, account_id: UUID) -> Account:
        """Return an account as the batch leaves it."""
        account, delta = self.accounts[account_id], self.decision.deltas.get(account_id)
        for change in self.decision.status_changes:
            if change.account_id == account_id:
                account = replace(account, status=change.status, version=account.version + 1)
        return account if delta is None else account.after(delta)


async def post(ledger: Ledger, commands: Sequence[Command], now: datetime) -> Posted:
    """Decide and write a batch; the caller commits, and tells the outcomes in the same transaction."""
    posted = await rehearse(ledger, commands, now)
    entries = posted.decision.entries
    heads = await ledger.lock_heads({entry.shard for entry in entries})
    links, ends = chain.extend(heads, entries)
    await ledger.save(posted.decision, links, now)
    return replace(posted, ends=ends)


async def rehearse(ledger: Ledger, commands: Sequence[Command], now: datetime) -> Posted:
    """Decide a batch and write nothing but the accounts that it opens; alone it is a dry run, to be rolled back."""
    state = await ledger.load(keys_of(commands), now)
    return Posted(decide(state, commands, now), state.accounts)


def keys_of(commands: Sequence[Command]) -> Keys:
    """Return everything that deciding the commands can need. Accounts in unknown currencies are never opened."""
    keys = Keys()
    for command in commands:
        _add(keys, command)
    keys.opens = {account_id: spec for account_id, spec in keys.opens.items() if chart.can_open(spec)}
    return keys


def _add(keys: Keys, command: Command) -> None:
    match command:
        case PostEntry():
            for posting in command.postings:
                keys.accounts.add(posting.account_id)
            for spec in command.opens:
                keys.opens[spec.id] = spec
            keys.entries.add(command.entry_id)
        case ReverseEntry():
            keys.reversed_entries.add(command.reverses)
            keys.entries.add(reversal_id(command.reverses))
        case Linked():
            for each in command.commands:
                _add(keys, each)
        case PlaceHold():
            keys.accounts.add(command.account_id)
            keys.holds.add(command.hold_id)
        case CaptureHold():
            keys.opens[command.payable.id] = command.payable
            if command.fee_minor > 0:
                income = chart.fees_income(command.payable.currency, command.mode)
                keys.opens[income.id] = income
            keys.holds.add(command.hold_id)
            keys.entries.add(command.entry_id)
        case HoldCommand():
            keys.holds.add(command.hold_id)
        case ConfirmSettlement():
            keys.opens.update((spec.id, spec) for spec in command.accounts)
            keys.settled_payments.add(command.payment_id)
        case ReverseSettlement():
            keys.settled_payments.add(command.payment_id)
        case MovementCommand():
            keys.opens.update((spec.id, spec) for spec in movements.accounts_of(command))
            keys.entries.update(movements.entry_ids(command))
            if isinstance(command, BookRefund) and command.wallet_id is not None:
                keys.accounts.add(command.wallet_id)
        case DisputeCommand():
            keys.opens.update((spec.id, spec) for spec in disputes.accounts_of(command))
            keys.entries.update(disputes.entry_ids(command))
        case OpenAccount():
            keys.opens.setdefault(command.spec.id, command.spec)
        case ChangeAccountStatus():
            keys.accounts.add(command.account_id)
