"""The journal in the formats of others: beancount finds it right and a changed amount wrong; the tables are whole."""

import asyncio
import csv
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from rialto_cli.app import build
from rialto_cli.errors import OperatorError
from rialto_cli.ledger.books import tables
from rialto_cli.testing import Database, PostgresServer
from rialto_common import ids
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.runtime import SystemRuntime
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.application.posting import post
from rialto_ledger.domain import chart
from rialto_ledger.domain.account import AccountType
from rialto_ledger.domain.commands import Command, OpenAccount, PostEntry, ReverseEntry
from rialto_ledger.domain.journal import credit, debit
from rialto_ledger.testing import NOW, Payment, number_id, open_wallet, top_up, wallet

LARGE = 10**26 + 1
"""Beancount counts with 28 digits."""


def write(database: Database, batches: Sequence[Sequence[Command]]) -> None:
    """Post batches, a minute apart, as the service does."""

    async def work() -> None:
        pool = await open_pool(database.dsn("ledger"), application="test", max_size=1)
        unit_of_work = PostgresUnitOfWork(pool, schema="ledger", runtime=SystemRuntime())
        for number, commands in enumerate(batches):
            async with unit_of_work.begin() as transaction:
                await post(PostgresLedger(transaction.connection), commands, NOW + timedelta(minutes=number))
        await pool.close()

    asyncio.run(work())


def transfer(number: int, code: str, currency: str, amount_minor: int, days_ago: int = 0) -> list[Command]:
    """Return the commands that book an amount between two accounts with one code of odd letters, in both modes."""
    commands: list[Command] = []
    for mode in ("test", "live"):
        spec = replace(
            chart.fees_income(currency, mode),
            code=code,
            type=AccountType.EXPENSE,
            id=chart.account_id(mode, code, currency),
        )
        income = chart.fees_income(currency, mode)
        commands.append(
            PostEntry(
                entry_id=number_id(f"{mode} entry", number),
                kind="correction",
                about=spec.id,
                mode=mode,
                shard=0,
                merchant_id=None,
                postings=(debit(spec.id, amount_minor, currency), credit(income.id, amount_minor, currency)),
                opens=(spec, income),
                effective_at=NOW - timedelta(days=days_ago),
                metadata={"note": 'a "quoted" \\ note, with a comma'},
            )
        )
    return commands


def life() -> list[list[Command]]:
    """Return a history with everything in it: tokens, a reorg, a reversal, no decimals, other days, both modes."""
    payment = Payment(1, amount_minor=1000)
    return [
        [open_wallet(), OpenAccount(wallet(1, currency="JPY")), top_up(0, 5000)],
        [payment.place(), payment.capture()],
        [payment.confirm(sequence=1)],
        [payment.reorg(sequence=2), payment.confirm(sequence=3)],
        [top_up(0, 77, entry=1)],
        [ReverseEntry(top_up(0, 77, entry=1).entry_id, "test", NOW)],
        transfer(1, "desk:uSD/x_y-z:Ünit", "JPY", 12, days_ago=40),
        transfer(2, "desk", "ETH", LARGE),
        transfer(3, "Desk", "ETH", 1),
    ]


@pytest.fixture
def books(database: Database) -> Database:
    write(database, life())
    return database


