"""Wallets' accounts in the ledger: opened, topped up, read."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from rialto_common import ids
from rialto_common.errors import IdempotencyKeyReused, InvalidRequest, PaymentError
from rialto_gateway.ledger_calls import LedgerCalls, LedgerProblem
from rialto_gateway.payments.errors import WalletNotFound
from rialto_gateway.wallets.directory import Wallet


class TopUpRefused(InvalidRequest):
    """The ledger would not book it."""

    code = "top_up_refused"


@dataclass(frozen=True, slots=True)
class Balances:
    """A wallet's money: what is booked, and what of it may be spent."""

    ledger_balance_minor: int
    available_balance_minor: int


class LedgerClient:
    """Opens wallets' accounts, books top-ups, reads balances. Every call is idempotent by the id it carries."""

    def __init__(self, ledger: LedgerCalls) -> None:
        self._ledger = ledger

    async def open_account(self, wallet: Wallet) -> Balances:
        """Open a wallet's account."""
        body = {
            "id": ids.to_text("wal", wallet.wallet_id),
            "currency": wallet.currency,
            "merchant_id": None if wallet.merchant_id is None else ids.to_text("mer", wallet.merchant_id),
            "mode": wallet.mode,
        }
        return _balances(await self._post("/v1/accounts", wallet, body))

    async def top_up(self, wallet: Wallet, entry_id: UUID, amount_minor: int) -> None:
        """Put test money into a wallet."""
        body = {
            "id": ids.to_text("je", entry_id),
            "kind": "top_up",
            "wallet_id": ids.to_text("wal", wallet.wallet_id),
            "amount_minor": str(amount_minor),
            "currency": wallet.currency,
        }
        await self._post("/v1/journal_entries", wallet, body)

    async def balances(self, wallet: Wallet) -> Balances:
        """Return what is in a wallet."""
        path = f"/v1/accounts/{ids.to_text('wal', wallet.wallet_id)}"
        try:
            return _balances(await self._ledger.get(path, wallet.merchant_id, wallet.mode))
        except LedgerProblem as problem:
            raise _refusal(problem) from problem

    async def _post(self, path: str, wallet: Wallet, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._ledger.post(path, wallet.merchant_id, wallet.mode, body)
        except LedgerProblem as problem:
            raise _refusal(problem) from problem


def _refusal(problem: LedgerProblem) -> PaymentError:
    if problem.status == 422:
        return IdempotencyKeyReused(problem.detail)
    if problem.status == 404:
        return WalletNotFound(problem.detail)
    return TopUpRefused(problem.detail)


def _balances(answer: dict[str, Any]) -> Balances:
    return Balances(int(answer["ledger_balance_minor"]), int(answer["available_balance_minor"]))
