"""Reading a merchant's balance: the ledger says how much there is, the payments what of it is on its way."""

from uuid import UUID

from rialto_common.database import Pool, load_queries
from rialto_common.runtime import Runtime
from rialto_gateway.balance.balance import Balance, balances
from rialto_gateway.funds.ledger import LedgerFunds
from rialto_gateway.merchants.keys import Mode
from rialto_gateway.payouts.store import PostgresPayoutReader, held

QUERIES = load_queries(__package__)


class Balances:
    """Reads balances. The two sides are read a moment apart."""

    def __init__(self, pool: Pool, funds: LedgerFunds, runtime: Runtime) -> None:
        self._pool = pool
        self._funds = funds
        self._runtime = runtime

    async def of(self, merchant_id: UUID, mode: Mode) -> list[Balance]:
        """Return a merchant's balances, one a currency. Raises: ServiceUnavailable: the ledger does not answer."""
        # On its way first: what the ledger pays between the two looks is then missing from `available`, not doubled.
        rows = await self._pool.fetch(QUERIES["pending"], merchant_id, mode)
        settings = await PostgresPayoutReader(self._pool).settings(merchant_id, mode)
        payable = await self._funds.merchant_accounts(merchant_id, mode, "payable")
        reserve = await self._funds.merchant_accounts(merchant_id, mode, "reserve")
        return balances(
            {each["currency"]: int(each["ledger_balance_minor"]) for each in payable},
            {each["currency"]: int(each["ledger_balance_minor"]) for each in reserve},
            {row["currency"]: int(row["amount_minor"]) for row in rows},
            {} if settings is None else await held(self._pool, settings, self._runtime.now()),
        )
