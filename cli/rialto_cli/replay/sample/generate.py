"""Makes `payments.csv`: two days of card transactions by an invented town, the same bytes at every run.

    python -m rialto_cli.replay.sample.generate

Customers spend around a level of their own at a few terminals near them, mostly by day. Three kinds of fraud are
mixed in: single large amounts, a terminal whose reader was tampered with (everything paid there for some hours), and
stolen cards (a burst of purchases at several times the owner's level).
"""

import csv
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

SEED = 69
CUSTOMERS = 130
TERMINALS = 60
START = datetime(2024, 3, 4, tzinfo=UTC)
DAYS = 2
COLUMNS = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD")
PATH = Path(__file__).parent / "payments.csv"

_STOLEN_CARDS = 1
_LARGE_AMOUNTS = 2
_TAMPERED_HOURS = 3


@dataclass(frozen=True, slots=True)
class Transaction:
    """One purchase; the amount is in cents."""

    at: datetime
    customer: int
    terminal: int
    amount_minor: int
    fraud: bool


def generate(seed: int = SEED) -> list[Transaction]:
    """Return the transactions by time."""
    draw = random.Random(seed)  # noqa: S311 - a reproducible sample, not a secret
    made: list[Transaction] = []
    levels: dict[int, float] = {}
    haunts: dict[int, list[int]] = {}
    for customer in range(CUSTOMERS):
        levels[customer] = 8 + 70 * draw.random() ** 2
        haunts[customer] = draw.sample(range(TERMINALS), 4)
        for day in range(DAYS):
            for _ in range(_purchases(draw)):
                terminal = haunts[customer][draw.randrange(4)]
                made.append(Transaction(_moment(draw, day), customer, terminal, _amount(draw, levels[customer]), False))
    for _ in range(_LARGE_AMOUNTS):
        customer = draw.randrange(CUSTOMERS)
        amount = 60_000 + draw.randrange(60_000)
        made.append(Transaction(_moment(draw, 1), customer, haunts[customer][0], amount, True))
    for _ in range(_STOLEN_CARDS):
        customer = draw.randrange(CUSTOMERS)
        begins = START + timedelta(days=1, hours=2, minutes=draw.randrange(60))
        for step in range(6):
            amount = int(_amount(draw, levels[customer]) * 5)
            at = begins + timedelta(minutes=4 * step, seconds=draw.randrange(60))
            made.append(Transaction(at, customer, draw.randrange(TERMINALS), amount, True))
    tampered, opens = draw.randrange(TERMINALS), START + timedelta(days=1, hours=11)
    closes = opens + timedelta(hours=_TAMPERED_HOURS)
    marked = [
        Transaction(each.at, each.customer, each.terminal, each.amount_minor, True)
        if each.terminal == tampered and opens <= each.at < closes
        else each
        for each in made
    ]
    return sorted(marked, key=lambda each: (each.at, each.customer))


def write(path: Path, transactions: list[Transaction]) -> None:
    """Write the transactions in the columns of the card-transaction files."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number, each in enumerate(transactions):
            major, minor = divmod(each.amount_minor, 100)
            at = each.at.strftime("%Y-%m-%d %H:%M:%S")
            writer.writerow((number, at, each.customer, each.terminal, f"{major}.{minor:02}", int(each.fraud)))


def _purchases(draw: random.Random) -> int:
    return sum(draw.random() < 0.4 for _ in range(4))


def _moment(draw: random.Random, day: int) -> datetime:
    """A time of day around early afternoon: the mean of three draws over the day, a little later."""
    share = (draw.random() + draw.random() + draw.random()) / 3
    return START + timedelta(days=day, seconds=int(min(share + 0.06, 0.999) * 86_400))


def _amount(draw: random.Random, level: float) -> int:
    """An amount in cents around a customer's level, between a fifth and about twice of it."""
    return max(100, int(level * 100 * (0.2 + 0.9 * (draw.random() + draw.random()))))


if __name__ == "__main__":
    write(PATH, generate())
