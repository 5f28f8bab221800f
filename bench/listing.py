"""`make bench-listing`: a page of a merchant with ten million payments, beside one with a thousand, in turns.

Over HTTP from one connection, on loopback, with PostgreSQL durable: the newest page, one from the middle by its cursor,
those of a state that most are in, and those of a state that only a handful of the oldest is in (where a page looks at
so many payments at most, and the next goes on). The rows that fill the
table have the columns and indexes that the gateway would have given them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import httpx
import psycopg
from rich.console import Console
from rich.table import Table

from bench import load, machine
from bench.gateway import add_wallet, gateway_environment, make_merchant, wait_for
from rialto_cli.embedded.processes import free_ports
from rialto_cli.testing import PostgresServer
from rialto_common import ids

LARGE, SMALL = 10_000_000, 1_000
ROUNDS = 200
BUDGET_MS = 20.0
FILL = """
INSERT INTO gateway.payments (
    payment_id, merchant_id, mode, shard, idempotency_key, request_hash, amount_minor, currency, wallet_id,
    capture_method, metadata, payer, payee_address, occurred_at, created_at, updated_at, state, deadline_at
)
SELECT
    ('0198' || lpad(to_hex(n), 8, '0') || '70008000' || %(tail)s)::UUID, %(merchant)s, 'test', 0, 'fill-' || n, '',
    1250, 'USD', %(wallet)s, 'automatic', '{"order": "1001"}',
    '{"party_id": "pty_01kb6w1m8xf0gbb7n5d8jq2c4r", "key_id": "key_01kb6w1m8xf0gbb7n5d8jq2c4r", "ciphertext": "AAAA"}',
    '0x' || repeat('0', 40), '2026-01-01Z', '2026-01-01Z', '2026-01-01Z',
    CASE WHEN n <= 5 THEN 'voided' ELSE 'settled' END, NULL
FROM generate_series(%(first)s::INT, %(last)s::INT) AS n
"""


def fill(dsn: str, merchant: str, wallet_id: str, count: int, tail: str, say: Any) -> None:
    """Give a merchant payments, a million a statement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for first in range(1, count + 1, 1_000_000):
            last = min(first + 999_999, count)
            connection.execute(
                FILL,
                {
                    "merchant": ids.from_text("mer", merchant),
                    "wallet": ids.from_text("wal", wallet_id),
                    "tail": tail,
                    "first": first,
                    "last": last,
                },
            )
            say(f"  {last:,} payments")
        connection.execute("VACUUM ANALYZE gateway.payments")


def middle(count: int, tail: str) -> str:
    """Return the cursor to the payments before the middle one."""
    return ids.to_text("pay", UUID(f"0198{count // 2:08x}70008000{tail}"))


def page(client: httpx.Client, key: str, query: str) -> tuple[float, int]:
    """Return how long a page takes, in seconds, and how many payments it has."""
    started = perf_counter()
    answer = client.get(f"/v1/payments?limit=20{query}", headers={"Authorization": f"Bearer {key}"})
    took = perf_counter() - started
    answer.raise_for_status()
    return took, len(answer.json()["data"])


def measure(port: int, sides: dict[str, tuple[str, int, str]], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of every page, by what was asked and whose it is; both in turns."""
    found: dict[str, dict[str, list[float]]] = {}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client:
        for nth in range(rounds + 5):
            for side, (key, count, tail) in sides.items():
                queries = {
                    "newest": ("", 20),
                    "from the middle": (f"&cursor={middle(count, tail)}", 20),
                    "of a common state": ("&status=settled", 20),
                }
                if side == "large":
                    queries["of a rare state"] = ("&status=voided", 0)
                else:
                    queries["of a rare state"] = ("&status=voided", 5)
                for name, (query, expected) in queries.items():
                    took, shown = page(client, key, query)
                    if shown != expected:
                        raise SystemExit(f"a page {name} has {shown} payments, not {expected}")
                    if nth >= 5:  # the first warm up
                        found.setdefault(name, {}).setdefault(side, []).append(took)
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--payments", type=int, default=LARGE)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    console = Console()
    about = machine.describe() | {"fsync_per_second": round(machine.fsync_rate())}
    with tempfile.TemporaryDirectory(dir=os.environ.get("RIALTO_BENCH_DIR")) as directory:
        server = PostgresServer(Path(directory), durable=True)
        server.start()
        gateway: subprocess.Popen[bytes] | None = None
        try:
            database = server.create_database()
            [port] = free_ports(1)
            environment = gateway_environment(server, database.dsn("gateway"), port)
            gateway = subprocess.Popen([sys.executable, "-m", "rialto_gateway", "--role", "api"], env=environment)
            wait_for(f"http://127.0.0.1:{port}/readyz")
            wallet_id = add_wallet(database.superuser_dsn())
            sides: dict[str, tuple[str, int, str]] = {}
            for side, count, tail in (("large", chosen.payments, "0" * 12), ("small", SMALL, "0" * 11 + "1")):
                merchant, key = make_merchant(port, side)
                fill(
                    database.superuser_dsn(),
                    merchant,
                    wallet_id,
                    count,
                    tail,
                    lambda text: print(text, file=sys.stderr),
                )
                sides[side] = (key, count, tail)
            found = measure(port, sides, chosen.rounds)
        finally:
            if gateway is not None:
                gateway.terminate()
                gateway.wait(timeout=20)
            server.stop()
    table = Table("a page of 20", f"p50 of {chosen.payments:,}", "p99", f"p50 of {SMALL:,}", "p99")
    figures: dict[str, Any] = {"payments": chosen.payments}
    ratios = {}
    for name, of in found.items():
        p50 = {side: load.percentile(of[side], 0.5) * 1000 for side in of}
        p99 = {side: load.percentile(of[side], 0.99) * 1000 for side in of}
        figures[name] = {side: {"p50_ms": round(p50[side], 2), "p99_ms": round(p99[side], 2)} for side in of}
        ratios[name] = round(p50["large"] / p50["small"], 2)
        table.add_row(name, *(f"{value:,.1f} ms" for side in ("large", "small") for value in (p50[side], p99[side])))
    console.print(table)
    console.print(f"budget: {BUDGET_MS:.0f} ms; {json.dumps(about)}")
    console.print(f"written to {machine.write('listing', ratios, figures, about)}")


if __name__ == "__main__":
    main()
