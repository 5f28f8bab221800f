"""`/v1/transfers`, `/v1/fx_quotes` and `/v1/balance_transactions`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, field_validator, model_validator

from rialto_common import ids
from rialto_common.database import Connection
from rialto_common.errors import CursorInvalid, UnknownCurrency
from rialto_common.events.common import WalletId
from rialto_common.events.envelope import MinorUnits
from rialto_common.money import currency_exponent
from rialto_common.request_bodies import documented_body, read_body
from rialto_gateway.balance.transactions import Part, kind_of
from rialto_gateway.funds.errors import CurrencyMismatch
from rialto_gateway.funds.ledger import Answer, LedgerFunds
from rialto_gateway.idempotency import IdempotentRequests, required_key
from rialto_gateway.merchants.keys import ApiKeys, Principal
from rialto_gateway.payments.api import json_answer, replay_header
from rialto_gateway.payments.bodies import Metadata, instant, known_currency
from rialto_gateway.requests import Body, caller_of
from rialto_gateway.wallets.directory import WalletDirectory

Currency = Annotated[str, Field(max_length=12, description="ISO 4217 code", examples=["USD"])]

TRANSFER_EXAMPLE = {
    "from_wallet_id": "wal_01kb6w1m8xf0gbb7n5d8jq2c4r",
    "to_wallet_id": "wal_01kb6w1m8xe1r9v2t6k3h8d5ma",
    "amount_minor": "1250",
    "metadata": {"order": "1001"},
}
QUOTE_EXAMPLE = {"sell_currency": "USD", "sell_amount_minor": "100000", "buy_currency": "EUR"}
CONVERSION_EXAMPLE = {key: TRANSFER_EXAMPLE[key] for key in ("from_wallet_id", "to_wallet_id")}


class Wallets(Body):
    """Two wallets between which money moves."""

    from_wallet_id: WalletId
    to_wallet_id: WalletId

    @model_validator(mode="after")
    def _moves(self) -> "Wallets":
        if self.from_wallet_id == self.to_wallet_id:
            raise ValueError("money moves from one wallet to another")
        return self


class CreateTransfer(Wallets):
    """Money to move between two wallets of one currency: from one of the merchant's own."""

    amount_minor: MinorUnits
    metadata: Metadata = Field(default_factory=dict)


class CreateFxQuote(Body):
    """An amount to sell, and the currency to buy."""

    sell_currency: Currency
    sell_amount_minor: MinorUnits
    buy_currency: Currency

    _currencies = field_validator("sell_currency", "buy_currency")(known_currency)


class Convert(Wallets):
    """The use of a quote: from a wallet in the currency that is sold to one in the currency that is bought."""


