"""Two ledger databases, entries between them through `in_transit:{shard}`, each killed at every step (I1, I4, I5, I10).

Real processes on a real Kafka die by `kill -9` at every crash point on a transfer's way, one after the other, while
transfers that are received and ones that are refused are under way. Then both books are right, and so is their sum.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rialto_cli.testing import Database, PostgresServer
from rialto_common import ids
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.kafka_publisher import KafkaPublisher
from rialto_common.events.common import PAYMENTS
from rialto_common.runtime import SystemRuntime
from rialto_ledger.domain.account import AccountSpec
from rialto_ledger.domain.shards import Shards
from rialto_ledger.testing import Payment, Sender, merchant_id, number_id
from rialto_ledger.transfer_testing import EAST, WEST, number_in, wallet_in

from .api_world import top_up_body, wallet_body
from .two_ledgers import LedgerProcess, TwoLedgers

FUNDS, AMOUNT = 10_000, 100
SOURCE, TARGET, CLOSED, MISSING = wallet_in(EAST, 0), wallet_in(WEST, 0), wallet_in(WEST, 1), wallet_in(WEST, 2)
BACK = 7
"""What each of the transfers the other way moves."""

SENDING = (
    *("ledger.poster.before_commit", "ledger.before_commit", "ledger.after_commit", "ledger.poster.after_commit"),
    *(f"east.relay.{place}" for place in ("before_publish", "before_kafka_commit", "after_publish", "after_record")),
)
"""From the request to Kafka."""
RECEIVING = (
    *("ledger.before_commit", "ledger.after_commit", "west.before_acknowledge", "west.after_acknowledge"),
    *(f"west.relay.{place}" for place in ("before_publish", "before_kafka_commit", "after_publish", "after_record")),
)
"""From Kafka to the answer on Kafka."""
ENDING = ("ledger.before_commit", "ledger.after_commit", "east.before_acknowledge", "east.after_acknowledge")
"""From the answer to its record, or to the entry that gives the money back."""


@pytest.fixture
def two(
    database: Database, postgres_server: PostgresServer, kafka_cluster: KafkaCluster, tmp_path: Path
) -> Iterator[TwoLedgers]:
    """Two ledgers that run."""
    other = postgres_server.create_database()
    running = TwoLedgers((database, other), kafka_cluster, tmp_path)
    yield running
    running.end()
    postgres_server.drop_database(other)


def transfer(number: int, source: AccountSpec, target: AccountSpec, amount: int) -> dict[str, Any]:
    return {
        "id": ids.to_text("trf", number_id("transfer", number)),
        "from_account_id": ids.to_text("wal", source.id),
        "to_account_id": ids.to_text("wal", target.id),
        "amount_minor": str(amount),
        "currency": "USD",
    }


async def open_wallets(two: TwoLedgers) -> None:
    """Wallets with funds in both, and one that is closed."""
    for ledger, shards in ((two.east, EAST), (two.west, WEST)):
        number = number_in(shards, 0)
        await ledger.insist("accounts", wallet_body(number))
        await ledger.insist("journal_entries", top_up_body(0, number, amount=str(FUNDS)))
    await two.west.insist("accounts", wallet_body(number_in(WEST, 1)))
    await two.west.insist(f"accounts/{ids.to_text('wal', CLOSED.id)}/close", {"reason": "a test"})


def states(ledger: LedgerProcess, side: str) -> list[tuple[str, str | None, int]]:
    """What became of transfers: state, refusal and how many."""
    return ledger.query(
        "SELECT state, refusal_code, count(*) FROM ledger.transfers WHERE side = %s GROUP BY 1, 2 ORDER BY 1, 2", side
    )


def balances(ledger: LedgerProcess) -> dict[str, int]:
    """The ledger's accounts, as debits minus credits, but those with nothing on them."""
    found = ledger.query("SELECT code, debits_minor - credits_minor FROM ledger.accounts")
    return {code: int(balance) for code, balance in found if balance}


