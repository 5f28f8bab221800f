"""Transfers from one account to another, which may be in another ledger of the installation."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from rialto_common import ids
from rialto_common.errors import InvalidField, InvalidId, InvariantViolated
from rialto_common.events.common import AccountId, EntryId, MerchantId, Mode, TransferId
from rialto_common.events.envelope import MinorUnits
from rialto_common.runtime import Runtime
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.application.ports import Reader
from rialto_ledger.application.transfers import TransferReader
from rialto_ledger.domain import transfer as transfers
from rialto_ledger.domain.account import Account
from rialto_ledger.domain.errors import (
    AccountElsewhere,
    AccountNotFound,
    AccountUnlimited,
    EntryIdReused,
    TransferIdReused,
    TransferNotFound,
)
from rialto_ledger.domain.outcomes import OutcomeStatus
from rialto_ledger.domain.shards import Shards
from rialto_ledger.domain.transfer import Transfer, TransferSide, TransferState
from rialto_ledger.entrypoints.access import Posts, authenticator, mode_of, post_one, require_own
from rialto_ledger.entrypoints.bodies import AccountIdIn, Currency, Metadata, id_in, read_id


def _in_order_of_time(transfer_id: UUID) -> UUID:
    if transfer_id.version != 7:
        raise InvalidField(InvalidId("a transfer's id is a UUIDv7, as its entries' ids are derived from it"))
    return transfer_id


TransferIdIn = Annotated[
    UUID,
    id_in("trf"),
    AfterValidator(_in_order_of_time),
    WithJsonSchema({"type": "string", "examples": ["trf_01kjmma2g0f2nt3akp5hcm2yes"]}),
]


class NewTransfer(BaseModel):
    """Money to move. The same id and content again is answered with what has become of it.

    `to_shard` is needed where the target is in another ledger and no wallet: a wallet's follows from its id, a
    merchant's accounts are in the merchant's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: TransferIdIn
    from_account_id: AccountIdIn
    to_account_id: AccountIdIn
    to_shard: Annotated[int, Field(ge=0, lt=ids.SHARDS)] | None = None
    amount_minor: MinorUnits
    currency: Currency
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _moves(self) -> "NewTransfer":
        if self.from_account_id == self.to_account_id:
            raise ValueError("money moves from one account to another")
        return self


class TransferBody(BaseModel):
    """A transfer: `sent` is in transit to another ledger; `received` and `returned` (see `refusal_code`) are final.

    The receiving ledger says `received`, or `refused` of what its sender gives back.
    """

    id: TransferId
    state: Literal["sent", "received", "returned", "refused"]
    merchant_id: MerchantId | None
    mode: Mode
    from_account_id: AccountId
    from_shard: int
    to_account_id: AccountId
    to_shard: int
    amount_minor: MinorUnits
    currency: str
    entry_id: EntryId | None
    refusal_code: str | None
    asked_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, transfer: Transfer) -> "TransferBody":
        """Return the body of a transfer; `entry_id` is this ledger's first entry of it."""
        entry_id = None
        if transfer.side is TransferSide.SENDER:
            entry_id = transfers.first_entry_id(transfer.id)
        elif transfer.state is TransferState.RECEIVED:
            entry_id = transfers.received_entry_id(transfer.id)
        return cls.model_construct(
            id=transfer.id,
            state=transfer.state.value,
            merchant_id=transfer.merchant_id,
            mode=transfer.mode,
            from_account_id=transfer.from_account_id,
            from_shard=transfer.from_shard,
            to_account_id=transfer.to_account_id,
            to_shard=transfer.to_shard,
            amount_minor=transfer.amount_minor,
            currency=transfer.currency,
            entry_id=entry_id,
            refusal_code=transfer.refusal_code,
            asked_at=transfer.asked_at,
            ended_at=transfer.ended_at,
        )


