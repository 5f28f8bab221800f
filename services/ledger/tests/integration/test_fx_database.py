"""What the database refuses by itself of rates, quotes and their uses."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from rialto_cli.testing import Database
from rialto_common.database import Pool
from rialto_ledger.adapters.postgres_fx import PostgresFxBook, PostgresQuoteUses
from rialto_ledger.application.quotes import QuoteUse
from rialto_ledger.fx_testing import OBSERVED, euro_rate, quote
from rialto_ledger.testing import NOW, number_id

RATE = {
    "source": "ecb",
    "currency": "NOK",
    "per_euro": Decimal("11.25"),
    "observed_at": OBSERVED,
    "recorded_at": NOW,
}
QUOTE = {
    "id": number_id("fx_quote", 9),
    "mode": "test",
    "sell_currency": "EUR",
    "sell_amount_minor": 100,
    "buy_currency": "USD",
    "buy_amount_minor": 107,
    "buy_per_euro": Decimal("1.08"),
    "buy_source": "ecb",
    "buy_observed_at": OBSERVED,
    "spread_bps": 50,
    "quoted_at": NOW,
    "expires_at": NOW + timedelta(minutes=1),
}


@pytest.fixture
async def connection(pool: Pool) -> AsyncIterator[Any]:
    """A connection as the service's role, to one rate and one quote that is used."""
    book = PostgresFxBook(pool)
    await book.add_rates([euro_rate("USD", "1.08")], NOW)
    await book.add_quote(quote())
    async with pool.acquire() as acquired:
        await PostgresQuoteUses(acquired).add([QuoteUse(quote().id, number_id("conversion", 0), NOW)])
        yield acquired


async def refusal(connection: Any, table: str, row: dict[str, object]) -> str | None:
    """Return the constraint by which the database refuses a row, or None."""
    columns, places = ", ".join(row), ", ".join(f"${place}" for place in range(1, len(row) + 1))
    try:
        await connection.execute(f"INSERT INTO ledger.{table} ({columns}) VALUES ({places})", *row.values())
    except asyncpg.IntegrityConstraintViolationError as error:
        return str(error.constraint_name)
    return None


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({}, None),
        ({"currency": "EUR"}, "fx_rates_currency_not_euro"),
        ({"per_euro": Decimal(0)}, "fx_rates_positive"),
        ({"per_euro": Decimal("NaN")}, "fx_rates_positive"),
        ({"per_euro": Decimal("Infinity")}, "fx_rates_positive"),
        ({"currency": "USD", "per_euro": Decimal("1.0800")}, "fx_rates_pk"),
    ],
)
async def test_the_database_refuses_what_is_no_rate(
    connection: Any, changes: dict[str, object], constraint: str | None
) -> None:
    assert await refusal(connection, "fx_rates", {**RATE, **changes}) == constraint


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({}, None),
        ({"id": quote().id}, "fx_quotes_pk"),
        ({"mode": "dry"}, "fx_quotes_mode_known"),
        (
            {
                "sell_currency": "USD",
                "sell_per_euro": Decimal("1.08"),
                "sell_source": "ecb",
                "sell_observed_at": OBSERVED,
            },
            "fx_quotes_currencies_differ",
        ),
        ({"sell_amount_minor": 0}, "fx_quotes_amounts_positive"),
        ({"buy_amount_minor": -1}, "fx_quotes_amounts_positive"),
        ({"sell_currency": "GBP"}, "fx_quotes_sell_rate_whole"),
        ({"sell_per_euro": Decimal(1)}, "fx_quotes_sell_rate_whole"),
        ({"buy_source": None}, "fx_quotes_buy_rate_whole"),
        ({"mode": "live"}, None),
        ({"mode": "live", "buy_source": "sample"}, "fx_quotes_never_live_at_sample_rates"),
        ({"spread_bps": 10_000}, "fx_quotes_spread_in_range"),
        ({"expires_at": NOW}, "fx_quotes_held_for_a_time"),
    ],
)
async def test_the_database_refuses_a_wrong_quote(
    connection: Any, changes: dict[str, object], constraint: str | None
) -> None:
    assert await refusal(connection, "fx_quotes", {**QUOTE, **changes}) == constraint


@pytest.mark.parametrize(
    ("quote_id", "entry_id", "constraint"),
    [
        (quote().id, number_id("conversion", 1), "fx_quotes_used_once"),
        (number_id("fx_quote", 9), number_id("conversion", 0), "fx_quote_uses_entry_unique"),
        (number_id("fx_quote", 8), number_id("conversion", 1), "fx_quote_uses_quote_fk"),
        (number_id("fx_quote", 9), number_id("conversion", 1), None),
    ],
)
async def test_the_database_refuses_a_second_use(
    connection: Any, quote_id: object, entry_id: object, constraint: str | None
) -> None:
    assert await refusal(connection, "fx_quotes", QUOTE) is None
    row = {"quote_id": quote_id, "entry_id": entry_id, "used_at": NOW}
    assert await refusal(connection, "fx_quote_uses", row) == constraint


@pytest.mark.parametrize(
    ("table", "column"), [("fx_rates", "per_euro"), ("fx_quotes", "expires_at"), ("fx_quote_uses", "entry_id")]
)
async def test_nothing_on_record_is_changed_or_removed(connection: Any, table: str, column: str) -> None:
    for statement in (
        f"UPDATE ledger.{table} SET {column} = {column}",
        f"DELETE FROM ledger.{table}",
        f"TRUNCATE ledger.{table}",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_the_auditor_reads_all_of_it(database: Database, connection: Any) -> None:
    auditor = await asyncpg.connect(database.dsn("auditor"))
    try:
        for table in ("fx_rates", "fx_quotes", "fx_quote_uses"):
            assert await auditor.fetchval(f"SELECT count(*) FROM ledger.{table}") == 1
    finally:
        await auditor.close()