def check_books(ledger: LedgerProcess) -> None:
    """I1, I5, and that totals are the sums of the journal."""
    signed = "CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END"
    unbalanced = f"SELECT entry_id FROM ledger.postings GROUP BY entry_id, currency HAVING sum({signed}) <> 0"
    assert ledger.query(unbalanced) == []
    assert ledger.query("SELECT sum(debits_minor - credits_minor) FROM ledger.accounts") == [(0,)]
    wrong = f"""
        SELECT a.code FROM ledger.accounts AS a LEFT JOIN ledger.postings AS p ON p.account_id = a.id
        GROUP BY a.id HAVING a.debits_minor - a.credits_minor <> coalesce(sum({signed}), 0)
    """
    assert ledger.query(wrong) == []
    assert ledger.query("SELECT count(*) FROM ledger.dead_letters") == [(0,)]


def check_all(two: TwoLedgers, *, received: int, refused: int, back: int) -> None:
    """Both books, what is in transit, and their sum."""
    for ledger in two:
        check_books(ledger)
    codes = ("account_closed", "account_not_found") if refused else ()
    assert states(two.east, "sender") == [("received", None, received), *(("returned", c, refused) for c in codes)]
    assert states(two.west, "receiver") == [("received", None, received), *(("refused", c, refused) for c in codes)]
    assert states(two.west, "sender") == states(two.east, "receiver") == ([("received", None, back)] if back else [])
    moved = received * AMOUNT - back * BACK
    east, west = balances(two.east), balances(two.west)
    assert east.pop(SOURCE.code) == -(FUNDS - moved)
    assert west.pop(TARGET.code) == -(FUNDS + moved)
    assert east.pop("acquirer:test:receivable") == west.pop("acquirer:test:receivable") == FUNDS
    # All that is left: each ledger has one half of what went through.
    assert all(code.startswith("in_transit:") for code in (*east, *west)), (east, west)
    assert {code: east.get(code, 0) + west.get(code, 0) for code in {*east, *west}} == dict.fromkeys({*east, *west}, 0)
    kinds = "SELECT kind, count(*) FROM ledger.journal_entries WHERE kind LIKE 'transfer%%' GROUP BY kind"
    sent, returned = received + 2 * refused, 2 * refused
    assert dict(two.east.query(kinds)) == {
        key: count
        for key, count in (("transfer_sent", sent), ("transfer_returned", returned), ("transfer_received", back))
        if count
    }
    assert dict(two.west.query(kinds)) == {
        key: count for key, count in (("transfer_received", received), ("transfer_sent", back)) if count
    }


def is_quiet(two: TwoLedgers, transfers: int) -> bool:
    """Whether everything that was asked for has ended at its sender."""
    under_way = "SELECT count(*) FILTER (WHERE state = 'sent'), count(*) FROM ledger.transfers WHERE side = 'sender'"
    found = [ledger.query(under_way)[0] for ledger in two]
    return [sum(column) for column in zip(*found, strict=True)] == [0, transfers]


async def test_killed_at_every_step_both_books_and_their_sum_are_right(two: TwoLedgers) -> None:
    await open_wallets(two)
    two.east.arm(*SENDING)
    two.west.arm(*RECEIVING)
    asked = [transfer(number, SOURCE, target, AMOUNT) for number, target in enumerate((TARGET, CLOSED, MISSING))]
    first = asyncio.gather(*(two.east.insist("transfers", each) for each in asked))
    for answer in await two.while_reviving(asyncio.ensure_future(first)):
        assert answer["state"] in ("sent", "received", "returned")

    # The answers are on their way once west has booked; east dies at what they make it do.
    answered = "SELECT count(*) FROM ledger.transfers WHERE side = 'receiver'"
    await two.until(lambda: two.west.query(answered) == [(3,)] and two.east.has_died_of_all)
    two.east.arm(*ENDING)
    await two.until(lambda: two.east.has_died_of_all and two.west.has_died_of_all and is_quiet(two, 3))
    assert sorted(two.east.deaths) == sorted([*SENDING, *ENDING])
    assert sorted(two.west.deaths) == sorted(RECEIVING)
    check_all(two, received=1, refused=1, back=0)

    # Asked for again, each is answered with what has become of it, and nothing moves.
    again = [await two.east.insist("transfers", each) for each in asked]
    assert [(each["state"], each["refusal_code"]) for each in again] == [
        ("received", None),
        ("returned", "account_closed"),
        ("returned", "account_not_found"),
    ]
    for ledger, state in ((two.east, "returned"), (two.west, "refused")):
        assert (await ledger.insist(f"transfers/{asked[1]['id']}"))["state"] == state
    check_all(two, received=1, refused=1, back=0)

    # And the other way, some at once.
    back = [transfer(number, TARGET, SOURCE, BACK) for number in range(10, 20)]
    await asyncio.gather(*(two.west.insist("transfers", each) for each in back))
    await two.until(lambda: is_quiet(two, 13))
    check_all(two, received=1, refused=1, back=10)


