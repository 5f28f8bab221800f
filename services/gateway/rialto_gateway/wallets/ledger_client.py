"""The ledger's HTTP API as the gateway calls it: short-lived service tokens, and its problems passed on."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from rialto_common import ids
from rialto_common.errors import IdempotencyKeyReused, InvalidRequest, ServiceUnavailable
from rialto_common.runtime import Runtime
from rialto_common.service_tokens import Caller, ServiceTokens
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

    def __init__(self, http: httpx.AsyncClient, tokens: ServiceTokens, runtime: Runtime) -> None:
        """`http` has the ledger's base URL."""
        self._http = http
        self._tokens = tokens
        self._runtime = runtime

    async def open_account(self, wallet: Wallet) -> Balances:
        """Open a wallet's account."""
        body = {
            "id": ids.to_text("wal", wallet.wallet_id),
            "currency": wallet.currency,
            "merchant_id": None if wallet.merchant_id is None else ids.to_text("mer", wallet.merchant_id),
            "mode": wallet.mode,
        }
        return _balances(await self._call("POST", "/v1/accounts", wallet, body))

    async def top_up(self, wallet: Wallet, entry_id: UUID, amount_minor: int) -> None:
        """Put test money into a wallet."""
        body = {
            "id": ids.to_text("je", entry_id),
            "kind": "top_up",
            "wallet_id": ids.to_text("wal", wallet.wallet_id),
            "amount_minor": str(amount_minor),
            "currency": wallet.currency,
        }
        await self._call("POST", "/v1/journal_entries", wallet, body)

    async def balances(self, wallet: Wallet) -> Balances:
        """Return what is in a wallet."""
        return _balances(await self._call("GET", f"/v1/accounts/{ids.to_text('wal', wallet.wallet_id)}", wallet))

    async def _call(self, method: str, path: str, wallet: Wallet, body: dict[str, Any] | None = None) -> dict[str, Any]:
        caller = Caller("gateway", wallet.merchant_id, wallet.mode)
        headers = {"Authorization": f"Bearer {self._tokens.issue(caller, audience='ledger')}"}
        if method != "GET":
            self._runtime.crash_point("gateway.ledger_call.before_send")
        try:
            response = await self._http.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            # Perhaps it was done, perhaps not: the same request, by the same id, finds out or does it.
            raise ServiceUnavailable("the ledger does not answer just now; send the same request again") from error
        if method != "GET":
            self._runtime.crash_point("gateway.ledger_call.after_send")
        if response.is_success:
            answer: dict[str, Any] = response.json()
            return answer
        raise _refusal(response)


def _refusal(response: httpx.Response) -> Exception:
    if response.status_code >= 500 or response.status_code == 401:
        return ServiceUnavailable("the ledger cannot answer just now; send the same request again")
    problem = response.json()
    detail = str(problem.get("detail", "the ledger refused"))
    if response.status_code == 422:
        return IdempotencyKeyReused(detail)
    if response.status_code == 404:
        return WalletNotFound(detail)
    return TopUpRefused(detail)


def _balances(answer: dict[str, Any]) -> Balances:
    return Balances(int(answer["ledger_balance_minor"]), int(answer["available_balance_minor"]))
