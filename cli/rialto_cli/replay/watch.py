"""Follows the payments of a replay until each is final or in review.

One request per poll asks for what changed since the last one, whatever the number of payments under way. The gateway
shows a change only when it is a second old, but one whose transaction commits later than that slips through, so when
the polls fall silent while payments are still under way, those are asked for by id.
"""

import asyncio
import time
from datetime import datetime
from typing import Any

from rialto_cli.replay.api import Api, Refused
from rialto_cli.replay.tally import Tally

PAGE = 1000
RUN_FIELD, ROW_FIELD = "replay", "row"
"""Metadata of every payment of a replay: which run it belongs to, and the row's number in the file."""

_SILENT_POLLS = 6
_ASKED_BY_ID = 200


class Watcher:
    """Keeps a tally up to date through the operator's list of payments."""

    def __init__(
        self, api: Api, admin_key: str, run: str, tally: Tally, *, patience_seconds: float, poll_seconds: float
    ) -> None:
        self._api, self._key, self._run, self._tally = api, admin_key, run, tally
        self._patience, self._poll_seconds = patience_seconds, poll_seconds
        self._start: str | None = None
        self._cursor: str | None = None

    def note_created(self, created_at: str) -> None:
        """Make sure that changes from this time on are seen: an earlier run's payments are older than this one's."""
        if self._start is None or datetime.fromisoformat(created_at) < datetime.fromisoformat(self._start):
            self._start, self._cursor = created_at, None

    async def follow(self, sending: asyncio.Event) -> bool:
        """Poll until `sending` is over and nothing is under way. False: nothing moved for as long as we would wait."""
        changes, moved_at, asked_at = -1, time.monotonic(), time.monotonic()
        while True:
            finished = sending.is_set()
            await self.poll()
            if finished and not self._tally.pending:
                return True
            if self._tally.changes != changes or not finished:
                changes, moved_at = self._tally.changes, time.monotonic()
            silent = time.monotonic() - moved_at
            if silent > self._patience:
                return False
            if min(silent, time.monotonic() - asked_at) > _SILENT_POLLS * self._poll_seconds:
                await self._ask_by_id()
                asked_at = time.monotonic()
            await asyncio.sleep(self._poll_seconds)

    async def poll(self) -> None:
        """Take in every change since the last poll."""
        more = self._start is not None
        while more:
            start = self._start
            query = {"updated_since": start or "", "limit": str(PAGE), "mode": "test"}
            if self._cursor is not None:
                query["cursor"] = self._cursor
            answer = await self._api.get("/v1/payments", key=self._key, query=query)
            if not answer.ok:
                raise Refused(
                    "The payments cannot be followed",
                    f"{answer.status} {answer.code}: {answer.detail}",
                    "check that the command and the platform are of the same version",
                )
            for payment in answer.body["data"]:
                self._take(payment)
            # A row of an earlier run may have moved the start back meanwhile: then the next page begins there.
            if self._start == start:
                self._cursor, more = answer.body["next_cursor"], answer.body["has_more"]

    async def _ask_by_id(self) -> None:
        for payment_id in self._tally.pending_ids(_ASKED_BY_ID):
            answer = await self._api.get(f"/v1/payments/{payment_id}", key=self._key)
            if answer.ok:
                self._take(answer.body)

    def _take(self, payment: dict[str, Any]) -> None:
        metadata = payment.get("metadata") or {}
        if metadata.get(RUN_FIELD) != self._run:
            return
        place = self._tally.place_of(int(metadata[ROW_FIELD]))
        if place is not None:
            self._tally.update(place, payment)
