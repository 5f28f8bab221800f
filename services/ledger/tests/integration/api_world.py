"""The ledger's API without its port, on a real PostgreSQL, and the bodies that tests send."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.runtime import SystemRuntime
from rialto_common.service import Service
from rialto_common.service_tokens import Caller
from rialto_ledger.main import build
from rialto_ledger.settings import LedgerSettings
from rialto_ledger.testing import merchant_id, number_id, wallet

OPERATOR = Caller("gateway", None, "test")
MERCHANT = Caller("gateway", merchant_id(0), "test")
STRANGER = Caller("gateway", merchant_id(1), "test")


class World:
    """The service without its port."""

    def __init__(self, service: Service[LedgerSettings]) -> None:
        self.service = service
        self._app = service.frame()

    @asynccontextmanager
    async def client(
        self, caller: Caller | None = OPERATOR, audience: str = "ledger"
    ) -> AsyncIterator[httpx.AsyncClient]:
        """Lend a client with the caller's token."""
        headers = {}
        if caller is not None:
            headers["Authorization"] = f"Bearer {self.service.tokens.issue(caller, audience=audience)}"
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://ledger", headers=headers) as client:
            yield client


@asynccontextmanager
async def running(database: Database, **settings: Any) -> AsyncIterator[World]:
    """Run the service on a database."""
    secret = "a secret of thirty-two characters"
    configured = LedgerSettings(database_url=database.dsn("ledger"), service_token_secret=secret, **settings)
    service = Service("ledger", configured, SystemRuntime(), "api")
    await service.open()
    await build(service)
    yield World(service)
    for closer in reversed(service._closers):
        await closer()


def wallet_body(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {"id": ids.to_text("wal", wallet(number).id), "currency": "USD", **changes}


def top_up_body(entry: int = 0, number: int = 0, amount: object = "1500", **changes: Any) -> dict[str, Any]:
    return {
        "id": ids.to_text("je", number_id("top_up", entry)),
        "kind": "top_up",
        "wallet_id": ids.to_text("wal", wallet(number).id),
        "amount_minor": amount,
        "currency": "USD",
        **changes,
    }
