"""What the API takes and gives. Amounts are strings of minor units; ids are text such as `wal_…`, or a plain UUID."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from rialto_common import ids
from rialto_common.errors import InvalidField, InvalidId
from rialto_common.events.common import MerchantId, Mode
from rialto_common.events.envelope import MinorUnits, TextId
from rialto_common.money import MAX_MINOR
from rialto_ledger.domain import transfer
from rialto_ledger.domain.account import Account, AccountType, Side
from rialto_ledger.domain.balance import available_balance, ledger_balance
from rialto_ledger.domain.hold import Hold
from rialto_ledger.domain.journal import JournalEntry

MAX_ENTRIES = 8_190
"""Entries a batch."""
MAX_POSTINGS = 1_000
"""Postings an entry."""
OWN_KINDS = transfer.KINDS | {
    *(
        "acquirer_settlement",
        "capture",
        "chain_settlement",
        "chain_settlement_reversal",
        "deposit",
        "reversal",
        "top_up",
    ),
}
"""Kinds of entries that say what the ledger itself did: nobody posts them by hand."""


def read_id(text: str, *prefixes: str) -> UUID:
    """Read an id in its text form with one of these prefixes, or as a plain UUID.

    Raises: InvalidId.
    """
    prefix, _, tail = text.partition("_")
    if not tail:
        try:
            return UUID(text)
        except ValueError:
            pass  # told as what it is not
    return ids.from_text(prefix if prefix in prefixes else prefixes[0], text)


def id_in(*prefixes: str) -> BeforeValidator:
    """Return what reads a field's id in its text form with one of these prefixes, or as a plain UUID."""

    def read(value: object) -> UUID:
        try:
            return read_id(str(value), *prefixes)
        except InvalidId as error:
            raise InvalidField(error) from error

    return BeforeValidator(read)


def _in_order_of_time(entry_id: UUID) -> UUID:
    if entry_id.version != 7:
        raise InvalidField(InvalidId("an entry's id is a UUIDv7, so that the journal stays in the order of time"))
    return entry_id


def _read_limit(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,38}", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_MINOR:
        return value
    raise ValueError("a whole number of minor units of at most 38 digits, as a string")


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("an instant between the years 1 and 9999, in UTC too") from error


def _by_hand(kind: str) -> str:
    if kind in OWN_KINDS:
        raise ValueError(f"entries of kind '{kind}' are the ledger's own")
    return kind


def _signed(value: int) -> str:
    return str(value)


WalletIdIn = Annotated[
    UUID,
    id_in("wal"),
    WithJsonSchema({"type": "string", "examples": ["wal_01kjmma2g0f2nt3akp5hcm2yes"]}),
]
EntryIdIn = Annotated[
    UUID,
    id_in("je"),
    AfterValidator(_in_order_of_time),
    WithJsonSchema({"type": "string", "examples": ["je_01kjmma2g0f2nt3akp5hcm2yes"]}),
]
AccountIdIn = Annotated[
    UUID,
    id_in("acc", "wal"),
    WithJsonSchema({"type": "string", "examples": ["acc_01kjmma2g0f2nt3akp5hcm2yes"]}),
]
HoldIdIn = Annotated[
    UUID,
    id_in("hold"),
    WithJsonSchema({"type": "string", "examples": ["hold_01kjmma2g0f2nt3akp5hcm2yes"]}),
]
AccountId = Annotated[UUID, TextId("acc")]
HoldId = Annotated[UUID, TextId("hold")]
EntryId = Annotated[UUID, TextId("je")]
PaymentId = Annotated[UUID, TextId("pay")]
Balance = Annotated[
    int, PlainSerializer(_signed, return_type=str), WithJsonSchema({"type": "string", "pattern": "^-?[0-9]{1,38}$"})
]
"""Minor units that may be negative or zero: a string in JSON."""
Currency = Annotated[str, Field(pattern="^[A-Za-z0-9]{3,12}$", examples=["USD"])]
Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
NO_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps any text but the character U+0000."""


Metadata = Annotated[
    dict[
        Annotated[str, Field(max_length=40, pattern=NO_NUL)],
        Annotated[str, Field(max_length=500, pattern=NO_NUL)],
    ],
    Field(max_length=20),
]
"""Kept with the journal for ever and part of its proofs: no personal data in clear."""
Code = Annotated[str, Field(pattern="^[A-Za-z0-9_.:/-]{1,120}$", examples=["fees:income"])]
Kind = Annotated[str, Field(pattern="^[a-z][a-z0-9_.]{0,39}$", examples=["correction"]), AfterValidator(_by_hand)]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL)]
LimitMinor = Annotated[
    int, BeforeValidator(_read_limit), WithJsonSchema({"type": "string", "pattern": "^-?[0-9]{1,38}$"})
]


class NewAccount(BaseModel):
    """A wallet to open (`id`), or another account (`code` and `type`, by the operator).

    The merchant is the token's; the operator may name one, or none: then it is the platform's, and any merchant of the
    mode may charge it. Only the operator sets limits; a wallet's minimum is 0 unless it says otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: WalletIdIn | None = None
    code: Code | None = None
    type: AccountType | None = None
    currency: Currency
    merchant_id: MerchantId | None = None
    mode: Mode | None = None
    owner: Annotated[str, Field(max_length=120, pattern=NO_NUL)] | None = None
    minimum_available_minor: LimitMinor | None = None
    maximum_balance_minor: LimitMinor | None = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "NewAccount":
        if (self.id is None) == (self.code is None) or (self.code is None) != (self.type is None):
            raise ValueError("name either a wallet's id, or the code and the type of another account")
        return self

    @model_validator(mode="after")
    def _can_be_empty(self) -> "NewAccount":
        if (self.minimum_available_minor or 0) > 0 or (self.maximum_balance_minor or 0) < 0:
            raise ValueError("an account begins with nothing on it, which its limits must allow")
        return self


