"""A month goes into a file: balances, proofs and identities stay, and whatever cannot go is told why."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import psycopg
import pytest
from typer.testing import CliRunner, Result

from rialto_cli.app import build
from rialto_cli.errors import OperatorError
from rialto_cli.ledger import archive as archiving
from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.bus.postgres import PostgresTransaction, PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.runtime import SystemRuntime
from rialto_common.service_tokens import Caller
from rialto_common.simulation import SimulatedRuntime
from rialto_ledger.adapters.postgres import PostgresLedger, PostgresReader
from rialto_ledger.adapters.postgres_books import PostgresBooks
from rialto_ledger.adapters.postgres_chain import PostgresChainReader, PostgresChains
from rialto_ledger.application.ports import ConcurrentPosting
from rialto_ledger.application.posting import post
from rialto_ledger.application.sealer import Sealer
from rialto_ledger.domain.blocks import InclusionProof, check
from rialto_ledger.domain.commands import Command, PostEntry, ReverseEntry
from rialto_ledger.domain.outcomes import Outcome
from rialto_ledger.domain.statement import AsOf, HistoryArchived
from rialto_ledger.entrypoints.books_http import BookDesk
from rialto_ledger.entrypoints.proofs_http import ProofDesk
from rialto_ledger.testing import NOW, Payment, open_wallet, top_up

from ...unit.ledger.test_page import run as check_as_published

JANUARY, FEBRUARY, MARCH = (datetime(2024, month, 10, tzinfo=UTC) for month in (1, 2, 3))
LATER = datetime(2026, 1, 1, tzinfo=UTC)
OPERATOR = Caller("test", None, "test")


class Silent:
    def waiting(self, entries: int, oldest_seconds: float) -> None: ...
    def sealed(self, entries: int) -> None: ...


def id_of(number: int, month: datetime) -> UUID:
    return ids.derive(ids.uuid7(int(month.timestamp() * 1000), 0), "entry", number)


def entry(number: int, month: datetime) -> PostEntry:
    """Return the nth entry; its id is of a month. Numbers go round three wallets, and so shards."""
    return top_up(number % 3, 100 + number, entry=number)._replace(entry_id=id_of(number, month))


def payment(number: int, month: datetime) -> Payment:
    """Return a payment whose id, and so whose entries', are of a month."""

    class OfMonth(Payment):
        @property
        def id(self) -> UUID:
            return id_of(number, month)

    return OfMonth(number, amount_minor=50)


@dataclass
class Journal:
    """A ledger with entries of January and February 2024 in turns, all sealed, and one of March that is not."""

    database: Database
    unit_of_work: PostgresUnitOfWork
    desk: ProofDesk
    reader: PostgresReader
    books: BookDesk

    async def do(self, *commands: Command, at: datetime) -> Sequence[Outcome]:
        async with self.unit_of_work.begin() as transaction:
            return (await post(PostgresLedger(transaction.connection), commands, at)).decision.outcomes

    async def seal(self, at: datetime) -> None:
        def chains_of(transaction: PostgresTransaction) -> PostgresChains:
            return PostgresChains(transaction.connection)

        await Sealer(self.unit_of_work.begin, chains_of, SimulatedRuntime(1, start=at), Silent()).step()

    async def months(self, *months: datetime) -> None:
        for month in months:
            async with self.unit_of_work.begin() as transaction:
                await PostgresChains(transaction.connection).prepare_months(month, 0)

    def archive(self, month: str, file: Path, *options: str) -> Result:
        return run("archive", month, str(file), "--dsn", self.database.dsn("owner"), *options)

    def verify(self, *options: str) -> Result:
        return run("verify", "--dsn", self.database.dsn("auditor"), *options)

    def facts(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.dsn("auditor")) as connection:
            return connection.execute(query.encode()).fetchall()

    def as_superuser(self, statement: str) -> None:
        with psycopg.connect(self.database.superuser_dsn()) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(statement.encode())


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build(), ["ledger", *arguments])


