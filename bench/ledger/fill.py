"""Fills our ledger by SQL: accounts with funds, and millions of entries from the months before.

Months are filled as tables without indexes and then attached to the journal, which builds each index that the journal
has: what is measured afterwards has every one of them. Ids are UUIDv7s in the order of time. Entries go from account to
account in turn, so that their place in their shard's chain can be computed: positions have no gap. Hashes are of the
right length and link to nothing. Balances and the chains' ends are brought to where the entries leave them.
"""

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

import psycopg
from psycopg import sql

from bench.ledger.figures import Say
from bench.ledger.loads import wallet
from rialto_cli.testing import Database
from rialto_ledger.domain import chart
from rialto_ledger.domain.account import AccountSpec

FUNDS = 10**15
MONTHS = 6
"""Over how many months entries spread, this one being the last."""
BYTES_AN_ENTRY = 1000
"""Room that an entry, its two postings and the sorting for their indexes need; 580 were seen to stay."""

_COPY_ACCOUNTS = """
COPY ledger.accounts (
    id, code, type, normal_side, currency, mode, shard, minimum_available_minor, debits_minor, credits_minor, opened_at
) FROM STDIN
"""
_NUMBER_WALLETS = """
CREATE SCHEMA bench;
CREATE TABLE bench.wallets AS
SELECT
    id, shard, row_number() OVER (ORDER BY id) - 1 AS number,
    row_number() OVER (PARTITION BY shard ORDER BY id) AS nth_of_shard, count(*) OVER (PARTITION BY shard) AS of_shard
FROM ledger.accounts WHERE code LIKE 'customer:%';
ANALYZE bench.wallets;
"""
# The entries of a month by number, each with its id and time.
_NUMBERED = sql.SQL("""
FROM generate_series({first}::BIGINT, {last}::BIGINT) AS n
CROSS JOIN LATERAL (SELECT {from_ms}::BIGINT + (n - {first}) * {length_ms} / {count} AS ms, md5(n::TEXT) AS drawn) AS m
CROSS JOIN LATERAL (
    SELECT
        (lpad(to_hex(ms), 12, '0') || '7' || substr(drawn, 1, 3) || '8' || substr(drawn, 4, 15))::UUID AS id,
        to_timestamp(ms / 1000.0) AS at
) AS e
JOIN bench.wallets AS w ON w.number = n % {wallets}
""")
_ADD_MONTH = sql.SQL("""
CREATE TABLE {entries} (LIKE ledger.journal_entries INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
CREATE TABLE {postings} (LIKE ledger.postings INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO {entries} (id, kind, mode, shard, effective_at, recorded_at, metadata, chain_position, hash)
SELECT
    e.id, 'transfer', 'test', w.shard, at, at, '{{}}', n / {wallets} * w.of_shard + w.nth_of_shard,
    sha256(uuid_send(e.id))
{numbered};
INSERT INTO {postings} (entry_id, line, account_id, side, amount_minor, currency, recorded_at)
SELECT e.id, line, CASE line WHEN 0 THEN w.id ELSE t.id END, side, 10, 'USD', at
{numbered}
JOIN bench.wallets AS t ON t.number = (w.number + 1 + n / {wallets} % ({wallets} - 1)) % {wallets}
CROSS JOIN (VALUES (0, 'debit'), (1, 'credit')) AS p (line, side);
ALTER TABLE ledger.journal_entries ATTACH PARTITION {entries}
FOR VALUES FROM (bus.uuid_floor({month})) TO (bus.uuid_floor({next_month}));
ALTER TABLE ledger.postings ATTACH PARTITION {postings}
FOR VALUES FROM (bus.uuid_floor({month})) TO (bus.uuid_floor({next_month}));
""")
_MOVE_ENDS = """
UPDATE ledger.chain_heads AS h SET position = e.chain_position, hash = e.hash
FROM generate_series(0, 63) AS s (shard)
CROSS JOIN LATERAL (
    SELECT chain_position, hash FROM ledger.journal_entries WHERE shard = s.shard ORDER BY chain_position DESC LIMIT 1
) AS e
WHERE h.shard = s.shard
"""
_MOVE_BALANCES = """
UPDATE ledger.accounts AS a
SET debits_minor = a.debits_minor + p.debits, credits_minor = a.credits_minor + p.credits, version = a.version + p.lines
FROM (
    SELECT
        account_id, count(*) AS lines, coalesce(sum(amount_minor) FILTER (WHERE side = 'debit'), 0) AS debits,
        coalesce(sum(amount_minor) FILTER (WHERE side = 'credit'), 0) AS credits
    FROM ledger.postings GROUP BY account_id
) AS p
WHERE a.id = p.account_id
"""


