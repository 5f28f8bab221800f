"""The other ledger: `baseline.sql`, driven by pgbench with 32 clients and prepared statements."""

import subprocess
import tempfile
from pathlib import Path

import psycopg

from bench.ledger.loads import Load
from rialto_cli.embedded import postgres
from rialto_cli.testing import Database

CLIENTS = 32
SCHEMA = Path(__file__).with_name("baseline.sql")


class Baseline:
    """The other ledger, in a database of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, accounts: int, funds: int) -> None:
        """Make the accounts, each with funds."""
        with psycopg.connect(self._database.superuser_dsn(), autocommit=True) as connection:
            connection.execute(SCHEMA.read_bytes())
            connection.execute(
                "INSERT INTO baseline.accounts (id, balance) SELECT n, %s FROM generate_series(1, %s) AS n",
                [funds, accounts],
            )
            connection.execute("ANALYZE")

    def run(self, load: Load, seconds: float, *, many: int = 1) -> float:
        """Return transfers a second."""
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(_script(load, many))
            script.flush()
            out = subprocess.run(
                [
                    str(postgres.programs() / "pgbench"),
                    *("-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(max(1, round(seconds)))),
                    *("-f", script.name, "--max-tries", "100", self._database.superuser_dsn()),
                ],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        [rate] = [line.split()[2] for line in out.splitlines() if line.startswith("tps")]
        return float(rate) * many


def _script(load: Load, many: int) -> str:
    if many == 1:
        target = "1" if load.hot else f"1 + (:from - 1 + random(1, {load.accounts - 1})) % {load.accounts}"
        first = 2 if load.hot else 1
        return (
            f"\\set from random({first}, {load.accounts})\n\\set to {target}\n"
            "SELECT baseline.transfer(gen_random_uuid(), :from, :to, 10);\n"
        )
    # The pairs are drawn by the server: as parameters they would be 200 a call.
    return (
        "SELECT baseline.transfer_many(array_agg(f), array_agg(1 + (f - 1 + s) % "
        f"{load.accounts}), 10) FROM (SELECT 1 + floor(random() * {load.accounts})::BIGINT AS f, "
        f"1 + floor(random() * {load.accounts - 1})::BIGINT AS s FROM generate_series(1, {many})) AS drawn;\n"
    )
