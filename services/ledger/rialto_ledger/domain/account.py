"""Accounts: what has balances, on which side they grow, and how low they may go."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal
from uuid import UUID

Mode = Literal["test", "live"]


class Side(StrEnum):
    """Which column of the T-account a posting stands in."""

    DEBIT = "debit"
    CREDIT = "credit"

    @property
    def opposite(self) -> "Side":
        return Side.CREDIT if self is Side.DEBIT else Side.DEBIT


class AccountType(StrEnum):
    """The five kinds of accounts; the kind decides the normal side."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    INCOME = "income"
    EXPENSE = "expense"

    @property
    def normal_side(self) -> Side:
        """The side on which a balance of this kind grows."""
        return _NORMAL_SIDES[self]


_NORMAL_SIDES = {
    AccountType.ASSET: Side.DEBIT,
    AccountType.LIABILITY: Side.CREDIT,
    AccountType.EQUITY: Side.CREDIT,
    AccountType.INCOME: Side.CREDIT,
    AccountType.EXPENSE: Side.DEBIT,
}


class AccountStatus(StrEnum):
    """Open takes everything; frozen no new debits or holds; closed nothing."""

    OPEN = "open"
    FROZEN = "frozen"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """What an account is, apart from its totals and status: enough to open it on first use.

    `minimum_available_minor` and `maximum_balance_minor` (of the ledger balance) None mean without limit. `merchant_id`
    None means that the platform owns it. `owner` names whose money it is, as a reference and never a person's name;
    `identifier` is the number by which the outside pays into it, like an IBAN.
    """

    id: UUID
    code: str
    type: AccountType
    currency: str
    merchant_id: UUID | None
    mode: Mode
    shard: int
    minimum_available_minor: int | None
    maximum_balance_minor: int | None = None
    owner: str | None = None
    identifier: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatusChange:
    """An account's new status, and why."""

    account_id: UUID
    status: AccountStatus
    reason: str


@dataclass(slots=True)
class AccountDelta:
    """How a batch changes one account: what it adds to its totals; `held_minor` may be negative."""

    debits_minor: int = 0
    credits_minor: int = 0
    held_minor: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """An account with its totals since it was opened, all in minor units and never negative.

    `held_minor` is the sum of its pending holds; `version` counts its changes: a batch's to the
    totals, and each of its status.
    """

    spec: AccountSpec
    status: AccountStatus = AccountStatus.OPEN
    debits_minor: int = 0
    credits_minor: int = 0
    held_minor: int = 0
    version: int = 0

    @property
    def id(self) -> UUID:
        return self.spec.id

    @property
    def normal_side(self) -> Side:
        return self.spec.type.normal_side

    def belongs_to(self, merchant_id: UUID | None, mode: Mode) -> bool:
        """Whether this merchant may charge it: its own, or the platform's, in the same mode."""
        return self.spec.mode == mode and self.spec.merchant_id in (None, merchant_id)

    def after(self, delta: AccountDelta) -> "Account":
        """Return the account as a batch's changes leave it."""
        return Account(
            self.spec,
            self.status,
            self.debits_minor + delta.debits_minor,
            self.credits_minor + delta.credits_minor,
            self.held_minor + delta.held_minor,
            self.version + 1,
        )
