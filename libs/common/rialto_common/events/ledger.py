"""The ledger's facts, on `rialto.ledger.v1`, keyed by payment id (or by account id where no payment is behind it, by
capture, refund or attempt id where no hold is, by transfer id between ledgers, by merchant id: totals).
"""

from typing import ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from rialto_common.events.common import (
    LEDGER,
    AccountId,
    CaptureId,
    EntryId,
    HoldId,
    IncrementId,
    MerchantId,
    Mode,
    PaymentId,
    RefundId,
    TransferId,
)
from rialto_common.events.envelope import EventData, MinorUnits, MinorUnitsOrZero
from rialto_common.events.totals import ControlTotals


class HoldData(EventData):
    """What every event of a hold names."""

    topic: ClassVar[str] = LEDGER

    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode
    hold_id: HoldId
    currency: str


class HoldPlaced(HoldData):
    """The amount is reserved: available balance fell, ledger balance did not."""

    type: ClassVar[str] = "rialto.hold.placed.v1"

    amount_minor: MinorUnits
    expires_at: AwareDatetime


class HoldCaptured(HoldData):
    """All or part of the hold was booked by journal entry `entry_id`; `remaining_minor` is still held."""

    type: ClassVar[str] = "rialto.hold.captured.v1"

    capture_id: CaptureId
    entry_id: EntryId
    amount_minor: MinorUnits
    remaining_minor: MinorUnitsOrZero
    final: bool
    fee_minor: MinorUnitsOrZero = 0


class HoldIncreased(HoldData):
    """More is reserved: `amount_minor` in all, by increment `increment_id`."""

    type: ClassVar[str] = "rialto.hold.increased.v1"

    increment_id: IncrementId
    amount_minor: MinorUnits


class HoldIncreaseRefused(HoldData):
    """The hold was not raised to `amount_minor` and is as it was; `code` is stable and says why."""

    type: ClassVar[str] = "rialto.hold.increase_refused.v1"

    increment_id: IncrementId
    amount_minor: MinorUnits
    code: str
    detail: str


class HoldVoided(HoldData):
    """What was still held is available again; 0 when the hold had never been placed and now never will be."""

    type: ClassVar[str] = "rialto.hold.voided.v1"

    amount_released_minor: MinorUnitsOrZero


class HoldExpired(HoldData):
    """The hold's deadline passed and what was still held is available again."""

    type: ClassVar[str] = "rialto.hold.expired.v1"

    amount_released_minor: MinorUnitsOrZero


class PostingLine(BaseModel):
    """One line of an entry."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    account: str
    side: Literal["debit", "credit"]
    amount_minor: MinorUnits
    currency: str


class JournalEntryPosted(EventData):
    """A balanced entry was written."""

    type: ClassVar[str] = "rialto.journal_entry.posted.v1"
    topic: ClassVar[str] = LEDGER

    entry_id: EntryId
    kind: str
    payment_id: PaymentId | None = None
    merchant_id: MerchantId | None = None
    mode: Mode
    postings: list[PostingLine]


class PostingRefused(EventData):
    """The ledger refused a step of a payment; `code` is stable and says why."""

    type: ClassVar[str] = "rialto.posting.refused.v1"
    topic: ClassVar[str] = LEDGER

    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode
    step: Literal["authorise", "capture", "void", "settle"]
    capture_id: CaptureId | None = None
    amount_minor: MinorUnits | None = None
    fee_minor: MinorUnitsOrZero = 0
    code: str
    detail: str


class CaptureBooked(EventData):
    """What an acquirer captured was booked: the acquirer owes it to us, and we owe it to the merchant."""

    type: ClassVar[str] = "rialto.capture.booked.v1"
    topic: ClassVar[str] = LEDGER

    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode
    capture_id: CaptureId
    entry_id: EntryId
    amount_minor: MinorUnits
    currency: str
    final: bool
    acquirer: str
    fee_minor: MinorUnitsOrZero = 0


class RefundAnswer(EventData):
    """What every answer to a refund's request names."""

    topic: ClassVar[str] = LEDGER

    payment_id: PaymentId
    merchant_id: MerchantId
    mode: Mode
    refund_id: RefundId
    amount_minor: MinorUnits
    currency: str


class RefundBooked(RefundAnswer):
    """The amount was taken from the merchant: the wallet has it, or it waits in suspense for the acquirer's answer."""

    type: ClassVar[str] = "rialto.refund.booked.v1"

    entry_id: EntryId
    requested_at: AwareDatetime


class RefundRefused(RefundAnswer):
    """Nothing was taken; `code` is stable and says why."""

    type: ClassVar[str] = "rialto.refund.refused.v1"

    code: str
    detail: str


class LedgerTotalsReported(ControlTotals):
    """What the journal has of a merchant's closed day, by `effective_at`: captures, refunds, standing settlements."""

    type: ClassVar[str] = "rialto.ledger_totals.reported.v1"
    topic: ClassVar[str] = LEDGER


class TransferData(EventData):
    """What every event of a transfer between two ledgers names; `merchant_id` null is the operator."""

    topic: ClassVar[str] = LEDGER

    transfer_id: TransferId
    merchant_id: MerchantId | None = None
    mode: Mode
    from_account_id: AccountId
    from_shard: int
    to_account_id: AccountId
    to_shard: int
    amount_minor: MinorUnits
    currency: str


class TransferSent(TransferData):
    """The money has left its account and is in transit; the ledger that keeps `to_shard` answers, whatever comes."""

    type: ClassVar[str] = "rialto.transfer.sent.v1"

    entry_id: EntryId


class TransferReceived(TransferData):
    """The money has reached its account, by entry `entry_id`; told to the ledger that keeps `from_shard`."""

    type: ClassVar[str] = "rialto.transfer.received.v1"

    entry_id: EntryId


class TransferRefused(TransferData):
    """The account does not take the money, for the reason `code`: the ledger that keeps `from_shard` gives it back."""

    type: ClassVar[str] = "rialto.transfer.refused.v1"

    code: str


MODELS: tuple[type[EventData], ...] = (
    HoldPlaced,
    HoldCaptured,
    HoldIncreased,
    HoldIncreaseRefused,
    HoldVoided,
    HoldExpired,
    JournalEntryPosted,
    PostingRefused,
    CaptureBooked,
    RefundBooked,
    RefundRefused,
    LedgerTotalsReported,
    TransferSent,
    TransferReceived,
    TransferRefused,
)