class TransferDesk:
    """Does what the routes ask, for one caller at a time."""

    def __init__(
        self, poster: Posts, reader: Reader, records: TransferReader, shards: Shards, runtime: Runtime
    ) -> None:
        self._poster = poster
        self._reader = reader
        self._records = records
        self._shards = shards
        self._runtime = runtime

    async def send(self, body: NewTransfer, caller: Caller) -> tuple[TransferBody, bool]:
        """Return the transfer and whether it is new.

        Raises: AccountNotFound, OperatorOnly: not the caller's to send from. AccountUnlimited. AccountElsewhere,
        TransferIdReused, LedgerError.
        """
        source = await self._reader.account(body.from_account_id)
        if source is None:
            keeper = self._shards.keeper_of_wallet(body.from_account_id)
            if keeper != self._shards.name:
                raise AccountElsewhere(body.from_account_id, keeper)
            raise AccountNotFound(body.from_account_id)
        require_own(caller, source)
        if caller.merchant_id is not None and source.spec.minimum_available_minor is None:
            raise AccountUnlimited(source.id)
        target = await self._reader.account(body.to_account_id)
        now, transfer = self._runtime.now(), self._transfer(body, caller, source, target)
        if self._shards.keeps(transfer.to_shard):
            if not transfers.may_be_paid(None if target is None else target.spec, caller.merchant_id):
                raise AccountNotFound(body.to_account_id)
            command = transfers.book(transfer, body.metadata, now)
        else:
            command = transfers.send(transfer, body.metadata, now)
        try:
            answer = await post_one(self._poster, command)
        except EntryIdReused as error:
            # Or the map of shards has changed since, so that the same transfer is other entries now.
            known = await self._asked_before(body, caller)
            if known is None:
                raise TransferIdReused(body.id) from error
            return TransferBody.of(known), False
        found = await self._records.transfer(body.id)
        if found is None:
            raise InvariantViolated(f"transfer {body.id} was posted, and is not on record")
        return TransferBody.of(found), answer.outcome.status is OutcomeStatus.APPLIED

    async def transfer(self, transfer_id: UUID, caller: Caller) -> TransferBody:
        """Return a transfer that the caller may see. Raises: TransferNotFound."""
        found = await self._records.transfer(transfer_id)
        if found is None or found.mode != caller.mode or caller.merchant_id not in (None, found.merchant_id):
            raise TransferNotFound(transfer_id)
        return TransferBody.of(found)

    async def _asked_before(self, body: NewTransfer, caller: Caller) -> Transfer | None:
        """Return the transfer of this id if it says the same as the body, whichever ledger kept its target then."""
        known = await self._records.transfer(body.id)
        entry = await self._reader.entry(transfers.first_entry_id(body.id))
        if known is None or entry is None or known.side is not TransferSide.SENDER:
            return None
        asked = (caller.merchant_id, mode_of(caller), body.from_account_id, body.to_account_id)
        said = (known.merchant_id, known.mode, known.from_account_id, known.to_account_id)
        same_amount = (body.amount_minor, body.currency) == (known.amount_minor, known.currency)
        same_shard = body.to_shard in (None, known.to_shard)
        same_metadata = body.metadata == transfers.metadata_of(entry)
        return known if asked == said and same_amount and same_shard and same_metadata else None

    def _transfer(self, body: NewTransfer, caller: Caller, source: Account, target: Account | None) -> Transfer:
        return Transfer(
            id=body.id,
            side=TransferSide.SENDER,
            merchant_id=caller.merchant_id,
            mode=mode_of(caller),
            from_account_id=body.from_account_id,
            from_shard=self._shards.reached_by(source.spec.shard),
            to_account_id=body.to_account_id,
            to_shard=self._to_shard(body, target),
            amount_minor=body.amount_minor,
            currency=body.currency,
            state=TransferState.SENT,
            asked_at=self._runtime.now(),
        )

    def _to_shard(self, body: NewTransfer, target: Account | None) -> int:
        if body.to_shard is not None:
            return body.to_shard
        if target is None:
            return ids.shard_of(body.to_account_id)
        kept = self._shards.keeper_of(target.spec) == self._shards.name
        return self._shards.reached_by(target.spec.shard) if kept else target.spec.shard


def router(desk: TransferDesk, tokens: ServiceTokens) -> APIRouter:
    """Return the routes of transfers."""
    routes = APIRouter(prefix="/v1/transfers", tags=["transfers"])
    Authenticated = Annotated[Caller, Depends(authenticator(tokens))]

    @routes.post("", status_code=201, responses={200: {"model": TransferBody}})
    async def send_transfer(body: NewTransfer, caller: Authenticated, response: Response) -> TransferBody:
        """Move money from an account of this ledger; 201 when posted now, 200 when it was asked for before."""
        transfer, is_new = await desk.send(body, caller)
        response.status_code = 201 if is_new else 200
        return transfer

    @routes.get("/{transfer_id}")
    async def get_transfer(transfer_id: str, caller: Authenticated) -> TransferBody:
        """Say where a transfer is: sent, received or returned."""
        return await desk.transfer(read_id(transfer_id, "trf"), caller)

    return routes
