"""The journal read from a database is the journal: it verifies, and its export is what a file of it holds."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from rialto_cli.app import build
from rialto_cli.ledger.verify.database import JournalDatabase
from rialto_cli.ledger.verify.file import InputUnreadable
from rialto_cli.ledger.verify.run import verify
from rialto_cli.testing import Database

from ...unit.ledger.exports import Journal, sample, text


@pytest.fixture
def written(database: Database) -> Journal:
    """The sample in the database, with neither triggers nor foreign keys asked: its accounts are not there."""
    with psycopg.connect(database.superuser_dsn()) as connection:
        connection.execute("SET session_replication_role = replica")
        write(connection, sample())
    return sample()


def write(connection: psycopg.Connection[Any], journal: Journal) -> None:
    """Write a journal as the ledger's tables hold it."""
    cursor = connection.cursor()
    # From the last to the first: the order in which rows lie must not matter.
    for entry, link in reversed(list(zip(journal.entries, journal.links, strict=True))):
        cursor.execute(
            "INSERT INTO ledger.journal_entries (id, kind, mode, shard, merchant_id, payment_id, reverses,"
            " effective_at, recorded_at, metadata, chain_position, hash)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                entry.id,
                entry.kind,
                entry.mode,
                entry.shard,
                entry.merchant_id,
                entry.payment_id,
                entry.reverses,
                entry.effective_at,
                entry.recorded_at,
                Jsonb(dict(entry.metadata)),
                link.position,
                link.hash,
            ],
        )
        for line, posting in reversed(list(enumerate(entry.postings))):
            cursor.execute(
                "INSERT INTO ledger.postings (entry_id, recorded_at, line, account_id, side, amount_minor, currency)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [
                    entry.id,
                    entry.recorded_at,
                    line,
                    posting.account_id,
                    posting.side.value,
                    posting.amount_minor,
                    posting.currency,
                ],
            )
    for block in journal.blocks:
        cursor.execute(
            "INSERT INTO ledger.blocks (number, sealed_at, previous, super_root) VALUES (%s, %s, %s, %s)",
            [block.number, block.sealed_at, block.previous, block.super_root],
        )
        cursor.executemany(
            "INSERT INTO ledger.block_shards (block, shard, first_position, last_position, last_hash, root)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [
                [block.number, span.shard, span.first_position, span.last_position, span.last_hash, span.root]
                for span in block.shards
            ],
        )


def sorted_metadata(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """JSONB has an order of keys of its own."""
    return [record | {"metadata": dict(sorted(record.get("metadata", {}).items()))} for record in records]


def test_the_auditor_reads_the_records_that_an_export_holds(database: Database, written: Journal) -> None:
    read = list(JournalDatabase(database.dsn("auditor")).raw())
    assert sorted_metadata(read) == sorted_metadata(written.records())


def test_a_change_behind_the_ledgers_back_is_found_by_name(database: Database, written: Journal) -> None:
    with psycopg.connect(database.superuser_dsn()) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE ledger.postings SET amount_minor = 1 WHERE entry_id = %s", [written.entries[2].id])
    report = verify(JournalDatabase(database.dsn("auditor")).records())
    assert [(found.problem, found.entry_id) for found in report.findings] == [("hash", str(written.entries[2].id))]


def test_an_entry_without_a_place_in_a_chain_is_found(database: Database, written: Journal) -> None:
    with psycopg.connect(database.superuser_dsn()) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE ledger.journal_entries SET chain_position = NULL WHERE id = %s", [written.entries[7].id]
        )
    report = verify(JournalDatabase(database.dsn("auditor")).records())
    assert [(found.problem, found.entry_id) for found in report.findings] == [
        ("unreadable", str(written.entries[7].id))
    ]


def test_an_export_verifies_from_its_file_alone(database: Database, written: Journal, tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    exported = CliRunner().invoke(build(), ["ledger", "export", str(file), "--dsn", database.dsn("auditor")])
    assert exported.exit_code == 0, exported.output
    assert len(file.read_bytes().splitlines()) == len(text(written.records()).splitlines())
    assert [path.name for path in tmp_path.iterdir()] == ["export.jsonl"]
    verified = CliRunner().invoke(build(), ["ledger", "verify", str(file)])
    assert verified.exit_code == 0, verified.output
    assert "9 entries with 18 postings, 2 blocks" in verified.output


def test_a_database_that_cannot_be_read_is_told_in_one_line(database: Database) -> None:
    with pytest.raises(InputUnreadable, match="cannot be read"):
        list(JournalDatabase(database.dsn("auditor").replace(database.name, "nowhere")).raw())
