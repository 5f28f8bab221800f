"""Whose wallet is whose. A wallet's owner, mode and currency never change, so what was found once may be remembered."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from rialto_common import ids
from rialto_common.database import Pool, load_queries
from rialto_gateway.merchants.keys import Mode, Principal
from rialto_gateway.payments.errors import WalletNotFound

QUERIES = load_queries(__package__)
_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Wallet:
    """`merchant_id` is None for a wallet of the platform."""

    wallet_id: UUID
    merchant_id: UUID | None
    mode: Mode
    currency: str


class Wallets(Protocol):
    """The wallets' table."""

    async def get(self, wallet_id: UUID) -> Wallet | None:
        """Return a wallet, or None."""
        ...


class PostgresWallets:
    """The table in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, wallet_id: UUID) -> Wallet | None:
        """Return a wallet, or None."""
        row = await self._pool.fetchrow(QUERIES["get"], wallet_id)
        return None if row is None else Wallet(row["wallet_id"], row["merchant_id"], row["mode"], row["currency"])


class WalletDirectory:
    """Looks wallets up."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets
        self._known: OrderedDict[UUID, Wallet] = OrderedDict()

    async def find(self, wallet_id: UUID) -> Wallet | None:
        """Return a wallet, whoever owns it."""
        wallet = self._known.get(wallet_id)
        if wallet is not None:
            return wallet
        wallet = await self._wallets.get(wallet_id)
        if wallet is None:
            return None
        self._known[wallet_id] = wallet
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return wallet

    async def chargeable(self, principal: Principal, wallet_id: UUID) -> Wallet:
        """Return a wallet that this merchant may charge: its own, or in test mode one of the platform's.

        Raises: WalletNotFound.
        """
        wallet = await self.find(wallet_id)
        if wallet is not None and wallet.mode == principal.mode:
            own = wallet.merchant_id == principal.merchant_id
            if own or (wallet.merchant_id is None and wallet.mode == "test"):
                return wallet
        raise _not_found(wallet_id)

    async def readable(self, principal: Principal, wallet_id: UUID) -> Wallet:
        """Return a wallet whose balance this caller may see: its own, and the operator any.

        Raises: WalletNotFound.
        """
        wallet = await self.find(wallet_id)
        if wallet is not None:
            if principal.is_operator:
                return wallet
            if wallet.merchant_id == principal.merchant_id and wallet.mode == principal.mode:
                return wallet
        raise _not_found(wallet_id)


def _not_found(wallet_id: UUID) -> WalletNotFound:
    return WalletNotFound(f"there is no wallet {ids.to_text('wal', wallet_id)} for this key", param="wallet_id")
