"""The one way by which anything is written: load, decide, save, in the transaction of the caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from rialto_ledger.application.ports import Keys, Ledger
from rialto_ledger.domain import chart
from rialto_ledger.domain.account import Account, AccountSpec
from rialto_ledger.domain.batch import Decision, decide
from rialto_ledger.domain.commands import (
    CaptureHold,
    Command,
    ConfirmSettlement,
    OpenAccount,
    PlaceHold,
    PostEntry,
    ReverseSettlement,
)


@dataclass(frozen=True, slots=True)
class Posted:
    """A batch that is decided and written, and the accounts it was decided on, as they were before it."""

    decision: Decision
    accounts: Mapping[UUID, Account]

    def account_after(self, account_id: UUID) -> Account:
        """Return an account as the batch leaves it."""
        account, delta = self.accounts[account_id], self.decision.deltas.get(account_id)
        return account if delta is None else account.after(delta)


async def post(ledger: Ledger, commands: Sequence[Command], now: datetime) -> Posted:
    """Decide and write a batch; the caller commits, and tells the outcomes in the same transaction."""
    state = await ledger.load(keys_of(commands), now)
    decision = decide(state, commands, now)
    await ledger.save(decision)
    return Posted(decision, state.accounts)


def keys_of(commands: Sequence[Command]) -> Keys:
    """Return everything that deciding the commands can need. Accounts in unknown currencies are never opened."""
    accounts: set[UUID] = set()
    opens: dict[UUID, AccountSpec] = {}
    holds: set[UUID] = set()
    entries: set[UUID] = set()
    settled: set[UUID] = set()
    for command in commands:
        if isinstance(command, PlaceHold):
            accounts.add(command.wallet_id)
            holds.add(command.hold_id)
        elif isinstance(command, CaptureHold):
            opens[command.payable.id] = command.payable
            holds.add(command.hold_id)
            entries.add(command.entry_id)
        elif isinstance(command, ConfirmSettlement):
            opens.update((spec.id, spec) for spec in command.accounts)
            settled.add(command.payment_id)
        elif isinstance(command, ReverseSettlement):
            settled.add(command.payment_id)
        elif isinstance(command, PostEntry):
            accounts.update(posting.account_id for posting in command.postings)
            opens.update((spec.id, spec) for spec in command.opens)
            entries.add(command.entry_id)
        elif isinstance(command, OpenAccount):
            opens.setdefault(command.spec.id, command.spec)
        else:
            holds.add(command.hold_id)
    return Keys(
        accounts=frozenset(accounts),
        opens=tuple(spec for spec in opens.values() if chart.can_open(spec)),
        holds=frozenset(holds),
        entries=frozenset(entries),
        settled_payments=frozenset(settled),
    )
