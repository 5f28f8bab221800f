"""What callers send about payments, and what is wrong with it when it is."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from rialto_common.errors import InvalidField, InvalidRequest, UnknownCurrency
from rialto_common.events.common import WalletId
from rialto_common.events.envelope import MinorUnits, TextId
from rialto_common.money import currency_exponent
from rialto_gateway.requests import Body

Text = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line of text: PostgreSQL cannot keep NUL, and no field here has use for control characters."""

MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")]
MetadataValue = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=50)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class Person(Body):
    """A payer or payee. Sealed under the person's own key before it is kept or sent anywhere."""

    name: Annotated[Text, Field(max_length=140, description="full name; at most 140 characters, as in ISO 20022")]
    country: Annotated[Country | None, Field(description="ISO 3166-1 alpha-2")] = None
    email: Text | None = None
    phone: Annotated[Text | None, Field(max_length=35)] = None
    date_of_birth: Annotated[str | None, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")] = None
    address_line: Text | None = None
    city: Annotated[Text | None, Field(max_length=70)] = None
    postal_code: Annotated[Text | None, Field(max_length=16)] = None


CardToken = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=r"^tok_[A-Za-z0-9_-]+$"),
    Field(description="the acquirer's token for the card, `tok_…`", repr=False),
]
ReturnUrl = Annotated[
    str | None,
    StringConstraints(max_length=2048, pattern=r"^https://[^\s\x00-\x1f\x7f]+$"),
    Field(description="where the payer comes back to after 3-D Secure; https"),
]
Descriptor = Annotated[
    str | None,
    StringConstraints(min_length=1, max_length=22, pattern=r"^[ -~]+$"),
    Field(description="what the payer's statement shows; at most 22 printable ASCII characters"),
]
PaymentMethodId = Annotated[UUID, TextId("pm")]
MandateId = Annotated[UUID, TextId("mdt")]


class WalletPayment(Body):
    """Pay from a wallet on our ledger."""

    type: Literal["wallet"]
    wallet_id: WalletId


class CardPayment(Body):
    """Pay by card. The token is the acquirer's, made in the payer's browser: no card number ever reaches us."""

    type: Literal["card"]
    token: CardToken
    return_url: ReturnUrl = None
    descriptor: Descriptor = None


class SavedPayment(Body):
    """Pay by a card that was saved for a customer, who is the payer.

    One that the merchant begins, with nobody there, needs the mandate by which the customer agreed to it.
    """

    type: Literal["saved"]
    payment_method_id: PaymentMethodId
    initiator: Literal["customer", "merchant"] = "customer"
    mandate_id: MandateId | None = None
    return_url: ReturnUrl = None
    descriptor: Descriptor = None


PaymentMethod = Annotated[WalletPayment | CardPayment | SavedPayment, Field(discriminator="type")]


def known_currency(value: str) -> str:
    """Return the currency.

    Raises: InvalidField: not one we know.
    """
    try:
        currency_exponent(value)
    except UnknownCurrency as error:
        raise InvalidField(error) from error
    return value


def plausible(at: datetime) -> datetime:
    """Return an instant in UTC (where it says no zone, it is UTC).

    Raises: ValueError: one so far away that neither PostgreSQL nor arithmetic on it can be relied on.
    """
    if not 1970 <= at.year <= 2200:
        raise ValueError("must lie between 1970 and 2200")
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def instant(at: datetime, param: str) -> datetime:
    """Return an instant of a query in UTC.

    Raises: InvalidRequest: one that is not plausible.
    """
    try:
        return plausible(at)
    except ValueError as error:
        raise InvalidRequest(f"{param} {error}", param=param) from error


_PAYER_BY_METHOD: JsonDict = {
    "if": {"properties": {"payment_method": {"properties": {"type": {"const": "saved"}}}}},
    "then": {"properties": {"payer": {"type": "null"}}},
    "else": {"properties": {"payer": {"type": "object"}}, "required": ["payer"]},
}


class CreatePayment(Body):
    """A payment to accept."""

    model_config = ConfigDict(json_schema_extra=_PAYER_BY_METHOD)

    amount_minor: Annotated[MinorUnits, Field(description="whole minor units: '1250' is 12.50 USD")]
    currency: Annotated[str, Field(max_length=12, description="ISO 4217 code")]
    payment_method: PaymentMethod
    payer: Annotated[Person | None, Field(validate_default=True, description="left out for a saved method")] = None
    payee: Person | None = None
    capture_method: Literal["automatic", "manual"] = "automatic"
    terminal_id: Annotated[Text | None, Field(max_length=64)] = None
    description: Text | None = None
    metadata: Metadata = Field(default_factory=dict)
    occurred_at: Annotated[AwareDatetime | None, Field(description="when it happened; test mode only")] = None

    _currency = field_validator("currency")(known_currency)

    @field_validator("payer")
    @classmethod
    def _known(cls, value: Person | None, info: ValidationInfo) -> Person | None:
        method = info.data.get("payment_method")
        if value is None and isinstance(method, WalletPayment | CardPayment):
            raise PydanticCustomError("missing", "Field required")
        if value is not None and isinstance(method, SavedPayment):
            raise ValueError("the payer is the customer that the method is saved for; leave it out")
        return value

    @field_validator("occurred_at")
    @classmethod
    def _plausible_in_utc(cls, value: datetime | None) -> datetime | None:
        return None if value is None else plausible(value)


class CapturePayment(Body):
    """Capture all that is left, or a part; `final` gives the rest back."""

    amount_minor: MinorUnits | None = None
    final: bool = False


class IncrementPayment(Body):
    """Have more authorised: `amount_minor` in all, not what is to be added.

    A total cannot be applied twice: sent again under another key, it is refused as no more than is authorised already.
    """

    amount_minor: Annotated[MinorUnits, Field(description="the new total, above what is authorised")]


class VoidPayment(Body):
    """Nothing to say: what is not captured is given back."""


class ReviewPayment(Body):
    """The operator's decision on a payment in review."""

    decision: Literal["approve", "decline"]
