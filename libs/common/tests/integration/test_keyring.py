"""Personal data on a real database, each service with its own rights."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from rialto_cli.testing import Database
from rialto_common.database import Pool, open_pool
from rialto_common.errors import PaymentError
from rialto_common.events.common import Sealed
from rialto_common.keyring import Keyring, PersonErased, SealBroken
from rialto_common.simulation import SimulatedRuntime
from rialto_common.testing import root_of

MASTER_KEY = bytes(range(32))
MERCHANT = root_of(1)
ADA = b'{"name":"Ada"}'


class Office:
    """A process of a service: its pool, its clock and its keyring with a cache of its own."""

    def __init__(self, pool: Pool, seed: int, master_key: bytes = MASTER_KEY) -> None:
        self.pool = pool
        self.runtime = SimulatedRuntime(seed)
        self.keyring = Keyring(master_key, self.runtime)

    def party(self, name: str) -> UUID:
        return self.keyring.party_id(MERCHANT, {"name": name})

    async def seal(self, party_id: UUID, text: bytes = ADA) -> Sealed:
        async with self.pool.acquire() as connection, connection.transaction():
            (sealed,) = await self.keyring.seal(connection, [(party_id, text)])
            return sealed

    async def open(self, *sealed: Sealed) -> Sequence[bytes | PaymentError]:
        async with self.pool.acquire() as connection:
            return await self.keyring.open(connection, sealed)

    async def destroy(self, party_id: UUID) -> bool:
        async with self.pool.acquire() as connection, connection.transaction():
            return await self.keyring.destroy(connection, party_id)

    async def a_minute_later(self) -> None:
        await self.runtime.sleep(61)


@pytest.fixture
async def pools(module_database: Database) -> AsyncIterator[dict[str, Pool]]:
    owner = await asyncpg.connect(module_database.dsn("owner"))
    await owner.execute("TRUNCATE keyring.keys")
    await owner.close()
    async with AsyncExitStack() as stack:
        yield {
            role: await stack.enter_async_context(await open_pool(module_database.dsn(role), application="keyring"))
            for role in ("gateway", "compliance", "ledger", "fraud", "chain_bridge", "auditor")
        }


@pytest.fixture
def gateway(pools: dict[str, Pool]) -> Office:
    return Office(pools["gateway"], 1)


@pytest.fixture
def compliance(pools: dict[str, Pool]) -> Office:
    return Office(pools["compliance"], 2)


async def test_what_the_gateway_seals_compliance_opens(gateway: Office, compliance: Office) -> None:
    ada, ben = gateway.party("Ada"), gateway.party("Ben")
    async with gateway.pool.acquire() as connection, connection.transaction():
        sealed = await gateway.keyring.seal(connection, [(ada, ADA), (ben, b"Ben"), (ada, b"Ada again")])
    assert await compliance.open(*sealed) == [ADA, b"Ben", b"Ada again"]
    assert sealed[0].key_id == sealed[2].key_id != sealed[1].key_id


async def test_a_sealed_text_shows_nothing_and_never_looks_the_same_twice(gateway: Office) -> None:
    ada = gateway.party("Ada")
    one, other = await gateway.seal(ada), await gateway.seal(ada)
    assert one.ciphertext != other.ciphertext
    assert "Ada" not in one.model_dump_json()


async def test_a_person_has_one_id_within_a_merchant_and_another_elsewhere(gateway: Office, compliance: Office) -> None:
    assert gateway.party("Ada") == compliance.party("Ada")
    assert gateway.party("Ada") != gateway.party("Ben")
    assert gateway.party("Ada") != gateway.keyring.party_id(root_of(2), {"name": "Ada"})
    facts = {"name": "Ada", "country": "GB"}
    assert gateway.keyring.party_id(MERCHANT, facts) == gateway.keyring.party_id(
        MERCHANT, dict(reversed(list(facts.items())))
    )


@pytest.mark.parametrize("role", ["ledger", "fraud", "chain_bridge", "auditor"])
async def test_the_other_services_may_not_even_look_into_the_keyring(pools: dict[str, Pool], role: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="keyring"):
        await pools[role].fetch("SELECT party_id FROM keyring.keys")


async def test_compliance_may_open_but_neither_make_change_nor_destroy_keys(
    gateway: Office, compliance: Office
) -> None:
    ada = gateway.party("Ada")
    await gateway.seal(ada)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await compliance.seal(compliance.party("Ben"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await compliance.destroy(ada)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM keyring.keys",
        "UPDATE keyring.keys SET party_id = key_id",
        "UPDATE keyring.keys SET key_id = party_id",
        "UPDATE keyring.keys SET created_at = created_at",
        "TRUNCATE keyring.keys",
    ],
)
async def test_the_gateway_may_destroy_a_key_but_not_its_trace(gateway: Office, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await gateway.pool.execute(statement)


async def test_an_erased_person_is_unreadable_everywhere_within_a_minute(gateway: Office, compliance: Office) -> None:
    ada = gateway.party("Ada")
    sealed = await gateway.seal(ada)
    assert await compliance.open(sealed) == [ADA]
    assert await gateway.destroy(ada)
    (own,) = await gateway.open(sealed)
    assert isinstance(own, PersonErased)
    await compliance.a_minute_later()
    (theirs,) = await compliance.open(sealed)
    assert isinstance(theirs, PersonErased)
    assert not await gateway.destroy(ada)


async def test_nothing_more_is_sealed_for_an_erased_person(gateway: Office) -> None:
    ada, ben = gateway.party("Ada"), gateway.party("Ben")
    sealed = await gateway.seal(ben, b"Ben")
    await gateway.seal(ada)
    await gateway.destroy(ada)
    with pytest.raises(PersonErased):
        await gateway.seal(ada)
    assert await gateway.open(sealed) == [b"Ben"]


async def test_an_erasure_that_was_rolled_back_erases_nobody(gateway: Office) -> None:
    ada = gateway.party("Ada")
    sealed = await gateway.seal(ada)
    async with gateway.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await gateway.keyring.destroy(connection, ada)
        await transaction.rollback()
    assert await gateway.open(sealed) == [ADA]


@pytest.mark.parametrize("savepoint", [False, True], ids=["plain", "inside-a-savepoint"])
async def test_a_key_whose_creation_was_rolled_back_is_never_used_again(
    gateway: Office, compliance: Office, savepoint: bool
) -> None:
    ada = gateway.party("Ada")
    async with gateway.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        if savepoint:
            async with connection.transaction():
                await gateway.keyring.seal(connection, [(ada, ADA)])
        else:
            await gateway.keyring.seal(connection, [(ada, ADA)])
        # The second look finds the transaction's own row, which must not be cached either.
        (lost,) = await gateway.keyring.seal(connection, [(ada, ADA)])
        assert await gateway.keyring.open(connection, [lost]) == [ADA]
        await transaction.rollback()
    sealed = await gateway.seal(ada)
    assert sealed.key_id != lost.key_id
    assert await compliance.open(sealed) == [ADA]
    assert await gateway.open(sealed) == [ADA]


async def test_a_committed_key_is_cached_even_for_a_transaction_that_has_written(gateway: Office) -> None:
    ada = gateway.party("Ada")
    sealed = await gateway.seal(ada)
    async with gateway.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_current_xact_id()")
        await gateway.keyring.seal(connection, [(ada, ADA)])
    unusable: Any = None
    assert await gateway.keyring.open(unusable, [sealed]) == [ADA]


async def test_two_processes_that_meet_a_person_at_once_agree_on_one_key(pools: dict[str, Pool]) -> None:
    one, other = Office(pools["gateway"], 1), Office(pools["gateway"], 2)
    ada = one.party("Ada")
    async with one.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        (first,) = await one.keyring.seal(connection, [(ada, ADA)])
        waiting = asyncio.create_task(other.seal(ada, b"the other"))
        pid = connection.get_server_pid()
        while not await one.pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))", pid
        ):
            assert not waiting.done()
        await transaction.commit()
    second = await waiting
    assert second.key_id == first.key_id
    assert await one.open(first, second) == [ADA, b"the other"]
    assert await one.pool.fetchval("SELECT count(*) FROM keyring.keys") == 1


async def test_when_the_first_of_two_processes_rolls_back_the_second_makes_the_key(pools: dict[str, Pool]) -> None:
    one, other = Office(pools["gateway"], 1), Office(pools["gateway"], 2)
    ada = one.party("Ada")
    async with one.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await one.keyring.seal(connection, [(ada, ADA)])
        waiting = asyncio.create_task(other.seal(ada))
        pid = connection.get_server_pid()
        while not await one.pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))", pid
        ):
            assert not waiting.done()
        await transaction.rollback()
    sealed = await waiting
    assert await one.open(sealed) == [ADA]


async def test_an_altered_or_moved_ciphertext_is_refused_and_spoils_no_other(
    gateway: Office, compliance: Office
) -> None:
    ada, ben = gateway.party("Ada"), gateway.party("Ben")
    sealed, bens = await gateway.seal(ada), await gateway.seal(ben, b"Ben")
    swapped = "B" if sealed.ciphertext[30] == "A" else "A"
    altered = sealed.ciphertext[:30] + swapped + sealed.ciphertext[31:]
    wrong = [
        sealed.model_copy(update={"ciphertext": altered}),
        sealed.model_copy(update={"party_id": ben, "key_id": bens.key_id}),
        sealed.model_copy(update={"ciphertext": "not base64!"}),
        sealed.model_copy(update={"ciphertext": ""}),
        sealed.model_copy(update={"ciphertext": "AAAA"}),
    ]
    *refused, good = await compliance.open(*wrong, bens)
    assert [type(answer) for answer in refused] == [SealBroken] * len(wrong)
    assert good == b"Ben"


async def test_a_party_nobody_knows_has_no_readable_data(gateway: Office, compliance: Office) -> None:
    sealed = await gateway.seal(gateway.party("Ada"))
    (answer,) = await compliance.open(sealed.model_copy(update={"party_id": root_of(9)}))
    assert isinstance(answer, PersonErased)


async def test_another_master_key_opens_nothing_and_stops_nobody(gateway: Office, pools: dict[str, Pool]) -> None:
    ada = gateway.party("Ada")
    sealed = await gateway.seal(ada)
    stranger = Office(pools["gateway"], 3, master_key=bytes(32))
    (answer,) = await stranger.open(sealed)
    assert isinstance(answer, SealBroken)
    with pytest.raises(SealBroken):
        await stranger.seal(ada)


def test_a_master_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Keyring(b"short", SimulatedRuntime(1))
