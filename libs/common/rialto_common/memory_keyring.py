"""A keyring in memory, for simulation and tests: the same promises as `keyring.Keyring`, cheap and reproducible.

Not for anybody's real data: the keys lie beside the texts, and the cipher (SHAKE-256's stream) authenticates nothing
but through a digest. What is sealed, opened, erased or altered behaves as with AES-256-GCM and PostgreSQL.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256, shake_256
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_common.bus.memory import MemoryTransaction
from rialto_common.errors import PaymentError
from rialto_common.events.common import Sealed
from rialto_common.keyring import PersonErased, SealBroken
from rialto_common.runtime import Runtime

_NONCE_BYTES = 12
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class PersonKey:
    """A person's data key; `key` is None once it was destroyed."""

    key_id: UUID
    key: bytes | None


@dataclass
class KeyStore:
    """The committed keys, by party."""

    keys: dict[UUID, PersonKey] = field(default_factory=dict)


class MemoryKeyring:
    """Seals and opens personal data within transactions of the in-memory unit of work."""

    def __init__(self, master_key: bytes, store: KeyStore, runtime: Runtime) -> None:
        self._naming = hmac.digest(master_key, b"rialto keyring naming", sha256)
        self._store = store
        self._runtime = runtime

    def party_id(self, scope: UUID, person: Mapping[str, object]) -> UUID:
        """Return a person's id within a scope (a merchant): the same for the same facts, telling nothing of them."""
        facts = orjson.dumps(person, option=orjson.OPT_SORT_KEYS)
        return UUID(bytes=hmac.digest(self._naming, scope.bytes + facts, sha256)[:16], version=4)

    async def seal(self, transaction: MemoryTransaction, people: Sequence[tuple[UUID, bytes]]) -> list[Sealed]:
        """Seal one text per party, making keys for new parties inside the caller's transaction.

        Raises: PersonErased: one of them was erased.
        """
        made = self._made_in(transaction)
        sealed = []
        for party_id, text in people:
            held = made.get(party_id) or self._store.keys.get(party_id)
            if held is None:
                held = made[party_id] = PersonKey(self._runtime.ids.mint(), self._runtime.random_bytes(32))
            if held.key is None:
                raise _erased(party_id)
            nonce = self._runtime.random_bytes(_NONCE_BYTES)
            hidden = _apply_stream(held.key, nonce, text)
            mark = _digest(held.key, nonce, party_id, hidden)
            ciphertext = b64encode(nonce + mark + hidden).decode()
            sealed.append(Sealed(party_id=party_id, key_id=held.key_id, ciphertext=ciphertext))
        return sealed

    async def open(self, transaction: MemoryTransaction, sealed: Sequence[Sealed]) -> list[bytes | PaymentError]:
        """Return each text, or the PersonErased or SealBroken that stands in its way."""
        made = self._made_in(transaction)
        return [self._open_one(item, made.get(item.party_id) or self._store.keys.get(item.party_id)) for item in sealed]

    async def destroy(self, transaction: MemoryTransaction, party_id: UUID) -> bool:
        """Erase a person by destroying their key; say whether there was one."""
        made = self._made_in(transaction)
        held = made.get(party_id) or self._store.keys.get(party_id)
        if held is None or held.key is None:
            return False
        made[party_id] = PersonKey(held.key_id, None)
        return True

    def _made_in(self, transaction: MemoryTransaction) -> dict[UUID, PersonKey]:
        """Return the keys that a transaction made or destroyed; they take effect when it commits."""
        return transaction.view(KeyStore, lambda: self._new_view(transaction))

    def _new_view(self, transaction: MemoryTransaction) -> dict[UUID, PersonKey]:
        made: dict[UUID, PersonKey] = {}
        transaction.on_commit(lambda: self._store.keys.update(made))
        return made

    def _open_one(self, sealed: Sealed, held: PersonKey | None) -> bytes | PaymentError:
        if held is None or held.key is None:
            return _erased(sealed.party_id)
        try:
            raw = b64decode(sealed.ciphertext, validate=True)
        except ValueError:
            return _broken(sealed.party_id)
        nonce, mark = raw[:_NONCE_BYTES], raw[_NONCE_BYTES : _NONCE_BYTES + _DIGEST_BYTES]
        hidden = raw[_NONCE_BYTES + _DIGEST_BYTES :]
        if mark != _digest(held.key, nonce, sealed.party_id, hidden):
            return _broken(sealed.party_id)
        return _apply_stream(held.key, nonce, hidden)


def _apply_stream(key: bytes, nonce: bytes, text: bytes) -> bytes:
    """Return the text under the stream; applying it twice gives the text back."""
    stream = shake_256(key + nonce).digest(len(text))
    return (int.from_bytes(text, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(text), "big")


def _digest(key: bytes, nonce: bytes, party_id: UUID, hidden: bytes) -> bytes:
    return sha256(key + nonce + party_id.bytes + hidden).digest()[:_DIGEST_BYTES]


def _erased(party_id: UUID) -> PersonErased:
    return PersonErased(f"the data of party {ids.to_text('pty', party_id)} was erased")


def _broken(party_id: UUID) -> SealBroken:
    return SealBroken(f"the data of party {ids.to_text('pty', party_id)} is not readable under its key")