async def keep_sending(ledger: LedgerProcess, numbers: Iterator[int], stop: asyncio.Event) -> int:
    """Send one transfer after the other; return how many."""
    source, target, amount = (SOURCE, TARGET, AMOUNT) if ledger.name == "east" else (TARGET, SOURCE, BACK)
    sent = 0
    while not stop.is_set():
        await ledger.insist("transfers", transfer(next(numbers), source, target, amount))
        sent += 1
        await asyncio.sleep(0.2)
    return sent


async def test_a_database_killed_while_money_flows_both_ways_loses_and_doubles_none(
    database: Database,
    postgres_factory: Callable[..., PostgresServer],
    kafka_cluster: KafkaCluster,
    tmp_path: Path,
) -> None:
    server = postgres_factory(durable=True)
    two = TwoLedgers((server.create_database(), database), kafka_cluster, tmp_path)
    try:
        await open_wallets(two)
        stop, numbers = asyncio.Event(), itertools.count(100)
        clients = [asyncio.ensure_future(keep_sending(ledger, numbers, stop)) for ledger in two]
        for also in (None, two.east, two.west):
            await asyncio.sleep(1.0)
            if also is not None:
                await asyncio.to_thread(also.kill)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        stop.set()
        received, back = await asyncio.gather(*clients)
        assert received > 3
        assert back > 3
        await two.until(lambda: is_quiet(two, received + back))
        check_all(two, received=received, refused=0, back=back)
    finally:
        two.end()


def payment_of(number: int, merchant: Shards, wallet: Shards) -> Payment:
    """Return a payment whose merchant one ledger keeps and whose wallet one, perhaps another."""
    keeper = next(n for n in itertools.count() if merchant.keeps(ids.shard_of(merchant_id(n))))
    return Payment(number, amount_minor=AMOUNT, merchant_number=keeper, wallet_number=number_in(wallet, 0))


async def test_each_ledger_acts_on_the_payments_of_its_shards_alone(
    two: TwoLedgers, kafka_cluster: KafkaCluster
) -> None:
    await open_wallets(two)
    payments = [payment_of(0, EAST, EAST), payment_of(1, WEST, WEST), payment_of(2, EAST, WEST)]
    sender = Sender(SystemRuntime().now())
    publisher = await KafkaPublisher.open(kafka_cluster, "test-gateway")
    try:
        partitions = await publisher.partitions(PAYMENTS)
        events = [sender.approved(payment) for payment in payments]
        await publisher.publish([(event, event.shard % partitions) for event in events], before_commit=lambda: None)
    finally:
        await publisher.close()
    holds = "SELECT payment_id, status, refusal_code FROM ledger.holds ORDER BY payment_id"
    await two.until(lambda: len(two.east.query(holds)) == 2 and len(two.west.query(holds)) == 1)
    found = {payment_id: rest for ledger in two for payment_id, *rest in ledger.query(holds)}
    assert found == {
        payments[0].id: ["pending", None],
        payments[1].id: ["pending", None],
        payments[2].id: ["refused", "account_elsewhere"],
    }
    # What a ledger skips leaves no trace, so that it can still act on it once the shard is its own.
    handled = "SELECT event_id FROM ledger.inbox"
    kept = {event.id: "east" if EAST.keeps(event.shard) else "west" for event in events}
    for ledger in two:
        assert {row[0] for row in ledger.query(handled)} == {key for key, name in kept.items() if name == ledger.name}
