"""What the API takes and gives. Amounts are strings of minor units; ids are text such as `wal_…`, or a plain UUID."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from rialto_common import ids
from rialto_common.errors import InvalidField, InvalidId
from rialto_common.events.common import MerchantId, Mode
from rialto_common.events.envelope import MinorUnits, TextId
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.balance import available_balance, ledger_balance
from rialto_ledger.domain.journal import JournalEntry


def read_id(text: str, *prefixes: str) -> UUID:
    """Read an id in its text form with one of these prefixes, or as a plain UUID.

    Raises: InvalidId.
    """
    try:
        return UUID(text)
    except ValueError:
        prefix = text.partition("_")[0]
        return ids.from_text(prefix if prefix in prefixes else prefixes[0], text)


def _read_wallet_id(value: object) -> UUID:
    try:
        return read_id(str(value), "wal")
    except InvalidId as error:
        raise InvalidField(error) from error


def _read_entry_id(value: object) -> UUID:
    try:
        entry_id = read_id(str(value), "je")
    except InvalidId as error:
        raise InvalidField(error) from error
    if entry_id.version != 7:
        raise InvalidField(InvalidId("an entry's id is a UUIDv7, so that the journal stays in the order of time"))
    return entry_id


def _signed(value: int) -> str:
    return str(value)


WalletIdIn = Annotated[
    UUID,
    BeforeValidator(_read_wallet_id),
    WithJsonSchema({"type": "string", "examples": ["wal_01kjmma2g0f2nt3akp5hcm2yes"]}),
]
EntryIdIn = Annotated[
    UUID,
    BeforeValidator(_read_entry_id),
    WithJsonSchema({"type": "string", "examples": ["je_01kjmma2g0f2nt3akp5hcm2yes"]}),
]
AccountId = Annotated[UUID, TextId("acc")]
EntryId = Annotated[UUID, TextId("je")]
PaymentId = Annotated[UUID, TextId("pay")]
Balance = Annotated[
    int, PlainSerializer(_signed, return_type=str), WithJsonSchema({"type": "string", "pattern": "^-?[0-9]{1,38}$"})
]
"""Minor units that may be negative or zero: a string in JSON."""
Currency = Annotated[str, Field(min_length=3, max_length=12, examples=["USD"])]


class NewAccount(BaseModel):
    """A wallet to open. The merchant is the token's; the operator may name one, or none: then it is the platform's, and
    any merchant of the mode may charge it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: WalletIdIn
    currency: Currency
    merchant_id: MerchantId | None = None
    mode: Mode | None = None


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
    minimum_available_minor: Balance | None
    ledger_balance_minor: Balance
    available_balance_minor: Balance
    held_minor: Balance
    debits_minor: Balance
    credits_minor: Balance
    version: int

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
            minimum_available_minor=spec.minimum_available_minor,
            ledger_balance_minor=ledger_balance(account),
            available_balance_minor=available_balance(account),
            held_minor=account.held_minor,
            debits_minor=account.debits_minor,
            credits_minor=account.credits_minor,
            version=account.version,
        )


class AccountsBody(BaseModel):
    """Accounts of one code, one a currency."""

    data: list[AccountBody]


class NewEntry(BaseModel):
    """A top-up of a wallet, in test mode only. The same id and content again is answered as the first time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: EntryIdIn
    kind: Literal["top_up"]
    wallet_id: WalletIdIn
    amount_minor: MinorUnits
    currency: Currency
    metadata: Annotated[
        dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=500)]], Field(max_length=20)
    ] = Field(default_factory=dict)


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
