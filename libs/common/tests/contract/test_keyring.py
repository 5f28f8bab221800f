"""The keyring's contract: one suite for the real one on PostgreSQL and the cheap one in memory."""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol
from uuid import UUID

import pytest

from rialto_cli.testing import Database
from rialto_common.bus.memory import Faults, MemoryBus, MemoryTransaction, MemoryUnitOfWork
from rialto_common.bus.postgres import PostgresTransaction, PostgresUnitOfWork
from rialto_common.database import open_pool
from rialto_common.errors import PaymentError
from rialto_common.events.common import Sealed
from rialto_common.keyring import Keyring, PersonErased, SealBroken
from rialto_common.memory_keyring import KeyStore, MemoryKeyring
from rialto_common.simulation import SimulatedRuntime
from rialto_common.testing import root_of

MASTER_KEY = bytes(range(32))
MERCHANT = root_of(1)
ADA, BEN = {"name": "Ada"}, {"name": "Ben"}


class Vault(Protocol):
    """A keyring, and the transactions that it is used in."""

    def begin(self) -> AbstractAsyncContextManager[Any]: ...

    def party_id(self, person: Mapping[str, object]) -> UUID: ...

    async def seal(self, transaction: Any, *people: tuple[UUID, bytes]) -> list[Sealed]: ...

    async def open(self, transaction: Any, *sealed: Sealed) -> Sequence[bytes | PaymentError]: ...

    async def destroy(self, transaction: Any, party_id: UUID) -> bool: ...


class InMemory:
    def __init__(self) -> None:
        runtime = SimulatedRuntime(1)
        self._work = MemoryUnitOfWork(MemoryBus(runtime, faults=Faults.none()), runtime)
        self._keyring = MemoryKeyring(MASTER_KEY, KeyStore(), runtime)

    def begin(self) -> AbstractAsyncContextManager[MemoryTransaction]:
        return self._work.begin()

    def party_id(self, person: Mapping[str, object]) -> UUID:
        return self._keyring.party_id(MERCHANT, person)

    async def seal(self, transaction: MemoryTransaction, *people: tuple[UUID, bytes]) -> list[Sealed]:
        return await self._keyring.seal(transaction, people)

    async def open(self, transaction: MemoryTransaction, *sealed: Sealed) -> Sequence[bytes | PaymentError]:
        return await self._keyring.open(transaction, sealed)

    async def destroy(self, transaction: MemoryTransaction, party_id: UUID) -> bool:
        return await self._keyring.destroy(transaction, party_id)


class InPostgres:
    def __init__(self, work: PostgresUnitOfWork, runtime: SimulatedRuntime) -> None:
        self._work = work
        self._keyring = Keyring(MASTER_KEY, runtime)

    def begin(self) -> AbstractAsyncContextManager[PostgresTransaction]:
        return self._work.begin()

    def party_id(self, person: Mapping[str, object]) -> UUID:
        return self._keyring.party_id(MERCHANT, person)

    async def seal(self, transaction: PostgresTransaction, *people: tuple[UUID, bytes]) -> list[Sealed]:
        return await self._keyring.seal(transaction.connection, people)

    async def open(self, transaction: PostgresTransaction, *sealed: Sealed) -> Sequence[bytes | PaymentError]:
        return await self._keyring.open(transaction.connection, sealed)

    async def destroy(self, transaction: PostgresTransaction, party_id: UUID) -> bool:
        return await self._keyring.destroy(transaction.connection, party_id)


@pytest.fixture(params=["memory", "postgres"])
async def vault(request: pytest.FixtureRequest) -> AsyncIterator[Vault]:
    if request.param == "memory":
        yield InMemory()
        return
    database: Database = request.getfixturevalue("database")
    runtime = SimulatedRuntime(1)
    async with await open_pool(database.dsn("gateway"), application="test", max_size=2) as pool:
        yield InPostgres(PostgresUnitOfWork(pool, schema="gateway", runtime=runtime), runtime)


async def test_both_name_a_person_alike() -> None:
    runtime = SimulatedRuntime(1)
    real, cheap = Keyring(MASTER_KEY, runtime), MemoryKeyring(MASTER_KEY, KeyStore(), runtime)
    assert real.party_id(MERCHANT, ADA) == cheap.party_id(MERCHANT, ADA)


async def test_what_is_sealed_opens_and_tells_nothing(vault: Vault) -> None:
    ada, ben = vault.party_id(ADA), vault.party_id(BEN)
    async with vault.begin() as transaction:
        sealed = await vault.seal(transaction, (ada, b"Ada"), (ben, b"Ben"), (ada, b"Ada"))
        assert await vault.open(transaction, *sealed) == [b"Ada", b"Ben", b"Ada"]
    async with vault.begin() as transaction:
        assert await vault.open(transaction, *sealed) == [b"Ada", b"Ben", b"Ada"]
        again = await vault.seal(transaction, (ada, b"Ada"))
    assert sealed[0].key_id == sealed[2].key_id == again[0].key_id != sealed[1].key_id
    assert len({item.ciphertext for item in (*sealed, *again)}) == 4
    assert b"Ada" not in b64decode(sealed[0].ciphertext)


async def test_a_key_whose_transaction_was_rolled_back_never_was(vault: Vault) -> None:
    ada = vault.party_id(ADA)
    kept: list[Sealed] = []

    async def seal_and_fail() -> None:
        async with vault.begin() as transaction:
            kept.extend(await vault.seal(transaction, (ada, b"Ada")))
            raise RuntimeError("rolled back")

    with pytest.raises(RuntimeError, match="rolled back"):
        await seal_and_fail()
    async with vault.begin() as transaction:
        [found] = await vault.open(transaction, *kept)
    assert isinstance(found, PersonErased)


async def test_an_erased_person_cannot_be_read_nor_sealed(vault: Vault) -> None:
    ada, ben = vault.party_id(ADA), vault.party_id(BEN)
    async with vault.begin() as transaction:
        sealed = await vault.seal(transaction, (ada, b"Ada"), (ben, b"Ben"))
    async with vault.begin() as transaction:
        assert await vault.destroy(transaction, ada)
        assert not await vault.destroy(transaction, UUID(int=1))
    async with vault.begin() as transaction:
        erased, text = await vault.open(transaction, *sealed)
        assert isinstance(erased, PersonErased)
        assert text == b"Ben"
        with pytest.raises(PersonErased):
            await vault.seal(transaction, (ada, b"Ada"))
        assert not await vault.destroy(transaction, ada)


@pytest.mark.parametrize("harm", ["altered", "moved", "garbage"])
async def test_a_ciphertext_that_was_tampered_with_does_not_open(vault: Vault, harm: str) -> None:
    ada, ben = vault.party_id(ADA), vault.party_id(BEN)
    async with vault.begin() as transaction:
        of_ada, of_ben = await vault.seal(transaction, (ada, b"Ada Lovelace"), (ben, b"Ben"))
    raw = bytearray(b64decode(of_ada.ciphertext))
    raw[-1] ^= 1
    changed = {
        "altered": of_ada.model_copy(update={"ciphertext": b64encode(raw).decode()}),
        "moved": of_ben.model_copy(update={"ciphertext": of_ada.ciphertext}),
        "garbage": of_ada.model_copy(update={"ciphertext": "no base 64!"}),
    }
    async with vault.begin() as transaction:
        [found] = await vault.open(transaction, changed[harm])
    assert isinstance(found, SealBroken)