@pytest.fixture
async def journal(database: Database) -> AsyncIterator[Journal]:
    pool = await open_pool(database.dsn("ledger"), application="test", max_size=4)
    unit_of_work = PostgresUnitOfWork(pool, schema="ledger", runtime=SystemRuntime())
    reader, books = PostgresReader(pool), BookDesk(PostgresBooks(pool), SystemRuntime())
    made = Journal(database, unit_of_work, ProofDesk(reader, PostgresChainReader(pool)), reader, books)
    await made.months(JANUARY, FEBRUARY, MARCH)
    await made.do(*(open_wallet(number) for number in range(3)), at=JANUARY)
    for number in range(0, 12, 2):
        await made.do(entry(number, JANUARY), entry(number + 1, FEBRUARY), at=FEBRUARY)
    old = payment(100, JANUARY)
    await made.do(old.place(expires_at=MARCH), old.capture(), old.confirm(), at=FEBRUARY)
    await made.seal(FEBRUARY + timedelta(minutes=1))
    await made.do(entry(12, MARCH), at=MARCH)
    yield made
    pool.terminate()


async def test_an_archived_month_leaves_balances_proofs_and_the_rest_as_they_were(
    journal: Journal, tmp_path: Path
) -> None:
    accounts = journal.facts("SELECT * FROM ledger.accounts ORDER BY id")
    proof = (await journal.desk.proof(id_of(1, FEBRUARY), OPERATOR)).proof
    file = tmp_path / "2024-01.jsonl"
    archived = journal.archive("2024-01", file)
    assert archived.exit_code == 0, archived.output
    assert names(tmp_path) == ["2024-01.jsonl"]
    assert len(file.read_bytes().splitlines()) == 1 + 8
    assert journal.facts("SELECT * FROM ledger.accounts ORDER BY id") == accounts
    assert journal.facts("SELECT count(*) FROM ledger.journal_entries") == [(7,)]
    [(entries, digest)] = journal.facts("SELECT entries, file_sha256 FROM ledger.archived_months")
    assert (entries, digest) == (8, hashlib.sha256(file.read_bytes()).digest())
    assert (await journal.desk.proof(id_of(1, FEBRUARY), OPERATOR)).proof == proof
    stayed = await journal.reader.entry(id_of(1, FEBRUARY))
    assert stayed is not None
    assert check(InclusionProof.from_json(proof), stayed, bytes.fromhex(proof["block"]["super_root"]))


async def test_balances_after_the_archived_entries_are_as_before_and_earlier_ones_are_refused(
    journal: Journal, tmp_path: Path
) -> None:
    """The postings of January are gone, so nothing may be summed from the beginning any more."""
    desk, wallet = journal.books, open_wallet(0).spec.id
    later = AsOf(recorded_at=FEBRUARY + timedelta(days=3))
    before = [await desk.balance(wallet, as_of, OPERATOR) for as_of in (later, AsOf(effective_at=NOW), AsOf())]
    trial = await desk.trial_balance(later.recorded_at, OPERATOR)
    statement = await desk.statement(wallet, FEBRUARY + timedelta(days=3), None, 100, OPERATOR)
    assert before[0].ledger_balance_minor > 0
    assert journal.archive("2024-01", tmp_path / "2024-01.jsonl").exit_code == 0
    after = [await desk.balance(wallet, as_of, OPERATOR) for as_of in (later, AsOf(effective_at=NOW), AsOf())]
    assert after == before
    assert await desk.trial_balance(later.recorded_at, OPERATOR) == trial
    again = await desk.statement(wallet, FEBRUARY + timedelta(days=3), None, 100, OPERATOR)
    assert (again.opening_balance_minor, again.closing_balance_minor, again.data) == (
        statement.opening_balance_minor,
        statement.closing_balance_minor,
        statement.data,
    )
    whole = await desk.statement(wallet, None, None, 100, OPERATOR)
    assert whole.start == FEBRUARY + timedelta(days=1)
    assert whole.closing_balance_minor == statement.closing_balance_minor
    for question in (
        desk.balance(wallet, AsOf(recorded_at=FEBRUARY), OPERATOR),
        desk.balance(wallet, AsOf(effective_at=JANUARY), OPERATOR),
        desk.statement(wallet, JANUARY, None, 100, OPERATOR),
        desk.trial_balance(JANUARY, OPERATOR),
    ):
        with pytest.raises(HistoryArchived):
            await question


