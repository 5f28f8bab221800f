"""The end of a run: everything comes to rest, then the clients' own book is held against the database and the chain."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from rialto_cli.audit import text_ids
from rialto_cli.audit.chain import Node, Payout
from rialto_cli.torture.book import Book
from rialto_cli.torture.customers import FINAL, Customers

TOKEN_UNITS_A_CENT = 10_000
"""The test stablecoin has six decimals, the dollar two."""
PAUSE_SECONDS = 0.5
MOST_EXAMPLES = 20

_PAYMENTS = """
SELECT p.payment_id, p.idempotency_key, p.state, p.amount_minor, p.amount_captured_minor, p.payee_address,
    coalesce((
        SELECT sum(line.amount_minor)
        FROM ledger.journal_entries AS entry JOIN ledger.postings AS line ON line.entry_id = entry.id
        WHERE entry.payment_id = p.payment_id AND entry.kind = 'capture' AND line.side = 'credit'
    ), 0) AS booked_minor,
    p.amount_refunded_minor,
    coalesce((
        SELECT sum(line.amount_minor)
        FROM ledger.journal_entries AS entry JOIN ledger.postings AS line ON line.entry_id = entry.id
        WHERE entry.payment_id = p.payment_id AND entry.kind = 'refund' AND line.side = 'credit'
    ), 0) AS given_back_minor
FROM gateway.payments AS p
"""
_WALLETS = """
SELECT account_id AS wallet_id, sum(CASE side WHEN 'credit' THEN amount_minor ELSE -amount_minor END) AS amount_minor
FROM ledger.postings GROUP BY account_id
"""
_DELIVERED = "SELECT delivery_id FROM gateway.webhook_deliveries WHERE state = 'delivered'"
_RESTLESS = """
SELECT state, count(*) AS payments FROM gateway.payments
WHERE state <> ALL (%s) OR refund_pending_minor > 0 GROUP BY state
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A payment as the database has it: `captured_minor` for the gateway, `booked_minor` in the ledger.

    So are `refunded_minor` and `given_back_minor`.
    """

    payment_id: str
    key: str
    state: str
    amount_minor: int
    captured_minor: int
    booked_minor: int
    payee: str
    refunded_minor: int = 0
    given_back_minor: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What database and chain say at rest. Amounts of wallets in minor units, by the wallet's id."""

    payments: Sequence[Held]
    wallets: Mapping[str, int]
    payouts: Sequence[Payout]
    delivered: frozenset[str]


def read(auditor_dsn: str, rpc: str) -> Facts:
    """Read the facts. Raises: psycopg.Error. ChainUnreadable."""
    node = Node(rpc)
    with psycopg.connect(auditor_dsn, row_factory=dict_row) as connection:
        contracts = connection.execute("SELECT settlement_address FROM chain_bridge.deployments").fetchall()
        payments = connection.execute(_PAYMENTS).fetchall()
        wallets = connection.execute(_WALLETS).fetchall()
        delivered = connection.execute(_DELIVERED).fetchall()
    held = [_held(row) for row in payments]
    due = {payment.payment_id for payment in held if payment.captured_minor}
    return Facts(
        held,
        {text_ids.of_bytes("wal", row["wallet_id"].bytes): int(row["amount_minor"]) for row in wallets},
        [payout for row in contracts for payout in paid_by(node, row["settlement_address"], due)],
        frozenset(text_ids.of_bytes("msg", row["delivery_id"].bytes) for row in delivered),
    )


def paid_by(node: Node, contract: str, due: Collection[str]) -> list[Payout]:
    """Return what a contract has paid, and of what is due also what it remembers without an event that tells of it.

    A node that was killed can come back with its last block's effects and without its log. Raises: ChainUnreadable.
    """
    head = node.newest_block().number
    told = node.payouts(contract, head)
    untold = sorted(set(due) - {payout.payment_id for payout in told})
    return [*told, *node.remembered(contract, untold, head).values()]


