"""What the ledger does with a merchant's money, in its words."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common import ids
from rialto_gateway.balance.transactions import Part
from rialto_gateway.funds.errors import refusal
from rialto_gateway.ledger_calls import LedgerCalls, LedgerProblem
from rialto_gateway.merchants.keys import Mode
from rialto_gateway.wallets.directory import Wallet

Answer = dict[str, Any]


class LedgerFunds:
    """Moves, converts and explains money. What moves it is idempotent by the id it carries.

    Every method raises one of `funds.errors`, or ServiceUnavailable where the ledger does not answer.
    """

    def __init__(self, ledger: LedgerCalls) -> None:
        self._ledger = ledger

    async def transfer(
        self, transfer_id: UUID, source: Wallet, target: Wallet, amount_minor: int, metadata: dict[str, str]
    ) -> Answer:
        """Move money between wallets of one currency; return where it is."""
        body = {
            "id": ids.to_text("trf", transfer_id),
            "from_account_id": ids.to_text("wal", source.wallet_id),
            "to_account_id": ids.to_text("wal", target.wallet_id),
            "amount_minor": str(amount_minor),
            "currency": source.currency,
            "metadata": metadata,
        }
        return await _refused(self._ledger.post("/v1/transfers", source.merchant_id, source.mode, body))

    async def transfer_now(self, transfer_id: UUID, merchant_id: UUID, mode: Mode) -> Answer:
        """Return where a transfer is."""
        return await _refused(self._ledger.get(f"/v1/transfers/{ids.to_text('trf', transfer_id)}", merchant_id, mode))

    async def quote(self, merchant_id: UUID, mode: Mode, sell: tuple[int, str], buy_currency: str) -> Answer:
        """Return a price for an amount and its currency, held for a while."""
        amount_minor, currency = sell
        body = {"sell_currency": currency, "sell_amount_minor": str(amount_minor), "buy_currency": buy_currency}
        return await _refused(self._ledger.post("/v1/fx/quotes", merchant_id, mode, body))

    async def held_quote(self, quote_id: UUID, merchant_id: UUID, mode: Mode) -> Answer:
        """Return a quote, and the entry that used it."""
        return await _refused(self._ledger.get(f"/v1/fx/quotes/{ids.to_text('fxq', quote_id)}", merchant_id, mode))

    async def convert(self, quote_id: UUID, entry_id: UUID, source: Wallet, target: Wallet) -> Answer:
        """Use a quote, once."""
        body = {
            "id": ids.to_text("je", entry_id),
            "from_account": ids.to_text("wal", source.wallet_id),
            "to_account": ids.to_text("wal", target.wallet_id),
        }
        path = f"/v1/fx/quotes/{ids.to_text('fxq', quote_id)}/conversions"
        return await _refused(self._ledger.post(path, source.merchant_id, source.mode, body))

    async def merchant_accounts(self, merchant_id: UUID, mode: Mode, part: Part) -> list[Answer]:
        """Return a merchant's accounts of what it is owed or of what is set aside, one a currency."""
        code = f"merchant:{ids.to_text('mer', merchant_id)}:{part}"
        found = await _refused(self._ledger.get("/v1/accounts", merchant_id, mode, {"code": code}))
        accounts: list[Answer] = found["data"]
        return accounts

    async def merchant_account(self, merchant_id: UUID, mode: Mode, part: Part, currency: str) -> Answer | None:
        """Return one of them; None where nothing was ever booked on it."""
        accounts = await self.merchant_accounts(merchant_id, mode, part)
        return next((account for account in accounts if account["currency"] == currency), None)

    async def statement(
        self,
        account_id: str,
        merchant_id: UUID,
        mode: Mode,
        *,
        since: datetime | None,
        until: datetime | None,
        after: str | None,
        limit: int,
    ) -> Answer:
        """Return a page of an account's statement; `after` carries its period."""
        query = {"limit": str(limit)}
        if since is not None:
            query["from"] = since.isoformat()
        if until is not None:
            query["to"] = until.isoformat()
        if after is not None:
            query["after"] = after
        return await _refused(self._ledger.get(f"/v1/accounts/{account_id}/statement", merchant_id, mode, query))


async def _refused(call: Awaitable[Answer]) -> Answer:
    try:
        return await call
    except LedgerProblem as problem:
        raise refusal(problem) from problem