async def test_the_published_checker_comes_from_a_served_proof_to_its_blocks_super_root(
    journal: Journal, tmp_path: Path
) -> None:
    served = await journal.desk.proof(id_of(1, FEBRUARY), OPERATOR)
    checked = check_as_published(tmp_path, served.entry, served.proof)
    [(super_root,)] = journal.facts("SELECT encode(super_root, 'hex') FROM ledger.blocks")
    assert checked.stdout.strip() == super_root, checked.stderr


async def test_the_journal_verifies_without_the_archive_and_in_full_with_it(journal: Journal, tmp_path: Path) -> None:
    january, february, export = (tmp_path / name for name in ("january", "february", "export"))
    assert journal.archive("2024-01", january).exit_code == 0
    assert journal.archive("2024-02", february).exit_code == 0
    alone = orjson.loads(journal.verify("--json").stdout)
    assert (alone["holds"], alone["entries"], alone["archived"]) == (True, 1, 14)
    both = ["--archive", str(february), "--archive", str(january)]
    full = orjson.loads(journal.verify("--json", *both).stdout)
    assert (full["holds"], full["entries"], full["archived"]) == (True, 15, 0)
    assert run("export", str(export), "--dsn", journal.database.dsn("auditor")).exit_code == 0
    of_file = orjson.loads(run("verify", str(export), "--json", *both).stdout)
    assert (of_file["holds"], of_file["entries"], of_file["archived"]) == (True, 15, 0)


async def test_a_bit_flipped_in_an_archive_or_in_what_stays_of_it_is_found(journal: Journal, tmp_path: Path) -> None:
    file = tmp_path / "january"
    assert journal.archive("2024-01", file).exit_code == 0
    file.write_bytes(file.read_bytes().replace(b'"amount_minor":"102"', b'"amount_minor":"103"', 1))
    found = journal.verify("--archive", str(file))
    assert found.exit_code == 1
    assert str(id_of(2, JANUARY)) in found.output
    journal.as_superuser(
        "UPDATE ledger.archived_links SET hash = set_bit(hash, 9, 1 - get_bit(hash, 9)) WHERE chain_position = 1"
    )
    assert journal.verify().exit_code == 1


async def test_a_bit_flipped_in_the_journal_is_found_by_verify_and_by_the_proof(journal: Journal) -> None:
    proof = InclusionProof.from_json((await journal.desk.proof(id_of(1, FEBRUARY), OPERATOR)).proof)
    assert journal.verify().exit_code == 0
    journal.as_superuser(f"UPDATE ledger.postings SET amount_minor = 102 WHERE entry_id = '{id_of(1, FEBRUARY)}'")
    found = journal.verify()
    assert found.exit_code == 1
    assert str(id_of(1, FEBRUARY)) in found.output
    changed = await journal.reader.entry(id_of(1, FEBRUARY))
    assert changed is not None
    assert not check(proof, changed, proof.super_root)


async def test_an_identity_of_an_archived_month_moves_no_money_again(journal: Journal, tmp_path: Path) -> None:
    assert journal.archive("2024-01", tmp_path / "january").exit_code == 0
    accounts = journal.facts("SELECT * FROM ledger.accounts ORDER BY id")
    old = payment(100, JANUARY)
    again: list[Command] = [
        entry(0, JANUARY),
        entry(50, JANUARY),
        entry(51, datetime(2023, 5, 1, tzinfo=UTC)),
        ReverseEntry(id_of(0, JANUARY), "test", LATER, {}),
        old.confirm(sequence=5),
        old.reorg(sequence=6),
    ]
    codes = [o.error and o.error.stable_code for o in await journal.do(*again, at=LATER)]
    assert codes == ["entry_id_too_old"] * 6
    [capture] = await journal.do(old.capture(), at=LATER)
    assert capture.error is not None
    assert journal.facts("SELECT * FROM ledger.accounts ORDER BY id") == accounts
    [new] = await journal.do(entry(52, FEBRUARY), at=LATER)
    assert new.error is None


async def test_a_posting_decided_before_its_month_went_is_decided_again(journal: Journal, tmp_path: Path) -> None:
    """The database itself refuses an id of an archived month, whoever asks and whatever they knew."""
    assert journal.archive("2024-01", tmp_path / "january").exit_code == 0

    class Unaware(PostgresLedger):
        async def load(self, keys: Any, now: datetime) -> Any:
            return replace(await super().load(keys, now), ids_from=UUID(int=0))

    with pytest.raises(ConcurrentPosting):
        async with journal.unit_of_work.begin() as transaction:
            await post(Unaware(transaction.connection), [entry(60, JANUARY)], LATER)


