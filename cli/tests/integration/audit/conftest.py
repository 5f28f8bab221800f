"""One consistent world, made by the real services."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from rialto_cli.kafka_testing import KafkaBroker, create_topics
from rialto_cli.testing import AnvilNode, Database, PostgresServer
from rialto_common import ids

from .kafka_scene import KafkaScene
from .world import World


@dataclass(frozen=True, slots=True)
class Scene:
    """A finished world: its database, its chain, and its payments by what became of them."""

    database: Database
    anvil: AnvilNode
    payments: dict[str, str]
    subscriptions: set[tuple[str, str, str]]


async def play(world: World) -> dict[str, str]:
    """Send payments of every kind through the services; return their ids by what became of them."""
    await world.start()
    async with world.running():
        books, bikes = await world.merchant("Books"), await world.merchant("Bikes")
        rich, poor = await world.wallet("rich", 1_000_000), await world.wallet("poor", 500)
        settled = {f"settled {n}": await world.pay(books, rich, f"settled {n}", 1_000 + n) for n in range(4)}
        settled |= {"settled 4": await world.pay(bikes, rich, "settled 4", 700)}
        manual = {
            name: await world.pay(bikes, rich, name, 2_000, capture_method="manual")
            for name in ("in parts", "voided", "held")
        }
        declined = {"declined": await world.pay(books, poor, "declined", 600)}
        await world.until((payment, "authorised") for payment in manual.values())
        raised = f"/v1/payments/{manual['held']}/increments"
        await world.post(raised, {"amount_minor": 2_500}, key=bikes, name="raise")
        parts = manual.pop("in parts")
        for nth, amount in enumerate((300, 500)):
            body = {"amount_minor": amount, "final": nth == 1}
            await world.post(f"/v1/payments/{parts}/capture", body, key=bikes, name=f"capture {nth}")
            if nth == 0:
                await world.until_captured(parts, bikes, amount)
                refunds = f"/v1/payments/{parts}/refunds"
                for number, part in enumerate((100, 150)):
                    await world.post(refunds, {"amount_minor": part}, key=bikes, name=f"refund {number}")
        await world.post(f"/v1/payments/{manual['voided']}/void", {}, key=bikes, name="void")
        settled |= {"in parts": parts, "paid out": await pay_out(world, rich)}
        await world.until((payment, "settled") for payment in settled.values())
        await world.until([(manual["voided"], "voided"), (declined["declined"], "declined")])
        await keep_books(world, rich)
        await world.ask_chain("anvil_mine", "0x5")
        await asyncio.sleep(1)
    await world.close()
    return settled | manual | declined


async def pay_out(world: World, wallet: str) -> str:
    """Have a merchant's payment paid when it asks for that, and not before; return the payment."""
    bakery = await world.merchant("Bakery")
    await world.set_payouts(bakery, "manual")
    payment = await world.pay(bakery, wallet, "paid out", 900)
    await world.until([(payment, "captured")])
    await world.post("/v1/payouts", {"currency": "USD"}, key=bakery, name="payout")
    return payment


async def keep_books(world: World, wallet: str) -> None:
    """Do what the ledger's own API does beside payments: entries, a reversal, holds, statuses, a limit."""

    def id_of(prefix: str) -> str:
        return ids.to_text(prefix, world.runtime.ids.mint())

    limit = {"code": "expense:vouchers", "type": "expense", "currency": "USD", "maximum_balance_minor": "900"}
    vouchers = (await world.ask_ledger("/v1/accounts", limit))["id"]
    lines = [
        {"account_id": account, "side": side, "amount_minor": "900", "currency": "USD"}
        for account, side in ((vouchers, "debit"), (wallet, "credit"))
    ]
    posted = [{"id": id_of("je"), "kind": "voucher", "postings": lines}]
    for _ in range(2):
        await world.ask_ledger("/v1/journal_entries/batch", {"entries": posted})
    await world.ask_ledger(f"/v1/journal_entries/{posted[0]['id']}/reversal", {})
    await world.ask_ledger("/v1/journal_entries", {**posted[0], "id": id_of("je")})
    until = (world.runtime.now() + timedelta(days=1)).isoformat()
    for captured in (True, False):
        amount = {"amount_minor": "250", "currency": "USD"}
        hold = {"id": id_of("hold"), "account_id": wallet, "expires_at": until, **amount}
        await world.ask_ledger("/v1/holds", hold)
        part = {"id": id_of("je"), "to_account_id": vouchers, "amount_minor": "100", "final": False}
        if captured:
            await world.ask_ledger(f"/v1/holds/{hold['id']}/capture", part)
        await world.ask_ledger(f"/v1/holds/{hold['id']}/void", {})
    for verb in ("freeze", "unfreeze"):
        await world.ask_ledger(f"/v1/accounts/{wallet}/{verb}", {"reason": "a drill"})


@pytest.fixture(scope="session")
def scene(postgres_server: PostgresServer, server_directory: Path) -> Iterator[Scene]:
    """The world, and its chain which stays up. Leave both as they are."""
    anvil = AnvilNode(server_directory)
    database = postgres_server.create_database()
    try:
        anvil.start()
        world = World(database, anvil)
        payments = asyncio.run(play(world))
        subscriptions = set().union(*(service.subscriptions for service in world.services.values()))
        yield Scene(database, anvil, payments, subscriptions)
    finally:
        anvil.stop()


@pytest.fixture(scope="session")
def kafka_played(
    kafka_broker: KafkaBroker | None, postgres_server: PostgresServer, server_directory: Path
) -> Iterator[KafkaScene | None]:
    """The world on Kafka; None where there can be no broker."""
    if kafka_broker is None:
        yield None
        return
    prefix = f"audit-{os.getpid()}"
    create_topics(kafka_broker.cluster(prefix))
    anvil = AnvilNode(server_directory)
    database = postgres_server.create_database()
    try:
        anvil.start()
        asyncio.run(play(World(database, anvil, f"{kafka_broker.url}/{prefix}")))
        yield KafkaScene(database, anvil, kafka_broker, prefix)
    finally:
        anvil.stop()


@pytest.fixture
def kafka_scene(kafka: KafkaBroker, kafka_played: KafkaScene | None) -> KafkaScene:
    """The world on Kafka, and its chain which stays up. Leave both as they are."""
    assert kafka_played is not None
    return kafka_played
