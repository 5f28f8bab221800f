"""Personal data: sealed under one key per person, and erased by destroying that key.

AES-256-GCM. Each person's data key is wrapped by the master key and kept in the `keyring` schema, which only this
module reaches. What leaves a service is `Sealed`: party id, key id and ciphertext; the party id is authenticated with
it, so a ciphertext cannot be moved to another person.
"""

import hmac
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rialto_common import ids
from rialto_common.database import Connection
from rialto_common.errors import Conflict, PaymentError
from rialto_common.events.common import Sealed
from rialto_common.runtime import Runtime

_NONCE_BYTES = 12
_CACHED_KEYS = 20_000
_CACHE_SECONDS = 60.0

_INSERT = """
INSERT INTO keyring.keys (party_id, key_id, wrapped_key, created_at)
SELECT k.party_id, k.key_id, k.wrapped_key, $4
FROM unnest($1::UUID[], $2::UUID[], $3::BYTEA[]) AS k (party_id, key_id, wrapped_key)
ON CONFLICT ON CONSTRAINT keys_pk DO NOTHING
"""
# A row that this very transaction wrote (its xmin is no older than the transaction) may yet be rolled back.
_SELECT = """
SELECT party_id, key_id, wrapped_key,
    coalesce(age(xmin) > age(pg_current_xact_id_if_assigned()::XID), TRUE) AS committed
FROM keyring.keys WHERE party_id = ANY ($1)
"""
_DESTROY = "UPDATE keyring.keys SET wrapped_key = NULL, destroyed_at = $2 WHERE party_id = $1 AND destroyed_at IS NULL"


class PersonErased(Conflict):
    """The person's key was destroyed: what was sealed under it can never be read again."""

    code = "person_erased"


class SealBroken(PaymentError):
    """The ciphertext was not sealed under this person's key, or was altered."""

    code = "seal_broken"


@dataclass(frozen=True, slots=True)
class _DataKey:
    key_id: UUID
    key: AESGCM
    good_until: float
    committed: bool


class Keyring:
    """Seals and opens personal data. Data keys are cached in memory, wrapped ones rest in the database."""

    def __init__(self, master_key: bytes, runtime: Runtime) -> None:
        """`master_key`: 32 bytes, from the settings."""
        if len(master_key) != 32:
            raise ValueError("the keyring's master key must be 32 bytes (base64 of them in the settings)")
        self._wrapping = AESGCM(hmac.digest(master_key, b"rialto keyring wrapping", sha256))
        self._naming = hmac.digest(master_key, b"rialto keyring naming", sha256)
        self._runtime = runtime
        self._cache: OrderedDict[UUID, _DataKey] = OrderedDict()

    def party_id(self, scope: UUID, person: Mapping[str, object]) -> UUID:
        """Return a person's id within a scope (a merchant): the same for the same facts, telling nothing of them."""
        facts = orjson.dumps(person, option=orjson.OPT_SORT_KEYS)
        return UUID(bytes=hmac.digest(self._naming, scope.bytes + facts, sha256)[:16], version=4)

    async def seal(self, connection: Connection, people: Sequence[tuple[UUID, bytes]]) -> list[Sealed]:
        """Seal one text per party, making keys for new parties inside the caller's transaction.

        Raises: PersonErased: one of them was erased; the caller must not go on keeping data about them. SealBroken: a
        stored key does not open under the master key.
        """
        parties = {party_id for party_id, _ in people}
        keys = await self._keys(connection, parties)
        if new := sorted(parties - keys.keys()):
            await self._create(connection, new)
            keys |= await self._keys(connection, set(new))
        sealed = []
        for party_id, text in people:
            held = keys[party_id]
            if isinstance(held, PaymentError):
                raise held
            nonce = self._runtime.random_bytes(_NONCE_BYTES)
            ciphertext = b64encode(nonce + held.key.encrypt(nonce, text, party_id.bytes)).decode()
            sealed.append(Sealed(party_id=party_id, key_id=held.key_id, ciphertext=ciphertext))
        return sealed

    async def open(self, connection: Connection, sealed: Sequence[Sealed]) -> list[bytes | PaymentError]:
        """Return each text, or the PersonErased or SealBroken that stands in its way."""
        keys = await self._keys(connection, {item.party_id for item in sealed})
        return [self._open_one(item, keys.get(item.party_id)) for item in sealed]

    async def destroy(self, connection: Connection, party_id: UUID) -> bool:
        """Erase a person by destroying their key; say whether there was one. Other processes forget it in a minute."""
        self._cache.pop(party_id, None)
        return str(await connection.execute(_DESTROY, party_id, self._runtime.now())) != "UPDATE 0"

    def _open_one(self, sealed: Sealed, held: "_DataKey | PaymentError | None") -> bytes | PaymentError:
        if held is None:
            return _erased(sealed.party_id)
        if isinstance(held, PaymentError):
            return held
        try:
            raw = b64decode(sealed.ciphertext, validate=True)
            return held.key.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], sealed.party_id.bytes)
        except (InvalidTag, ValueError):
            return _broken(sealed.party_id)

    async def _keys(self, connection: Connection, parties: set[UUID]) -> dict[UUID, "_DataKey | PaymentError"]:
        """Return the key of each party that has or had one, or the error that stands in its way."""
        now = self._runtime.monotonic()
        held: dict[UUID, _DataKey | PaymentError] = {
            party_id: key for party_id in parties if (key := self._cache.get(party_id)) and key.good_until > now
        }
        missing = sorted(parties - held.keys())
        if missing:
            known = {row["party_id"]: self._unwrap(row, now) for row in await connection.fetch(_SELECT, missing)}
            self._remember(known)
            held |= known
        return held

    def _unwrap(self, row: Any, now: float) -> "_DataKey | PaymentError":
        party_id, wrapped = row["party_id"], row["wrapped_key"]
        if wrapped is None:
            return _erased(party_id)
        try:
            plain = self._wrapping.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], party_id.bytes)
        except (InvalidTag, ValueError):
            return _broken(party_id)
        return _DataKey(row["key_id"], AESGCM(plain), now + _CACHE_SECONDS, row["committed"])

    def _remember(self, keys: Mapping[UUID, "_DataKey | PaymentError"]) -> None:
        """Cache the keys that will stay: sealing under one whose creation was rolled back would lose the data."""
        for party_id, key in keys.items():
            if isinstance(key, _DataKey) and key.committed:
                self._cache[party_id] = key
        while len(self._cache) > _CACHED_KEYS:
            self._cache.popitem(last=False)

    async def _create(self, connection: Connection, parties: Sequence[UUID]) -> None:
        wrapped = []
        for party_id in parties:
            nonce = self._runtime.random_bytes(_NONCE_BYTES)
            wrapped.append(nonce + self._wrapping.encrypt(nonce, self._runtime.random_bytes(32), party_id.bytes))
        key_ids = [self._runtime.ids.mint() for _ in parties]
        await connection.execute(_INSERT, list(parties), key_ids, wrapped, self._runtime.now())


def _erased(party_id: UUID) -> PersonErased:
    return PersonErased(f"the data of party {ids.to_text('pty', party_id)} was erased")


def _broken(party_id: UUID) -> SealBroken:
    return SealBroken(f"the data of party {ids.to_text('pty', party_id)} is not readable under its key")
