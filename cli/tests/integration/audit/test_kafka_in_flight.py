"""On Kafka, a platform in motion raises no false alarm: not while relays copy, nor while they copy again."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest

from rialto_cli.audit import books
from rialto_cli.audit.book import Books
from rialto_cli.audit.bus_url import read
from rialto_cli.kafka_testing import KafkaBroker, create_topics
from rialto_cli.testing import AnvilNode, Database
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.errors import BusUnavailable

from .test_in_flight import paid, wrong
from .world import InProcess, World

SPREAD_WIDER = "SELECT count(*) FROM bus.relayed WHERE partitions = 16 AND topic NOT LIKE '%.dlq'"


class Stumbling(InProcess):
    """Loses every third relay right after Kafka's commit, so that its batch is copied again; counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0
        self._nth = itertools.count(1)

    def crash_point(self, name: str) -> None:
        """Be lost here, or not."""
        if name.endswith(".relay.after_publish") and next(self._nth) % 3 == 0:
            self.lost += 1
            raise BusUnavailable("lost before it was recorded")


@pytest.fixture
def url(kafka: KafkaBroker, kafka_cluster: KafkaCluster) -> str:
    """The bus of the test's own."""
    return f"{kafka.url}/{kafka_cluster.prefix}"


@pytest.fixture
async def world(database: Database, own_anvil: AnvilNode, url: str) -> AsyncIterator[World]:
    """A world of the test's own on Kafka, with relays that get lost."""
    made = World(database, own_anvil, url)
    made.runtime = Stumbling()
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def own_anvil(anvil_factory: Callable[[], AnvilNode]) -> AnvilNode:
    """A chain of the test's own."""
    return anvil_factory()


async def audit(database: Database, anvil: AnvilNode, url: str) -> Books:
    """Return the books as they are now, without a second look."""
    dsn, cluster = database.dsn("auditor"), read(url, {})
    return await asyncio.to_thread(books.run, dsn, anvil.url, cluster=cluster, settle_seconds=0)


async def test_a_platform_that_runs_on_kafka_raises_no_false_alarm(
    world: World, database: Database, own_anvil: AnvilNode, url: str, kafka_cluster: KafkaCluster
) -> None:
    looks = 0
    async with world.running():
        payments = await paid(world, 30)
        settled = asyncio.ensure_future(world.until((payment, "settled") for payment in payments))
        while not settled.done():
            assert wrong(await audit(database, own_anvil, url)) == {}
            looks += 1
        await settled
        # Spread over more partitions, it goes on as before.
        await asyncio.to_thread(create_topics, kafka_cluster, partitions=16)
        merchant, wallet = await world.merchant("More books"), await world.wallet("richer", 100_000)
        with psycopg.connect(database.dsn("auditor"), autocommit=True) as connection:
            async with asyncio.timeout(60):
                for number in itertools.count():
                    await world.pay(merchant, wallet, f"more {number}", 500)
                    assert wrong(await audit(database, own_anvil, url)) == {}
                    if connection.execute(SPREAD_WIDER).fetchone() == (5,):
                        break
        last = await world.pay(merchant, wallet, "last", 500)
        await world.until([(last, "settled")])
    assert looks
    assert isinstance(world.runtime, Stumbling)
    assert world.runtime.lost
    found = await audit(database, own_anvil, url)
    assert wrong(found) == {}
    with psycopg.connect(database.dsn("auditor")) as connection:
        row = connection.execute("SELECT count(*) FROM bus.log").fetchone()
    assert row is not None
    assert sum(found["I8"].details["bus"]["records"].values()) > row[0], "some were copied again"
    with pytest.raises(books.AuditFailed, match="--bus-url"):
        await audit(database, own_anvil, "postgres")