@dataclass(frozen=True)
class _Month:
    begins: datetime
    ends: datetime
    last_at: datetime
    """Until when it has entries: this month's do not lie ahead."""

    @property
    def suffix(self) -> str:
        return f"{self.begins:%Y%m}"


def open_accounts(database: Database, count: int) -> None:
    """Open accounts with funds, whose source has given them, and the journal's months as the service keeps them."""
    now = datetime.now(UTC)
    acquirer = chart.test_acquirer("USD")
    with psycopg.connect(database.dsn("owner"), autocommit=True) as connection:
        with connection.cursor() as cursor, cursor.copy(_COPY_ACCOUNTS) as copy:
            copy.write_row(_row(acquirer, now, debits=count * FUNDS))
            for number in range(1, count + 1):
                copy.write_row(_row(chart.wallet(wallet(number), "USD", None, "test"), now, credits_=FUNDS))
        connection.execute("VACUUM ANALYZE ledger.accounts")


def prepare_months(database: Database) -> None:
    """Make the partitions that the service would keep ahead."""
    with psycopg.connect(database.dsn("owner"), autocommit=True) as connection:
        connection.execute("SELECT ledger.prepare_months(now(), 2)")


def add_entries(database: Database, count: int, say: Say) -> None:
    """Add so many entries, and twice as many postings, on the accounts that are open. Its months must not exist yet."""
    room = shutil.disk_usage(tempfile.gettempdir()).free
    if room < count * BYTES_AN_ENTRY:
        raise SystemExit(f"{count:,} entries need {count * BYTES_AN_ENTRY / 1e9:.0f} GB; {room / 1e9:.0f} GB are free")
    started = perf_counter()
    with psycopg.connect(database.dsn("owner"), autocommit=True) as connection:
        connection.execute(_NUMBER_WALLETS)
        [wallets] = connection.execute("SELECT count(*) FROM bench.wallets").fetchone() or [0]
    months = list(_months(datetime.now(UTC)))

    def add(nth: int) -> None:
        began, first, last = perf_counter(), count * nth // MONTHS, count * (nth + 1) // MONTHS - 1
        _add_month(database, months[nth], first, last, wallets)
        say(f"  {months[nth].suffix}: {last - first + 1:,} entries in {perf_counter() - began:.0f} s")

    # Two at a time: one is written while the other is indexed.
    with ThreadPoolExecutor(2) as workers:
        list(workers.map(add, range(MONTHS)))
    with psycopg.connect(database.dsn("owner"), autocommit=True) as connection:
        say("  balances, chains, statistics")
        connection.execute(_MOVE_ENDS)
        connection.execute(_MOVE_BALANCES)
        connection.execute("DROP SCHEMA bench CASCADE")
    prepare_months(database)
    with psycopg.connect(database.superuser_dsn(), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
        size = connection.execute("SELECT pg_size_pretty(pg_database_size(current_database()))").fetchone()
    say(f"  {count:,} entries in {perf_counter() - started:.0f} s, {size[0] if size else ''}")


def _add_month(database: Database, month: _Month, first: int, last: int, wallets: int) -> None:
    begins_ms, ends_ms = (int(at.timestamp() * 1000) for at in (month.begins, month.last_at))
    numbers = {
        "first": first,
        "last": last,
        "count": last - first + 1,
        "from_ms": begins_ms,
        "length_ms": ends_ms - begins_ms,
        "wallets": wallets,
    }
    literals = {name: sql.Literal(number) for name, number in numbers.items()}
    statement = _ADD_MONTH.format(
        entries=sql.Identifier("ledger", f"journal_entries_{month.suffix}"),
        postings=sql.Identifier("ledger", f"postings_{month.suffix}"),
        numbered=_NUMBERED.format(**literals),
        month=sql.Literal(month.begins),
        next_month=sql.Literal(month.ends),
        wallets=literals["wallets"],
    )
    # One transaction: what is written to a table of its own transaction needs no write-ahead log.
    with psycopg.connect(database.dsn("owner")) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SET timezone = 'UTC'")
        connection.execute(statement)


def _months(now: datetime) -> Iterator[_Month]:
    this = now.year * 12 + now.month - 1
    for number in range(this - MONTHS + 1, this + 1):
        begins, ends = (datetime(n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in (number, number + 1))
        yield _Month(begins, ends, min(ends, now))


def _row(spec: AccountSpec, now: datetime, *, debits: int = 0, credits_: int = 0) -> tuple[object, ...]:
    return (
        spec.id,
        spec.code,
        spec.type.value,
        spec.type.normal_side.value,
        spec.currency,
        spec.mode,
        spec.shard,
        spec.minimum_available_minor,
        debits,
        credits_,
        now,
    )
