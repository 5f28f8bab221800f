"""Field types that several event payloads share."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from rialto_common.events.envelope import TextId

PaymentId = Annotated[UUID, TextId("pay")]
MerchantId = Annotated[UUID, TextId("mer")]
WalletId = Annotated[UUID, TextId("wal")]
CaptureId = Annotated[UUID, TextId("cap")]
IncrementId = Annotated[UUID, TextId("inc")]
RefundId = Annotated[UUID, TextId("re")]
DisputeId = Annotated[UUID, TextId("dp")]
PayoutId = Annotated[UUID, TextId("po")]
AttemptId = Annotated[UUID, TextId("att")]
HoldId = Annotated[UUID, TextId("hold")]
EntryId = Annotated[UUID, TextId("je")]
SettlementId = Annotated[UUID, TextId("set")]
SettlementFileId = Annotated[UUID, TextId("stf")]
BatchId = Annotated[UUID, TextId("bat")]
DepositId = Annotated[UUID, TextId("dep")]
TransferId = Annotated[UUID, TextId("trf")]
AccountId = Annotated[UUID, TextId("acc")]
PartyId = Annotated[UUID, TextId("pty")]
KeyId = Annotated[UUID, TextId("key")]

Mode = Literal["test", "live"]

PAYMENTS = "rialto.payments.v1"
FRAUD = "rialto.fraud.v1"
COMPLIANCE = "rialto.compliance.v1"
LEDGER = "rialto.ledger.v1"
SETTLEMENTS = "rialto.settlements.v1"
TOPICS = (PAYMENTS, FRAUD, COMPLIANCE, LEDGER, SETTLEMENTS)


class Sealed(BaseModel):
    """Personal data, encrypted under the person's own key: the only form in which it travels or rests."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    party_id: PartyId
    key_id: KeyId
    ciphertext: str
