"""Wallets, transfers, FX quotes and balance transactions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from rialto._call import Call, ListCall, fields, path, query
from rialto.models import BalanceTransaction, FxQuote, TopUp, Transfer, Wallet


def create_wallet(
    *, currency: str, metadata: Mapping[str, str] | None = None, idempotency_key: str | None = None
) -> Call[Wallet]:
    """Open a wallet."""
    body = fields(currency=currency, metadata=metadata)
    return Call("POST", path("wallets"), Wallet.model_validate, body, idempotency_key=idempotency_key)


def retrieve_wallet(wallet_id: str) -> Call[Wallet]:
    """Return a wallet and what is in it."""
    return Call("GET", path("wallets", wallet_id), Wallet.model_validate)


def top_up(wallet_id: str, *, amount_minor: int, idempotency_key: str | None = None) -> Call[TopUp]:
    """Put test money into a wallet; test mode only."""
    body = fields(amount_minor=amount_minor)
    where = path("wallets", wallet_id, "top_ups")
    return Call("POST", where, TopUp.model_validate, body, idempotency_key=idempotency_key)


def create_transfer(
    *,
    from_wallet_id: str,
    to_wallet_id: str,
    amount_minor: int,
    metadata: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
) -> Call[Transfer]:
    """Move money from a wallet of yours to another of the same currency."""
    body = fields(
        from_wallet_id=from_wallet_id, to_wallet_id=to_wallet_id, amount_minor=amount_minor, metadata=metadata
    )
    return Call("POST", path("transfers"), Transfer.model_validate, body, idempotency_key=idempotency_key)


def retrieve_transfer(transfer_id: str) -> Call[Transfer]:
    """Say where a transfer is."""
    return Call("GET", path("transfers", transfer_id), Transfer.model_validate)


def create_quote(
    *, sell_currency: str, sell_amount_minor: int, buy_currency: str, idempotency_key: str | None = None
) -> Call[FxQuote]:
    """Return a price and hold it until `expires_at`; it moves nothing."""
    body = fields(sell_currency=sell_currency, sell_amount_minor=sell_amount_minor, buy_currency=buy_currency)
    return Call("POST", path("fx_quotes"), FxQuote.model_validate, body, idempotency_key=idempotency_key)


def retrieve_quote(quote_id: str) -> Call[FxQuote]:
    """Return a quote; `used_by` is the entry that used it."""
    return Call("GET", path("fx_quotes", quote_id), FxQuote.model_validate)


def convert(quote_id: str, *, from_wallet_id: str, to_wallet_id: str) -> Call[FxQuote]:
    """Convert at a quote, which is used once."""
    body = fields(from_wallet_id=from_wallet_id, to_wallet_id=to_wallet_id)
    return Call("POST", path("fx_quotes", quote_id, "convert"), FxQuote.model_validate, body)


def list_balance_transactions(
    *,
    currency: str,
    balance: Literal["payable", "reserve"] | None = None,
    created_from: datetime | None = None,
    created_to: datetime | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> ListCall[BalanceTransaction]:
    """List what changed what is owed to you, oldest first, each line with the balance after it; up to a minute ago.

    `balance`: of what is owed (`payable`), or of what is set aside for disputes (`reserve`).
    """
    asked = query(
        currency=currency, balance=balance, created_from=created_from, created_to=created_to, limit=limit, cursor=cursor
    )
    first_only = frozenset({"created_from", "created_to"})
    return ListCall(path("balance_transactions"), BalanceTransaction.model_validate, asked, first_only)