class ReasonBody(BaseModel):
    """Why an account's status changes; it is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Reason


class AccountBody(BaseModel):
    """An account with its two balances: what is booked, and what of it may still be spent."""

    id: AccountId
    code: str
    type: str
    normal_side: str
    currency: str
    merchant_id: MerchantId | None
    mode: Mode
    status: str
    owner: str | None
    identifier: str | None
    minimum_available_minor: Balance | None
    maximum_balance_minor: Balance | None
    ledger_balance_minor: Balance
    available_balance_minor: Balance
    held_minor: Balance
    debits_minor: Balance
    credits_minor: Balance
    version: int
    metadata: dict[str, str]

    @classmethod
    def of(cls, account: Account) -> "AccountBody":
        """Return the body of an account."""
        spec = account.spec
        return cls.model_construct(
            id=spec.id,
            code=spec.code,
            type=spec.type.value,
            normal_side=account.normal_side.value,
            currency=spec.currency,
            merchant_id=spec.merchant_id,
            mode=spec.mode,
            status=account.status.value,
            owner=spec.owner,
            identifier=spec.identifier,
            minimum_available_minor=spec.minimum_available_minor,
            maximum_balance_minor=spec.maximum_balance_minor,
            ledger_balance_minor=ledger_balance(account),
            available_balance_minor=available_balance(account),
            held_minor=account.held_minor,
            debits_minor=account.debits_minor,
            credits_minor=account.credits_minor,
            version=account.version,
            metadata=dict(spec.metadata),
        )


class AccountsBody(BaseModel):
    """Accounts of one code, one a currency."""

    data: list[AccountBody]


class NewTopUp(BaseModel):
    """A top-up of a wallet, in test mode only. The same id and content again is answered as the first time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: EntryIdIn
    kind: Literal["top_up"]
    wallet_id: WalletIdIn
    amount_minor: MinorUnits
    currency: Currency
    metadata: Metadata = Field(default_factory=dict)


class NewPosting(BaseModel):
    """One line of an entry to post."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_id: AccountIdIn
    side: Side
    amount_minor: MinorUnits
    currency: Currency


class NewEntry(BaseModel):
    """An entry of any postings, by the operator. The same id and content again is answered as the first time.

    `effective_at` is when it happened; left out, it is now.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: EntryIdIn
    kind: Kind
    postings: Annotated[list[NewPosting], Field(min_length=2, max_length=MAX_POSTINGS)]
    effective_at: Instant | None = None
    metadata: Metadata = Field(default_factory=dict)


class NewBatch(BaseModel):
    """Up to 8,190 entries in one commit: `linked` all or none, else each with its own result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    linked: bool = False
    entries: Annotated[list[NewEntry], Field(min_length=1, max_length=MAX_ENTRIES)]


class EntryResult(BaseModel):
    """What one entry of a batch came to: posted now, posted before with the same content, or refused and why."""

    id: EntryId
    status: Literal["applied", "duplicate", "refused"]
    code: str | None = None
    detail: str | None = None


class BatchBody(BaseModel):
    """The results of a batch, in its order."""

    data: list[EntryResult]


class NewReversal(BaseModel):
    """Why and when an entry is undone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    effective_at: Instant | None = None
    metadata: Metadata = Field(default_factory=dict)


class PostingBody(BaseModel):
    """One line of an entry."""

    account_id: AccountId
    account: str
    side: Literal["debit", "credit"]
    amount_minor: MinorUnits
    currency: str


