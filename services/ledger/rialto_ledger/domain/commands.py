"""What the ledger can be asked to do: facts only, with every id already derived.

They stand in the domain, not in application/, because `batch.decide` takes them. Amounts are minor units;
`effective_at` is when it happened, as the sender says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from rialto_ledger.domain.account import AccountSpec, Mode
from rialto_ledger.domain.journal import Posting
from rialto_ledger.domain.posting_rules import SettlementAccounts


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Open an account, or find that it is open already with the same content."""

    spec: AccountSpec


@dataclass(frozen=True, slots=True)
class PostEntry:
    """Post an entry of known postings; `opens` are the platform's accounts in it, opened on first use.

    With a `merchant_id`, only accounts that this merchant may charge; the operator's (None) reach all of the mode.
    `about` is the account in whose history its event belongs. A `fact` (what a chain has done) is booked whatever the
    status of its accounts.
    """

    entry_id: UUID
    kind: str
    about: UUID
    mode: Mode
    shard: int
    merchant_id: UUID | None
    postings: tuple[Posting, ...]
    opens: tuple[AccountSpec, ...]
    effective_at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)
    fact: bool = False


@dataclass(frozen=True, slots=True)
class PaymentCommand:
    """What every command of a payment names."""

    payment_id: UUID
    merchant_id: UUID
    mode: Mode
    shard: int


@dataclass(frozen=True, slots=True)
class PlaceHold(PaymentCommand):
    """Reserve an amount on a wallet."""

    hold_id: UUID
    wallet_id: UUID
    currency: str
    amount_minor: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CaptureHold(PaymentCommand):
    """Book all or part of a hold for the merchant; `final` releases the rest."""

    hold_id: UUID
    capture_id: UUID
    entry_id: UUID
    payable: AccountSpec
    amount_minor: int
    final: bool
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class VoidHold(PaymentCommand):
    """Release what is still held, or make sure that a hold that never came will not come."""

    hold_id: UUID


@dataclass(frozen=True, slots=True)
class ExpireHold(PaymentCommand):
    """Release what is still held if the deadline has passed."""

    hold_id: UUID


@dataclass(frozen=True, slots=True)
class ConfirmSettlement(PaymentCommand):
    """The chain paid the merchant: book it, once for each time the chain really did."""

    settlement_id: UUID
    sequence: int
    accounts: SettlementAccounts
    amount_minor: int
    token_amount: int
    metadata: Mapping[str, str]
    effective_at: datetime


@dataclass(frozen=True, slots=True)
class ReverseSettlement(PaymentCommand):
    """The chain dropped the block that had paid the merchant."""

    settlement_id: UUID
    sequence: int
    metadata: Mapping[str, str]
    effective_at: datetime


HoldCommand = PlaceHold | CaptureHold | VoidHold | ExpireHold
SettlementCommand = ConfirmSettlement | ReverseSettlement
Command = OpenAccount | PostEntry | HoldCommand | SettlementCommand
