"""What the ledger can be asked to do: facts only, with every id already derived.

They stand in the domain, not in application/, because `batch.decide` takes them. Amounts are minor units;
`effective_at` is when it happened, as the sender says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from rialto_ledger.domain.account import AccountSpec, AccountStatus, Mode
from rialto_ledger.domain.journal import NO_METADATA, Posting
from rialto_ledger.domain.posting_rules import SettlementAccounts


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Open an account, or find that it is open already with the same content."""

    spec: AccountSpec


@dataclass(frozen=True, slots=True)
class ChangeAccountStatus:
    """Freeze an account, open a frozen one again, or close an empty one for good; `reason` is kept with the change."""

    account_id: UUID
    status: AccountStatus
    mode: Mode
    reason: str


class PostEntry(NamedTuple):
    """Post an entry of known postings; `opens` are the platform's accounts in it, opened on first use.

    With a `merchant_id`, only accounts that this merchant may charge; the operator's (None) reach all of the mode.
    `about` is the account in whose history its event belongs; `shard` None means that account's. A `fact` (what a chain
    or an acquirer has done) is booked whatever the status of its accounts. `key` is where its event belongs, as the
    `nth`, instead of the account's history: of its own, where the account is another shard's.
    """

    entry_id: UUID
    kind: str
    about: UUID
    mode: Mode
    shard: int | None
    merchant_id: UUID | None
    postings: tuple[Posting, ...]
    opens: tuple[AccountSpec, ...]
    effective_at: datetime
    metadata: Mapping[str, str] = NO_METADATA
    fact: bool = False
    key: str | None = None
    nth: int = 1


@dataclass(frozen=True, slots=True)
class ReverseEntry:
    """Undo an entry by a new one, once: asking again is answered with the first reversal, whose id is derived."""

    reverses: UUID
    mode: Mode
    effective_at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Linked:
    """Entries that are posted all or not at all."""

    commands: tuple["EntryCommand", ...]


@dataclass(frozen=True, slots=True)
class HoldCommand:
    """What every command about a hold names; one that the API placed belongs to no payment, perhaps to no merchant."""

    payment_id: UUID | None
    merchant_id: UUID | None
    mode: Mode
    shard: int
    hold_id: UUID


@dataclass(frozen=True, slots=True)
class PlaceHold(HoldCommand):
    """Reserve an amount on an account."""

    account_id: UUID
    currency: str
    amount_minor: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CaptureHold(HoldCommand):
    """Book all or part of a hold on the account `payable`; `final` releases the rest.

    `fee_minor` is what we take of it from the merchant, 0 for nothing.
    """

    capture_id: UUID
    entry_id: UUID
    payable: AccountSpec
    amount_minor: int
    final: bool
    effective_at: datetime
    fee_minor: int = 0


@dataclass(frozen=True, slots=True)
class VoidHold(HoldCommand):
    """Release what is still held, or make sure that a hold that never came will not come."""


@dataclass(frozen=True, slots=True)
class ExtendHold(HoldCommand):
    """Give a pending hold another deadline."""

    expires_at: datetime


@dataclass(frozen=True, slots=True)
class IncreaseHold(HoldCommand):
    """Reserve more under a payment's hold: `amount_minor` in all, so that asking again cannot reserve it twice."""

    increment_id: UUID
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ExpireHold(HoldCommand):
    """Release what is still held if the deadline has passed."""


@dataclass(frozen=True, slots=True)
class SettlementCommand:
    """What every command about a payment's settlement names."""

    payment_id: UUID
    merchant_id: UUID
    mode: Mode
    shard: int


@dataclass(frozen=True, slots=True)
class ConfirmSettlement(SettlementCommand):
    """The chain paid the merchant: book it, once for each time the chain really did."""

    settlement_id: UUID
    sequence: int
    accounts: SettlementAccounts
    amount_minor: int
    token_amount: int
    metadata: Mapping[str, str]
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class ReverseSettlement(SettlementCommand):
    """The chain dropped the block that had paid the merchant."""

    settlement_id: UUID
    sequence: int
    metadata: Mapping[str, str]
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class MovementCommand:
    """What every command about a capture or refund that comes to no hold names; `subject_id` is the capture or refund.

    `acquirer` is None where the ledger's own wallets are on the other side.
    """

    payment_id: UUID
    merchant_id: UUID
    mode: Mode
    shard: int
    subject_id: UUID
    amount_minor: int
    currency: str
    acquirer: str | None
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class BookCapture(MovementCommand):
    """An acquirer has captured: book it, from suspense where its outcome had been unknown.

    `fee_minor` is what we take of it from the merchant, 0 for nothing.
    """

    final: bool
    fee_minor: int = 0


@dataclass(frozen=True, slots=True)
class SuspendCapture(MovementCommand):
    """Nobody knows whether the acquirer has captured: what it may owe us waits in suspense."""


@dataclass(frozen=True, slots=True)
class ReturnCapture(MovementCommand):
    """The acquirer has not captured: take back what was put in suspense, if anything was."""


@dataclass(frozen=True, slots=True)
class BookRefund(MovementCommand):
    """Take a refund from what we owe the merchant: for a wallet, or aside until the acquirer has answered."""

    wallet_id: UUID | None


@dataclass(frozen=True, slots=True)
class FinishRefund(MovementCommand):
    """The acquirer has given the money back, or has not: the merchant then has it again."""

    succeeded: bool


@dataclass(frozen=True, slots=True)
class DisputeCommand:
    """What every command about a payer's dispute of a payment at an acquirer names."""

    payment_id: UUID
    merchant_id: UUID
    mode: Mode
    shard: int
    dispute_id: UUID
    amount_minor: int
    currency: str
    acquirer: str
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class OpenDispute(DisputeCommand):
    """Set the amount aside; `fee_minor` is what we take of the merchant for it, 0 for nothing."""

    fee_minor: int


@dataclass(frozen=True, slots=True)
class CloseDispute(DisputeCommand):
    """Give it back to the merchant who won, or let the acquirer have it for the payer."""

    won: bool


EntryCommand = PostEntry | ReverseEntry
Command = (
    OpenAccount
    | ChangeAccountStatus
    | EntryCommand
    | Linked
    | HoldCommand
    | SettlementCommand
    | MovementCommand
    | DisputeCommand
)