class EntryBody(BaseModel):
    """A journal entry."""

    id: EntryId
    kind: str
    mode: Mode
    merchant_id: MerchantId | None
    payment_id: PaymentId | None
    reverses: EntryId | None
    effective_at: datetime
    recorded_at: datetime
    postings: list[PostingBody]
    metadata: dict[str, str]

    @classmethod
    def of(cls, entry: JournalEntry, codes: Mapping[UUID, str]) -> "EntryBody":
        """Return the body of an entry; `codes` names its accounts."""
        return cls.model_construct(
            id=entry.id,
            kind=entry.kind,
            mode=entry.mode,
            merchant_id=entry.merchant_id,
            payment_id=entry.payment_id,
            reverses=entry.reverses,
            effective_at=entry.effective_at,
            recorded_at=entry.recorded_at,
            postings=[
                PostingBody.model_construct(
                    account_id=posting.account_id,
                    account=codes[posting.account_id],
                    side=posting.side.value,
                    amount_minor=posting.amount_minor,
                    currency=posting.currency,
                )
                for posting in entry.postings
            ],
            metadata=dict(entry.metadata),
        )


def entry_json(entry: JournalEntry, codes: Mapping[UUID, str]) -> bytes:
    """Return the JSON of `EntryBody.of(entry, codes)`, byte for byte, in a third of the time: it is the answer that is
    given most often.
    """
    return orjson.dumps(
        {
            "id": ids.to_text("je", entry.id),
            "kind": entry.kind,
            "mode": entry.mode,
            "merchant_id": _text_of("mer", entry.merchant_id),
            "payment_id": _text_of("pay", entry.payment_id),
            "reverses": _text_of("je", entry.reverses),
            "effective_at": entry.effective_at,
            "recorded_at": entry.recorded_at,
            "postings": [
                {
                    "account_id": ids.to_text("acc", posting.account_id),
                    "account": codes[posting.account_id],
                    "side": posting.side.value,
                    "amount_minor": str(posting.amount_minor),
                    "currency": posting.currency,
                }
                for posting in entry.postings
            ],
            "metadata": dict(entry.metadata),
        },
        option=orjson.OPT_UTC_Z,
    )


def _text_of(prefix: str, value: UUID | None) -> str | None:
    return None if value is None else ids.to_text(prefix, value)


class TopUpBody(EntryBody):
    """A top-up's entry, and what is in the wallet now."""

    ledger_balance_minor: Balance
    available_balance_minor: Balance

    @classmethod
    def after(cls, entry: JournalEntry, codes: Mapping[UUID, str], wallet: Account) -> "TopUpBody":
        """Return the body of a top-up that left the wallet like this."""
        return cls.model_construct(
            **dict(EntryBody.of(entry, codes)),
            ledger_balance_minor=ledger_balance(wallet),
            available_balance_minor=available_balance(wallet),
        )


class EntriesBody(BaseModel):
    """A payment's entries, oldest first."""

    data: list[EntryBody]


class NewHold(BaseModel):
    """An amount to reserve on an account until a deadline. The same id and content again gets the first answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: HoldIdIn
    account_id: AccountIdIn
    amount_minor: MinorUnits
    currency: Currency
    expires_at: Instant


class NewCapture(BaseModel):
    """All or part of a hold, booked on another account; `final` releases the rest. The entry's id makes it once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: EntryIdIn
    to_account_id: AccountIdIn
    amount_minor: MinorUnits
    final: bool = True


class NewDeadline(BaseModel):
    """Until when a hold reserves its amount."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expires_at: Instant


class HoldBody(BaseModel):
    """A hold and what became of it: captured + released + remaining = amount, unless it was refused."""

    id: HoldId
    account_id: AccountId | None
    payment_id: PaymentId | None
    merchant_id: MerchantId | None
    mode: Mode
    currency: str
    status: str
    amount_minor: Balance
    captured_minor: Balance
    released_minor: Balance
    remaining_minor: Balance
    refusal_code: str | None
    placed_at: datetime
    expires_at: datetime | None
    closed_at: datetime | None

    @classmethod
    def of(cls, hold: Hold) -> "HoldBody":
        """Return the body of a hold."""
        return cls.model_construct(
            id=hold.id,
            account_id=hold.account_id,
            payment_id=hold.payment_id,
            merchant_id=hold.merchant_id,
            mode=hold.mode,
            currency=hold.currency,
            status=hold.status.value,
            amount_minor=hold.amount_minor,
            captured_minor=hold.captured_minor,
            released_minor=hold.released_minor,
            remaining_minor=hold.remaining_minor,
            refusal_code=hold.refusal_code,
            placed_at=hold.placed_at,
            expires_at=hold.expires_at,
            closed_at=hold.closed_at,
        )
