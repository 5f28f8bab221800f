"""Places in lists ordered by time, as callers carry them: opaque, and bound to whose list it is by a MAC.

A cursor that was altered, made up or taken from another merchant's list is refused, so that its contents may change.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from rialto_common import ids
from rialto_common.errors import CursorInvalid, InvalidId

NOT_OURS = "the cursor is not one of ours; use next_cursor of the page before"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TAG_BYTES = 12
_PLACE_BYTES = 24


@dataclass(frozen=True, slots=True)
class Place:
    """The last item of a page: its time and its id."""

    at: datetime
    id: UUID


NEWEST = Place(datetime(9999, 12, 31, tzinfo=UTC), UUID(int=(1 << 128) - 1))
"""Before the first page of a list that begins with the newest."""


def id_cursor(prefix: str, text: str | None) -> UUID | None:
    """Return the last item of the page before, where a list is in the order of its ids; None before the first page.

    Raises: CursorInvalid.
    """
    try:
        return None if text is None else ids.from_text(prefix, text)
    except InvalidId as error:
        raise CursorInvalid(NOT_OURS, param="cursor") from error


class Cursors:
    """Writes and reads cursors."""

    def __init__(self, master_key: bytes) -> None:
        self._key = hmac.digest(master_key, b"rialto gateway cursors", sha256)

    def write(self, place: Place, context: str) -> str:
        """Return the cursor of a place; `context` says which list of whom."""
        packed = ((place.at - _EPOCH) // _MICROSECOND).to_bytes(8, "big") + place.id.bytes
        return urlsafe_b64encode(packed + self._tag(packed, context)).decode()

    def read(self, text: str | None, context: str) -> Place:
        """Return the place of a cursor, NEWEST where there is none.

        Raises: CursorInvalid: not one of ours, or of another list.
        """
        if text is None:
            return NEWEST
        try:
            raw = urlsafe_b64decode(text.encode())
        except ValueError:
            raw = b""
        packed, tag = raw[:_PLACE_BYTES], raw[_PLACE_BYTES:]
        if not hmac.compare_digest(tag, self._tag(packed, context)) or text != urlsafe_b64encode(raw).decode():
            raise CursorInvalid(NOT_OURS, param="cursor")
        return Place(_EPOCH + int.from_bytes(packed[:8], "big") * _MICROSECOND, UUID(bytes=packed[8:]))

    def _tag(self, packed: bytes, context: str) -> bytes:
        return hmac.digest(self._key, context.encode() + b"/" + packed, sha256)[:_TAG_BYTES]
