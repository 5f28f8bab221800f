"""Names out of sealed personal data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import orjson

from rialto_common.errors import PaymentError
from rialto_common.events.common import Sealed
from rialto_common.keyring import PersonErased

Connection = TypeVar("Connection")
Connection_contra = TypeVar("Connection_contra", contravariant=True)


class Opener(Protocol[Connection_contra]):
    """A keyring, of which opening is all that is needed here."""

    async def open(self, connection: Connection_contra, sealed: Sequence[Sealed], /) -> list[bytes | PaymentError]:
        """Return each text, or the error that stands in its way."""
        ...


class KeyringPeople(Generic[Connection]):
    """Opens what the gateway sealed: a JSON object whose `name` is the party's name."""

    def __init__(self, keyring: Opener[Connection], connection: Connection) -> None:
        self._keyring = keyring
        self._connection = connection

    async def names(self, sealed: Sequence[Sealed]) -> list[str | None]:
        """Return each party's name; all keys that are not cached come from one query.

        Raises: SealBroken: a ciphertext was altered or moved; its payment is parked rather than judged.
        """
        names: list[str | None] = []
        for opened in await self._keyring.open(self._connection, sealed):
            if isinstance(opened, PersonErased):
                names.append(None)
            elif isinstance(opened, bytes):
                names.append(name_in(opened))
            else:
                raise opened
        return names


def name_in(plain: bytes) -> str | None:
    """Return the name in opened personal data; None where there is none that could be screened."""
    try:
        person = orjson.loads(plain)
    except orjson.JSONDecodeError:
        return None
    name = person.get("name") if isinstance(person, dict) else None
    return name if isinstance(name, str) and name.strip() else None