def funds_router(*, funds: LedgerFunds, wallets: WalletDirectory, once: IdempotentRequests, keys: ApiKeys) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1")
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    @router.post(
        "/transfers",
        status_code=201,
        tags=["transfers"],
        openapi_extra=documented_body(CreateTransfer, TRANSFER_EXAMPLE),
    )
    async def create_transfer(request: Request, caller: Caller) -> Response:
        """Move money between wallets; needs an Idempotency-Key, as money moves.

        `state` is `received`, or `sent` while it is on its way to another ledger: look again, or read it later.
        """
        caller.merchant()
        body = read_body(CreateTransfer, await request.body())
        source = await wallets.readable(caller, body.from_wallet_id)
        target = await wallets.chargeable(caller, body.to_wallet_id)
        if source.currency != target.currency:
            raise CurrencyMismatch(
                f"the wallets are in {source.currency} and {target.currency}; convert at a quote instead",
                param="to_wallet_id",
            )
        request_hash = keys.request_hash(body.model_dump_json().encode())
        named, replayed = await once.once(
            caller, "transfers", required_key(request.headers.get("idempotency-key")), request_hash, _named("trf")
        )
        # After the commit, and again at every retry: the ledger moves it once, by the transfer's id.
        moved = await funds.transfer(
            ids.from_text("trf", named["id"]), source, target, body.amount_minor, body.metadata
        )
        return json_answer(_transfer(moved), 201, replay_header(replayed))

    @router.get("/transfers/{transfer_id}", tags=["transfers"])
    async def get_transfer(transfer_id: str, caller: Caller) -> Response:
        """Say where a transfer is: `sent`, `received`, or `returned` with a `refusal_code`."""
        merchant_id, mode, _ = caller.merchant()
        return json_answer(_transfer(await funds.transfer_now(ids.from_text("trf", transfer_id), merchant_id, mode)))

    @router.post(
        "/fx_quotes", status_code=201, tags=["fx"], openapi_extra=documented_body(CreateFxQuote, QUOTE_EXAMPLE)
    )
    async def create_quote(request: Request, caller: Caller) -> Response:
        """Return a price and hold it until `expires_at`. It moves nothing; needs an Idempotency-Key."""
        merchant_id, mode, _ = caller.merchant()
        body = read_body(CreateFxQuote, await request.body())
        key = required_key(request.headers.get("idempotency-key"))
        sell = (body.sell_amount_minor, body.sell_currency)
        quote = _quote(await funds.quote(merchant_id, mode, sell, body.buy_currency))

        async def work(_connection: Connection, _id: UUID) -> dict[str, Any]:
            return quote

        request_hash = keys.request_hash(body.model_dump_json().encode())
        answer, replayed = await once.once(caller, "fx_quotes", key, request_hash, work)
        return json_answer(answer, 201, replay_header(replayed))

    @router.get("/fx_quotes/{quote_id}", tags=["fx"])
    async def get_quote(quote_id: str, caller: Caller) -> Response:
        """Return a quote; `used_by` is the entry that used it."""
        merchant_id, mode, _ = caller.merchant()
        return json_answer(_quote(await funds.held_quote(ids.from_text("fxq", quote_id), merchant_id, mode)))

    @router.post(
        "/fx_quotes/{quote_id}/convert",
        status_code=201,
        tags=["fx"],
        openapi_extra=documented_body(Convert, CONVERSION_EXAMPLE),
    )
    async def convert(quote_id: str, request: Request, caller: Caller) -> Response:
        """Convert at a quote. A quote is used once: its conversion has one id, and a retry gets the first answer."""
        merchant_id, mode, _ = caller.merchant()
        body = read_body(Convert, await request.body())
        source = await wallets.readable(caller, body.from_wallet_id)
        target = await wallets.readable(caller, body.to_wallet_id)
        quoted = ids.from_text("fxq", quote_id)
        entry_id = ids.derive(quoted, "conversion")
        await funds.convert(quoted, entry_id, source, target)
        return json_answer(_quote(await funds.held_quote(quoted, merchant_id, mode)), 201)

    @router.get("/balance_transactions", tags=["balance"])
    async def list_balance_transactions(
        caller: Caller,
        currency: Annotated[Currency, Query()],
        balance: Annotated[
            Part, Query(description="of what is owed (available and pending), or of what is set aside (reserved)")
        ] = "payable",
        created_from: Annotated[datetime | None, Query()] = None,
        created_to: Annotated[datetime | None, Query()] = None,
        cursor: Annotated[str | None, Query(max_length=1000)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """List what has changed what is owed to the merchant, oldest first, each line with the balance after it.

        The lines of `payable` add up to what is available, pending and held back, those of `reserve` to the disputed.
        `type`: `capture`; `fee`, ours, of a capture or dispute; `refund` to a wallet; `suspended`, a refund put to an
        acquirer, and `suspended_returned`, one that it did not make; `chain_settlement`, paid to the merchant, and
        `chain_settlement_reversal`, taken back by the chain; `chargeback_opened`, disputed and set aside, then
        `chargeback_won` or `chargeback_lost`; `reversal`, undone by the operator; or what the operator named an entry
        of its own. From `created_from` up to, and without, `created_to`, which is a minute ago at the latest.
        """
        merchant_id, mode, _ = caller.merchant()
        try:
            currency_exponent(currency)
        except UnknownCurrency as error:
            raise UnknownCurrency(error.detail, param="currency") from error
        if cursor is not None and (created_from is not None or created_to is not None):
            raise CursorInvalid("the cursor carries its period: leave out `created_from` and `created_to`")
        account = await funds.merchant_account(merchant_id, mode, balance, currency)
        if account is None:
            return json_answer({"object": "list", "data": [], "has_more": False, "next_cursor": None})
        page = await funds.statement(
            account["id"],
            merchant_id,
            mode,
            since=None if created_from is None else instant(created_from, "created_from"),
            until=None if created_to is None else instant(created_to, "created_to"),
            after=cursor,
            limit=limit,
        )
        lines = [_balance_transaction(line, page, balance) for line in page["data"]]
        after = page["next_cursor"]
        return json_answer({"object": "list", "data": lines, "has_more": after is not None, "next_cursor": after})

    return router


def _named(prefix: str) -> Any:
    async def work(_connection: Connection, resource_id: UUID) -> dict[str, Any]:
        return {"id": ids.to_text(prefix, resource_id)}

    return work


def _transfer(answer: Answer) -> dict[str, Any]:
    return {
        "id": answer["id"],
        "object": "transfer",
        "state": answer["state"],
        "refusal_code": answer["refusal_code"],
        "from_wallet_id": _wallet_id(answer["from_account_id"]),
        "to_wallet_id": _wallet_id(answer["to_account_id"]),
        "amount_minor": answer["amount_minor"],
        "currency": answer["currency"],
        "created_at": answer["asked_at"],
        "ended_at": answer["ended_at"],
    }


def _wallet_id(account_id: str) -> str:
    """Return a wallet's id: that of its account in the ledger, by another name."""
    return ids.to_text("wal", ids.from_text("acc", account_id))


def _quote(answer: Answer) -> dict[str, Any]:
    kept = (
        "sell_currency",
        "sell_amount_minor",
        "buy_currency",
        "buy_amount_minor",
        "rate",
        "rate_source",
        "rate_observed_at",
        "spread_bps",
        "expires_at",
        "used_by",
    )
    return {"id": answer["id"], "object": "fx_quote", "created_at": answer["quoted_at"]} | {
        name: answer[name] for name in kept
    }


def _balance_transaction(line: Answer, page: Answer, part: Part) -> dict[str, Any]:
    added = line["side"] == page["normal_side"]
    return {
        "object": "balance_transaction",
        "type": kind_of(line["kind"], line["line"]),
        "balance": part,
        "payment_id": line["payment_id"],
        "entry_id": line["entry_id"],
        "line": line["line"],
        "amount_minor": line["amount_minor"] if added else f"-{line['amount_minor']}",
        "balance_minor": line["ledger_balance_minor"],
        "currency": page["currency"],
        "created_at": line["recorded_at"],
        "effective_at": line["effective_at"],
    }