async def test_what_cannot_be_archived_is_told_why_and_stays(journal: Journal, tmp_path: Path) -> None:
    pending = payment(101, FEBRUARY)
    await journal.do(pending.place(expires_at=LATER), at=MARCH)
    file = tmp_path / "file"

    def refusal(month: str, *options: str) -> str:
        refused = journal.archive(month, file, *options)
        assert isinstance(refused.exception, OperatorError)
        assert not file.exists()
        return refused.exception.why

    assert refusal("2024-02") == "the oldest month that can be archived is 2024-01"
    years = (datetime.now(UTC) - datetime(2024, 2, 1, tzinfo=UTC)).days
    assert "not old enough" in refusal("2024-01", "--min-age", str(years + 1))
    assert journal.archive("2024-01", tmp_path / "january").exit_code == 0
    assert refusal("2024-01") == "it was archived before"
    assert refusal("2024-02") == "1 of its holds are pending"
    await journal.do(pending.void(), at=MARCH)
    assert journal.archive("2024-02", tmp_path / "february").exit_code == 0
    assert refusal("2024-03") == "1 of its entries are sealed by no block"
    file.touch()
    assert "is there already" in str(journal.archive("2024-03", file).exception.why)  # type: ignore[union-attr]


async def test_a_month_whose_hashes_do_not_hold_is_not_let_go(journal: Journal, tmp_path: Path) -> None:
    journal.as_superuser(f"UPDATE ledger.postings SET amount_minor = 103 WHERE entry_id = '{id_of(2, JANUARY)}'")
    refused = journal.archive("2024-01", tmp_path / "january")
    assert isinstance(refused.exception, OperatorError)
    assert str(id_of(2, JANUARY)) in refused.exception.why
    assert names(tmp_path) == []
    assert journal.facts("SELECT count(*) FROM ledger.journal_entries") == [(15,)]


async def test_a_journal_in_use_is_not_waited_for_in_everybodys_way(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "PATIENCE_SECONDS", 0.1)
    reader = await asyncpg.connect(journal.database.dsn("auditor"))
    async with reader.transaction(readonly=True):
        await reader.fetch("SELECT count(*) FROM ledger.postings")
        refused = journal.archive("2024-01", tmp_path / "january")
    await reader.close()
    assert isinstance(refused.exception, OperatorError)
    assert "used the journal" in refused.exception.why
    assert names(tmp_path) == []
    assert journal.facts("SELECT count(*) FROM ledger.journal_entries") == [(15,)]
    assert journal.verify().exit_code == 0


async def test_posting_goes_on_while_a_month_is_archived(journal: Journal, tmp_path: Path) -> None:
    done, posted = asyncio.Event(), 0

    async def keep_posting() -> None:
        nonlocal posted
        while not done.is_set():
            [outcome] = await journal.do(entry(1000 + posted, MARCH), at=MARCH)
            assert outcome.error is None
            posted += 1

    posting = asyncio.create_task(keep_posting())
    archived = await asyncio.to_thread(journal.archive, "2024-01", tmp_path / "january")
    done.set()
    await posting
    assert archived.exit_code == 0, archived.output
    assert posted > 0
    assert journal.facts("SELECT count(*) FROM ledger.journal_entries") == [(7 + posted,)]
    assert journal.verify().exit_code == 0


async def test_an_archive_that_dies_before_its_commit_leaves_the_month_and_can_be_made_again(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    january, old, at = date(2024, 1, 1), timedelta(days=31), LATER
    for step in ("_read_back", "_detach"):
        with monkeypatch.context() as patched:
            patched.setattr(archiving, step, die)
            with pytest.raises(KeyboardInterrupt):
                archiving.archive_month(journal.database.dsn("owner"), january, tmp_path / step, now=at, min_age=old)
        assert journal.facts("SELECT count(*) FROM ledger.journal_entries") == [(15,)]
    assert names(tmp_path) == ["_detach"]
    assert journal.archive("2024-01", tmp_path / "january").exit_code == 0
    assert (tmp_path / "january").read_bytes() == (tmp_path / "_detach").read_bytes()
