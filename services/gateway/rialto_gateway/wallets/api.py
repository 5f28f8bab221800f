"""`/v1/wallets`: accounts on our ledger that payments are charged to."""

from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, field_validator

from rialto_common import ids
from rialto_common.database import Connection
from rialto_common.errors import Forbidden
from rialto_common.events.envelope import MinorUnits
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_gateway.answers import json_answer, replay_header
from rialto_gateway.idempotency import IdempotentRequests, required_key
from rialto_gateway.merchants.keys import ApiKeys, Mode, Principal
from rialto_gateway.payments.bodies import Metadata, known_currency
from rialto_gateway.payments.view import time_text
from rialto_gateway.requests import Body, caller_of
from rialto_gateway.wallets.directory import QUERIES, Wallet, WalletDirectory
from rialto_gateway.wallets.ledger_client import Balances, LedgerClient


class CreateWallet(Body):
    """A wallet to open. With a merchant's key it is that merchant's; with the admin key it is the platform's."""

    currency: Annotated[str, Field(max_length=12, description="ISO 4217 code", examples=["USD"])]
    metadata: Metadata = Field(default_factory=dict)
    mode: Literal["test", "live"] | None = None

    _currency = field_validator("currency")(known_currency)


class TopUp(Body):
    """Test money to put into a wallet."""

    amount_minor: Annotated[MinorUnits, Field(examples=["100000"])]


def wallet_router(
    *,
    directory: WalletDirectory,
    ledger: LedgerClient,
    once: IdempotentRequests,
    keys: ApiKeys,
    runtime: Runtime,
) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/wallets", tags=["wallets"])
    Caller = Annotated[Principal, Depends(caller_of(keys))]

    @router.post("", status_code=201, openapi_extra=documented_body(CreateWallet, {"currency": "USD"}))
    async def create_wallet(request: Request, caller: Caller) -> Response:
        """Open a wallet. A retry with the same Idempotency-Key opens no second one."""
        body = read_body(CreateWallet, await request.body())
        mode: Mode = caller.mode or body.mode or "test"
        if body.mode not in (None, mode):
            raise Forbidden(f"this is a {mode}-mode key; it cannot open a {body.mode} wallet")
        created_at = runtime.now()

        async def work(connection: Connection, wallet_id: UUID) -> dict[str, Any]:
            await connection.execute(
                QUERIES["add"],
                wallet_id,
                caller.merchant_id,
                mode,
                body.currency,
                orjson.dumps(body.metadata).decode(),
                created_at,
            )
            return {
                "id": ids.to_text("wal", wallet_id),
                "object": "wallet",
                "merchant_id": None if caller.merchant_id is None else ids.to_text("mer", caller.merchant_id),
                "mode": mode,
                "currency": body.currency,
                "metadata": body.metadata,
                "created_at": time_text(created_at),
            }

        key = required_key(request.headers.get("idempotency-key"))
        request_hash = keys.request_hash(body.model_dump_json().encode())
        answer, replayed = await once.once(caller, "wallets", key, request_hash, work)
        # After the commit, and again at every retry: the ledger opens an account once, by the wallet's id.
        wallet = Wallet(ids.from_text("wal", answer["id"]), caller.merchant_id, mode, body.currency)
        balances = await ledger.open_account(wallet)
        return json_answer(answer | _money(balances), 201, replay_header(replayed))

    @router.get("/{wallet_id}")
    async def get_wallet(wallet_id: str, caller: Caller) -> Response:
        """Return a wallet and what is in it."""
        wallet = await directory.readable(caller, ids.from_text("wal", wallet_id))
        return json_answer(
            {
                "id": wallet_id,
                "object": "wallet",
                "merchant_id": None if wallet.merchant_id is None else ids.to_text("mer", wallet.merchant_id),
                "mode": wallet.mode,
                "currency": wallet.currency,
                **_money(await ledger.balances(wallet)),
            }
        )

    @router.post(
        "/{wallet_id}/top_ups", status_code=201, openapi_extra=documented_body(TopUp, {"amount_minor": "100000"})
    )
    async def top_up(wallet_id: str, request: Request, caller: Caller) -> Response:
        """Put test money into a wallet; needs an Idempotency-Key, as money moves."""
        body = read_body(TopUp, await request.body())
        wallet = await directory.readable(caller, ids.from_text("wal", wallet_id))
        if wallet.mode != "test":
            raise Forbidden("only test-mode wallets can be topped up here")
        key = required_key(request.headers.get("idempotency-key"))
        # The entry's id is derived from wallet and key, so a retry finds the entry it made before.
        entry_id = ids.derive(wallet.wallet_id, f"top_up/{key}")

        async def work() -> dict[str, Any]:
            await ledger.top_up(wallet, entry_id, body.amount_minor)
            return {
                "id": ids.to_text("je", entry_id),
                "object": "top_up",
                "wallet_id": wallet_id,
                "amount_minor": str(body.amount_minor),
                "currency": wallet.currency,
            }

        request_hash = keys.request_hash(body.model_dump_json().encode())
        return await once.first_answer(caller, f"top_ups/{wallet_id}", key, request_hash, work, status=201)

    return router


def _money(balances: Balances) -> dict[str, str]:
    return {
        "ledger_balance_minor": str(balances.ledger_balance_minor),
        "available_balance_minor": str(balances.available_balance_minor),
    }
