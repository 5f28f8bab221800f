"""The gateway on a real PostgreSQL, with a real ledger beside it."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from rialto_cli.testing import Database

from .merchant_server import Shop
from .platform_in_process import Merchant, Platform, started


@pytest.fixture
async def platform(database: Database) -> AsyncIterator[Platform]:
    """Gateway and ledger, in this process."""
    async with started(database.dsn) as running:
        yield running


@pytest.fixture
async def merchant(platform: Platform) -> Merchant:
    """A merchant with a funded wallet."""
    return await platform.merchant()


@pytest.fixture
async def superuser(database: Database) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection that sees and may do everything."""
    connection = await asyncpg.connect(database.superuser_dsn())
    yield connection
    await connection.close()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A merchant's server for webhooks."""
    server = Shop()
    await server.start()
    yield server
    await server.stop()