def weigh(book: Book, facts: Facts) -> list[str]:
    """Return every way in which the facts contradict what the clients were told, a sentence each."""
    wrong = list(book.wrong)
    held = {payment.payment_id: payment for payment in facts.payments}
    paid: dict[str, list[Payout]] = defaultdict(list)
    for payout in facts.payouts:
        paid[payout.payment_id].append(payout)
    for asked in book.accepted:
        found = held.get(str(asked.payment_id))
        if found is None:
            wrong.append(f"{asked.payment_id} was answered 2xx, and is not there")
        elif (found.key, found.amount_minor) != (asked.key, asked.amount_minor):
            wrong.append(f"{asked.payment_id} is {found.amount_minor} under {found.key}, not what was asked for")
    for payment in facts.payments:
        wrong += _wrong_with(payment, paid.pop(payment.payment_id, []))
    wrong += [f"{payment_id} was paid on chain, and is no payment" for payment_id in paid]
    wrong += _wrong_captures(book, held) + _wrong_wallets(book, facts, held)
    unheard = facts.delivered - book.webhooks.keys()
    return wrong + [f"webhook {message} counts as delivered, and nobody took it" for message in sorted(unheard)]


def _wrong_with(payment: Held, payouts: Sequence[Payout]) -> list[str]:
    """One payment at rest: final, its captures booked, and paid on chain once, to the cent, if there were any."""
    wrong = []
    if payment.state not in FINAL:
        wrong.append(f"{payment.payment_id} has not ended: it is {payment.state}")
    if payment.captured_minor != payment.booked_minor:
        wrong.append(f"{payment.payment_id} captured {payment.captured_minor}; the ledger {payment.booked_minor}")
    if payment.refunded_minor != payment.given_back_minor:
        wrong.append(f"{payment.payment_id} refunded {payment.refunded_minor}; the ledger {payment.given_back_minor}")
    due = [(payment.payee.lower(), payment.captured_minor * TOKEN_UNITS_A_CENT)] if payment.captured_minor else []
    got = [(payout.payee.lower(), payout.amount) for payout in payouts]
    if got != due:
        wrong.append(f"{payment.payment_id} ({payment.state}) was paid {got} on chain, not {due}")
    return wrong


def _wrong_captures(book: Book, held: Mapping[str, Held]) -> list[str]:
    believed: dict[str, int] = defaultdict(int)
    for made in book.captures.values():
        believed[made.payment_id] += made.amount_minor if made.succeeded else 0
    return [
        f"the clients saw {amount} of {payment_id} captured; the ledger has {held[payment_id].booked_minor}"
        for payment_id, amount in believed.items()
        if payment_id in held and held[payment_id].booked_minor != amount
    ]


def _wrong_wallets(book: Book, facts: Facts, held: Mapping[str, Held]) -> list[str]:
    spent: dict[str, int] = defaultdict(int)
    for asked in book.accepted:
        if (found := held.get(str(asked.payment_id))) is not None:
            spent[asked.wallet] += found.booked_minor - found.given_back_minor
    return [
        f"{wallet} holds {facts.wallets.get(wallet, 0)}; {put_in} were put in and {spent[wallet]} spent"
        for wallet, put_in in book.top_ups.items()
        if facts.wallets.get(wallet, 0) != put_in - spent[wallet]
    ]


async def drain(customers: Customers, auditor_dsn: str, *, timeout_seconds: float) -> dict[str, int]:
    """Void and decide what waits for people until nothing moves any more; returns what is still not final, by state."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        await customers.review()
        await customers.release()
        left = await asyncio.to_thread(restless, auditor_dsn)
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(PAUSE_SECONDS)


def restless(auditor_dsn: str) -> dict[str, int]:
    """How many payments are not final, by state. Raises: psycopg.Error."""
    with psycopg.connect(auditor_dsn, row_factory=dict_row) as connection:
        rows = connection.execute(_RESTLESS, [sorted(FINAL)]).fetchall()
    return {str(row["state"]): int(row["payments"]) for row in rows}


def _held(row: Mapping[str, Any]) -> Held:
    return Held(
        payment_id=text_ids.of_bytes("pay", row["payment_id"].bytes),
        key=row["idempotency_key"],
        state=row["state"],
        amount_minor=int(row["amount_minor"]),
        captured_minor=int(row["amount_captured_minor"]),
        booked_minor=int(row["booked_minor"]),
        payee=row["payee_address"],
        refunded_minor=int(row["amount_refunded_minor"]),
        given_back_minor=int(row["given_back_minor"]),
    )