def export(database: Database, file: Path, name: str) -> str:
    result = CliRunner().invoke(
        build(), ["ledger", "export", str(file), "--format", name, "--dsn", database.dsn("auditor")]
    )
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def bean_check(file: Path) -> subprocess.CompletedProcess[str]:
    """Ask the outside judge."""
    return subprocess.run(
        [sys.executable, "-m", "beancount.scripts.check", "--no-cache", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_bean_check_finds_nothing_wrong_with_a_history_of_everything(books: Database, tmp_path: Path) -> None:
    file = tmp_path / "journal.beancount"
    assert export(books, file, "beancount") == f"13 entries in {file}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["journal.beancount"]
    judged = bean_check(file)
    assert (judged.returncode, judged.stdout + judged.stderr) == (0, "")
    text = file.read_text()
    assert f'2026-03-01 * "capture"\n  id: "{ids.to_text("je", Payment(1).capture().entry_id)}"' in text
    assert f'  payment: "{ids.to_text("pay", Payment(1).id)}"' in text
    assert (
        text.count("\n2026-03-02 balance ") == text.count(" open ") == len(re.findall("^.* open ", text, re.MULTILINE))
    )
    assert "  Assets:Test:Chain:31337:RUSD:Treasury:RUSD  -10.000000 RUSD\n" in text
    assert "2026-01-20 open Expenses:Live:Desk:U-lSD-2fx--y-2dz:X-n-c3-9cnit:JPY JPY\n" in text
    assert "  Expenses:Test:Desk:ETH  100000000.000000000000000001 ETH\n" in text
    assert "  Expenses:Test:D-uesk:ETH  0.000000000000000001 ETH\n" in text


def last_digit_changed(line: str) -> str:
    """Return a line with its amount off by one in the last decimal."""
    found = re.search(r"([0-9])( ~ 0)? [A-Z]{3,4}$", line)
    assert found is not None
    return f"{line[: found.start(1)]}{(int(found[1]) + 1) % 10}{line[found.end(1) :]}"


def test_bean_check_finds_one_amount_that_is_off_by_its_last_decimal(books: Database, tmp_path: Path) -> None:
    file = tmp_path / "journal.beancount"
    export(books, file, "beancount")
    lines = file.read_text().splitlines()
    amounts = [number for number, line in enumerate(lines) if re.search(r"[0-9]( ~ 0)? [A-Z]{3,4}$", line)]
    assert len(amounts) > 40
    # One judge for all would be one run; each change is to be found for itself. One of each kind of line is enough.
    kinds = {(lines[n].split()[0], lines[n].split()[-1], lines[n].startswith("  ")): n for n in amounts}
    for number in kinds.values():
        file.write_text("\n".join([*lines[:number], last_digit_changed(lines[number]), *lines[number + 1 :], ""]))
        judged = bean_check(file)
        assert judged.returncode == 1, lines[number]
        assert "not balance" in judged.stderr or "Balance failed" in judged.stderr, judged.stderr


def test_bean_check_finds_a_total_that_is_not_its_postings(books: Database, tmp_path: Path) -> None:
    with psycopg.connect(books.superuser_dsn()) as connection:
        connection.execute(
            "UPDATE ledger.accounts SET debits_minor = debits_minor + 1 WHERE code = 'acquirer:test:receivable'"
        )
    file = tmp_path / "journal.beancount"
    export(books, file, "beancount")
    judged = bean_check(file)
    assert judged.returncode == 1
    assert "Balance failed for 'Assets:Test:Acquirer:Test:Receivable:USD'" in judged.stderr


@st.composite
def batches(draw: st.DrawFn) -> list[list[Command]]:
    """Draw payments through their life and odd transfers, in any order; what is refused leaves nothing."""
    drawn: list[list[Command]] = [[open_wallet(), open_wallet(1), top_up(0, 10**6), top_up(1, 10**6, entry=1)]]
    for number in range(draw(st.integers(1, 8))):
        payment = Payment(
            number, draw(st.integers(1, 10**5)), draw(st.integers(0, 1)), draw(st.integers(0, 2)), currency="USD"
        )
        steps: list[Command] = [payment.place(), payment.capture(draw(st.integers(1, payment.amount_minor)))]
        if draw(st.booleans()):
            steps += [payment.confirm(sequence=1), payment.reorg(sequence=2)]
        code = draw(st.text(st.sampled_from("aAuU/_-:1"), min_size=1, max_size=4))
        currency = draw(st.sampled_from(["USD", "JPY", "KWD", "RUSD", "ETH"]))
        drawn += [steps, transfer(number, code, currency, draw(st.integers(1, LARGE)), draw(st.integers(0, 400)))]
    return drawn


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=batches())
def test_bean_check_finds_nothing_wrong_with_any_history(
    postgres: PostgresServer, tmp_path: Path, history: list[list[Command]]
) -> None:
    database = postgres.create_database()
    try:
        write(database, history)
        export(database, tmp_path / "journal.beancount", "beancount")
        judged = bean_check(tmp_path / "journal.beancount")
        assert (judged.returncode, judged.stderr) == (0, "")
    finally:
        postgres.drop_database(database)


def postings(database: Database) -> list[tuple[Any, ...]]:
    """Return what the tables must hold of each posting, as the database has it."""
    with psycopg.connect(database.dsn("auditor"), options="-c timezone=UTC") as connection:
        return connection.execute(
            "SELECT e.id, p.line, e.kind, e.mode, e.recorded_at, e.effective_at, p.account_id, a.code, p.side,"
            " p.amount_minor, p.currency"
            " FROM ledger.postings AS p JOIN ledger.journal_entries AS e ON e.id = p.entry_id"
            " JOIN ledger.accounts AS a ON a.id = p.account_id ORDER BY e.id, p.line"
        ).fetchall()


def as_database(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return a table's row as the database has it."""
    times = [
        value if isinstance(value := row[name], datetime) else datetime.fromisoformat(value)
        for name in ("recorded_at", "effective_at")
    ]
    return (
        ids.from_text("je", row["entry_id"]),
        int(row["line"]),
        row["kind"],
        row["mode"],
        *(time.astimezone(UTC) for time in times),
        ids.from_text("acc", row["account_id"]),
        row["account"],
        row["side"],
        Decimal(row["amount_minor"]),
        row["currency"],
    )


def test_a_csv_has_every_posting(books: Database, tmp_path: Path) -> None:
    export(books, tmp_path / "journal.csv", "csv")
    with (tmp_path / "journal.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [as_database(row) for row in rows] == postings(books)
    assert {row["metadata"] for row in rows if row["kind"] == "correction"} == {
        '{"note":"a \\"quoted\\" \\\\ note, with a comma"}'
    }
    assert {row["payment_id"] for row in rows if row["kind"] == "capture"} == {ids.to_text("pay", Payment(1).id)}
    assert {row["reverses"] for row in rows if row["kind"] == "top_up"} == {""}


def test_a_parquet_file_has_every_posting_with_its_types(
    books: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROWS_A_GROUP", 8)
    export(books, tmp_path / "journal.parquet", "parquet")
    table = pq.read_table(tmp_path / "journal.parquet")
    assert [as_database(row) for row in table.to_pylist()] == postings(books)
    assert (str(table.schema.field("amount_minor").type), str(table.schema.field("recorded_at").type)) == (
        "decimal128(38, 0)",
        "timestamp[us, tz=UTC]",
    )
    assert pq.ParquetFile(tmp_path / "journal.parquet").metadata.num_row_groups > 2


def test_without_a_format_an_export_is_the_one_that_verifies(books: Database, tmp_path: Path) -> None:
    file = tmp_path / "journal"
    exported = CliRunner().invoke(build(), ["ledger", "export", str(file), "--dsn", books.dsn("auditor")])
    assert exported.output == f"13 records in {file}\n"
    verified = CliRunner().invoke(build(), ["ledger", "verify", str(file)])
    assert verified.exit_code == 0, verified.output


@pytest.mark.parametrize("name", ["beancount", "csv", "parquet"])
def test_an_empty_journal_is_exported_too(database: Database, tmp_path: Path, name: str) -> None:
    file = tmp_path / f"journal.{name}"
    assert export(database, file, name).startswith("0 entries")
    if name == "beancount":
        assert bean_check(file).returncode == 0
    elif name == "parquet":
        assert pq.read_table(file).num_rows == 0
    else:
        assert len(file.read_text().splitlines()) == 1


@pytest.mark.parametrize("name", ["beancount", "csv", "parquet"])
def test_what_cannot_be_read_leaves_no_file(database: Database, tmp_path: Path, name: str) -> None:
    nowhere = database.dsn("auditor").replace(database.name, "nowhere")
    result = CliRunner().invoke(
        build(), ["ledger", "export", str(tmp_path / "journal"), "--format", name, "--dsn", nowhere]
    )
    assert isinstance(result.exception, OperatorError)
    assert list(tmp_path.iterdir()) == []
