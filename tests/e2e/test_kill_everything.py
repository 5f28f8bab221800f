"""I10: `kill -9` of every process in the middle of a replay breaks no promise and pays nothing twice."""

import csv
import json
import random
import subprocess
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rialto_cli.embedded.services import PROGRAMS

from .chain import TOKEN_UNITS_PER_CENT, Chain
from .running import INVARIANTS, Rialto, eventually

ROWS = 600
RATE = 30
"""Rows a second: the replay then lasts longer than the seven kills and recoveries, and both cores are not taken up."""
VICTIMS = ("gateway", "fraud", "compliance", "ledger", "chain-bridge", "postgres", "anvil", "acquirer")
AT_REST = {"settled", "declined", "voided", "expired", "failed", "review"}
REPLAY_SECONDS = 240


def write_transactions(path: Path) -> None:
    """A morning of small purchases, the same every time."""
    draw = random.Random(1492)
    start = datetime(2026, 3, 2, 8, tzinfo=UTC)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"])
        for number in range(ROWS):
            at = start + timedelta(seconds=30 * number)
            amount = f"{draw.randrange(200, 6_000) / 100:.2f}"
            writer.writerow(
                [number, at.strftime("%Y-%m-%d %H:%M:%S"), draw.randrange(150), draw.randrange(40), amount, 0]
            )


class Replay:
    """`rialto replay FILE --json` in a process of its own, watched through the database it fills."""

    def __init__(self, rialto: Rialto, file: Path) -> None:
        self._rialto = rialto
        self._before = self._payments()
        self._output, self._errors = file.with_suffix(".report"), file.with_suffix(".err")
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                rialto.command("replay", str(file), "--json", "--rate", str(RATE)), stdout=output, stderr=errors
            )

    def accepted(self) -> int:
        """How many of its payments are in the database; 0 while that is away."""
        assert self._process.poll() is None, f"the replay ended early: {self._errors.read_text()}"
        with suppress(psycopg.OperationalError):
            return self._payments() - self._before
        return 0

    def report(self) -> dict[str, Any]:
        """What it printed in the end."""
        try:
            self._process.wait(REPLAY_SECONDS)
        except subprocess.TimeoutExpired:
            self.end()
            pytest.fail(f"the replay has not ended in {REPLAY_SECONDS} s: {self._errors.read_text()[-2000:]}")
        return dict(json.loads(self._output.read_text() or "{}")) | {"said": self._errors.read_text()}

    def end(self) -> None:
        """End the process, whatever it is doing."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _payments(self) -> int:
        (row,) = self._rialto.rows("SELECT count(*) AS count FROM gateway.payments")
        return int(row["count"])


def kill_one_after_the_other(rialto: Rialto, replay: Replay) -> dict[str, int]:
    """Kill each program once, by the replay's progress; return the process ids they had."""
    killed = {}
    for nth, name in enumerate(VICTIMS, 1):
        milestone = nth * ROWS // (len(VICTIMS) + 2)
        eventually(lambda goal=milestone: replay.accepted() >= goal, f"{milestone} payments are accepted")  # type: ignore[misc]
        killed[name] = rialto.kill(name)
    return killed


def test_each_process_is_killed_once_during_a_replay(rialto: Rialto, tmp_path: Path) -> None:
    assert set(VICTIMS) == set(PROGRAMS)
    file = tmp_path / "transactions.csv"
    write_transactions(file)
    replay = Replay(rialto, file)
    try:
        killed = kill_one_after_the_other(rialto, replay)
        report = replay.report()
    finally:
        replay.end()

    assert report["ok"], {name: report.get(name) for name in ("failures", "states", "books", "said")}
    assert (report["submitted"], report["accepted"], report["rejected"]) == (ROWS, ROWS, {})
    assert report["unfinished"] == 0
    assert set(report["states"]) <= AT_REST, report["states"]
    assert report["states"]["settled"] >= 0.9 * ROWS, report["states"]
    assert all(report["books"][name]["checked"] > 0 for name in INVARIANTS)
    after = rialto.pids()
    assert all(after[name] != pid for name, pid in killed.items()), "the supervisor started each again"
    assert_paid_once(rialto, report)
    rialto.check_books()


def assert_paid_once(rialto: Rialto, report: dict[str, Any]) -> None:
    """Row by row, without the audit's help: one payment a row, one capture, one payout on chain, of the same amount."""
    rows = rialto.rows(
        """
        SELECT p.payment_id, p.state, p.amount_minor, p.payee_address, p.metadata ->> 'row' AS row,
            (
                SELECT array_agg(line.amount_minor)
                FROM ledger.journal_entries AS entry JOIN ledger.postings AS line ON line.entry_id = entry.id
                WHERE entry.payment_id = p.payment_id AND entry.kind = 'capture' AND line.side = 'credit'
            ) AS captures
        FROM gateway.payments AS p WHERE p.metadata ->> 'replay' = (
            SELECT metadata ->> 'replay' FROM gateway.payments
            WHERE metadata ->> 'replay' IS NOT NULL ORDER BY payment_id DESC LIMIT 1
        )
        """
    )
    assert len(rows) == ROWS
    assert len({row["row"] for row in rows}) == ROWS
    assert Counter(row["state"] for row in rows) == Counter(report["states"])
    paid: dict[Any, list[tuple[str, int]]] = {}
    for log in Chain(rialto).paid():
        paid.setdefault(log.payment_id, []).append((log.payee, log.token_units))
    for row in rows:
        settled = row["state"] == "settled"
        assert row["captures"] == ([row["amount_minor"]] if settled else None), row
        payout = (row["payee_address"].lower(), int(row["amount_minor"]) * TOKEN_UNITS_PER_CENT)
        assert paid.get(row["payment_id"], []) == ([payout] if settled else []), row
