"""After a month of the journal was archived, the books still add up: by its totals and what it moved on chain."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from rialto_cli.audit import books
from rialto_cli.ledger.archive import archive_month
from rialto_cli.testing import AnvilNode, Database
from rialto_ledger.application import sealer

from .conftest import play
from .world import World

TOLD_LATELY = {"entry_not_told_once", "capture_not_told_once", "request_without_effect"}
"""Events are kept for fourteen days, and no month goes within 31 of its last entry: only here are there both."""


async def test_the_books_add_up_after_a_month_was_archived(
    database: Database,
    anvil_factory: Callable[[], AnvilNode],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sealer, "SEAL_AFTER", timedelta(0))
    with psycopg.connect(database.dsn("owner")) as connection:
        connection.execute("SELECT ledger.prepare_months(%s, 0)", [datetime.now(UTC)])
    anvil = anvil_factory()
    await play(World(database, anvil))
    with psycopg.connect(database.dsn("owner")) as connection:
        connection.execute(
            "UPDATE ledger.holds SET status = 'voided', closed_at = placed_at, released_minor = "
            "amount_minor - captured_minor WHERE status = 'pending'"
        )
        connection.execute("UPDATE ledger.accounts SET held_minor = 0")
    before = books.look(database.dsn("auditor"), anvil.url)
    archived = archive_month(
        database.dsn("owner"),
        datetime.now(UTC).date().replace(day=1),
        tmp_path / "month",
        now=datetime.now(UTC) + timedelta(days=80),
        min_age=timedelta(days=40),
    )
    assert archived == before["I1"].checked > 0
    after = books.look(database.dsn("auditor"), anvil.url)
    assert {name: set(book.by_check) - set(before[name].by_check) - TOLD_LATELY for name, book in after} == {
        name: set() for name, _ in after
    }
    assert after["I6"].details["ledger_balance"] == before["I6"].details["ledger_balance"] != "0"
    assert after["I6"].checked == before["I6"].checked
