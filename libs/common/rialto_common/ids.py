"""Identity: one UUIDv7 a payment, and every later id derived from it.

A derived id is the payment's 48 timestamp bits plus SHA-256(payment id, step, ordinal), so a retry at any layer makes
the same id, and ids stay in time order. Text form: a prefix, `_`, and 26 characters of Crockford base32 in lower case
(`pay_06b…`, 30 characters), which fits ISO 20022's 35.

The UUIDs made here are the database driver's: a `uuid.UUID` to everyone, equal to any other of the same value, but six
times as fast to make and to hash, which is what a batch does with ids. orjson writes none but `uuid.UUID` itself.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from itertools import product
from uuid import UUID

from asyncpg.pgproto.pgproto import UUID as CompactUUID

from rialto_common.errors import InvalidId

SHARDS = 64

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# To Python's own base 32 digits (0-9a-v), which int() reads at once; anything else becomes a digit it refuses.
# Of bytes, as a table of characters is looked up five times as slowly.
_TO_DIGITS = bytes(
    b"0123456789abcdefghijklmnopqrstuv"[_ALPHABET.index(chr(code))] if chr(code) in _ALPHABET else ord("!")
    for code in range(256)
)
# Three digits of 15 bits at a time: reading tables is what writing an id costs.
_TRIPLES = ["".join(digits) for digits in product(_ALPHABET, repeat=3)]

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_TIMESTAMP_MASK = ((1 << 48) - 1) << 80
_HASH_MASK = ((1 << 128) - 1) ^ _TIMESTAMP_MASK ^ (0xF << 76) ^ (0b11 << 62)
_TAIL_BITS = 74
_LOW_MASK = (1 << 62) - 1
_STEP_BITS = 48


def uuid7(unix_ms: int, random_bits: int) -> UUID:
    """Return the UUIDv7 (RFC 9562) of a time in milliseconds and 74 random bits (more are masked away)."""
    return _of_int(((unix_ms & ((1 << 48) - 1)) << 80) | (random_bits & _HASH_MASK) | _VERSION_7 | _VARIANT)


def derive(root: UUID, step: str, ordinal: int = 0) -> UUID:
    """Return the id of a step of a payment (or of another root object): the same for every retry of that step."""
    digest = sha256(b"%b/%b/%d" % (root.bytes, step.encode(), ordinal)).digest()
    return _of_int(
        (root.int & _TIMESTAMP_MASK) | (int.from_bytes(digest[:16], "big") & _HASH_MASK) | _VERSION_7 | _VARIANT
    )


@lru_cache(maxsize=16_384)  # a payment's id is written about ten times on its way through a service
def to_text(prefix: str, value: UUID) -> str:
    """Return the text form, such as `pay_01jz…`."""
    number, triples = value.int, _TRIPLES
    return (
        f"{prefix}_{triples[number >> 120][1:]}{triples[number >> 105 & 32767]}{triples[number >> 90 & 32767]}"
        f"{triples[number >> 75 & 32767]}{triples[number >> 60 & 32767]}{triples[number >> 45 & 32767]}"
        f"{triples[number >> 30 & 32767]}{triples[number >> 15 & 32767]}{triples[number & 32767]}"
    )


def from_text(prefix: str, text: str) -> UUID:
    """Read an id of one kind.

    Raises: InvalidId: another prefix, another length, or characters outside the alphabet.
    """
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != 26 or not tail.isascii():
        raise InvalidId(f"'{text[:40]}' is not an id of the form {prefix}_ and 26 characters")
    try:
        return _of_int(int(tail.encode().translate(_TO_DIGITS), 32))
    except (ValueError, OverflowError) as error:  # 26 digits hold two bits more than an id has
        raise InvalidId(f"'{text[:40]}' is not an id of the form {prefix}_ and 26 characters") from error


def _of_int(value: int) -> UUID:
    return CompactUUID(value.to_bytes(16, "big"))


def shard_of(owner: UUID) -> int:
    """Return the shard, 0..63, of a merchant (or of a wallet's own account); stable for ever."""
    return int.from_bytes(sha256(owner.bytes).digest()[:8], "big") % SHARDS


def unix_ms_of(value: UUID) -> int:
    """Return the milliseconds since 1970 that a UUIDv7, minted or derived, carries."""
    return value.int >> 80


class Ids:
    """Mints UUIDv7s that never go backwards within this process, from the runtime's clock and randomness.

    Within a millisecond, and while the clock stands behind its own past, the random part grows by random steps
    (RFC 9562, section 6.2, method 2). Moving on to the next millisecond instead would let the ids of a busy process
    run ahead of its clock for good.
    """

    def __init__(self, unix_ms: Callable[[], int], random_bits: Callable[[int], int]) -> None:
        self._unix_ms = unix_ms
        self._random_bits = random_bits
        self._last_ms = 0
        self._last_tail = 0

    def mint(self) -> UUID:
        """Return a new UUIDv7, greater than any this object minted before."""
        now = self._unix_ms()
        if now > self._last_ms:
            self._last_ms, self._last_tail = now, self._random_bits(_TAIL_BITS)
        else:
            self._last_tail += 1 + self._random_bits(_STEP_BITS)
            if self._last_tail >> _TAIL_BITS:
                self._last_ms, self._last_tail = self._last_ms + 1, self._random_bits(_TAIL_BITS)
        # The tail's 74 bits lie around the variant's two.
        return uuid7(self._last_ms, (self._last_tail >> 62 << 64) | (self._last_tail & _LOW_MASK))
