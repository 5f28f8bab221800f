"""The embedded bus, read with the auditor's rights: it may read everything and write nothing."""

import asyncio
import contextlib
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

import asyncpg

from rialto_cli.events.port import Entry, LogUnreadable, Page, Place, Positions, Span, Want
from rialto_common.bus.postgres import CHANNEL
from rialto_common.bus.postgres_rows import event_of
from rialto_common.database import load_queries

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 60.0
FOLLOW_LIMIT = 500
"""Events of a partition at a time: bounds memory when many come at once."""
LOOK_SECONDS = 1.0
"""How often to look without having been told: a notification is only a hint."""

_QUERIES = load_queries(__package__)
_FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class PostgresLog:
    """Reads on a connection of its own, and makes a new one when it was lost."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[Any] | None = None
        self._woken = asyncio.Event()

    async def spans(self, topics: Collection[str]) -> Mapping[Place, Span]:
        """Return what the partitions of these topics hold now."""
        rows = await self._fetch("spans", sorted(topics))
        return {Place(row["topic"], row["partition"]): Span(row["first"], row["end"]) for row in rows}

    async def since(self, spans: Mapping[Place, Span], instant: datetime) -> Positions:
        """Return where what was recorded at that instant or later begins."""
        rows = await self._fetch("since", instant)
        found = {Place(row["topic"], row["partition"]): row["position"] for row in rows}
        return {place: found.get(place, span.end) for place, span in spans.items()}

    async def read(self, place: Place, start: int, end: int, want: Want, *, limit: int) -> Page:
        """Return up to `limit` wanted entries of one partition; what is wanted is picked by the database."""
        types = None if want.types is None else sorted(want.types)
        rows = await self._fetch(
            "read", place.topic, place.partition, start, end, types, want.story, want.shard, want.merchant, limit
        )
        entries = [_entry(row) for row in rows]
        return Page(entries, {place: end if len(entries) < limit else entries[-1].position + 1})

    async def follow(self, positions: Positions, want: Want, *, wait_seconds: float) -> Page:
        """Return the wanted entries from these positions on; wait that long at most for one to come."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        reached = dict(positions)
        while True:
            self._woken.clear()
            places = list(reached)
            rows = await self._fetch(
                "follow",
                [place.topic for place in places],
                [place.partition for place in places],
                list(reached.values()),
                FOLLOW_LIMIT,
            )
            entries = [_entry(row) for row in rows]
            reached |= {entry.place: entry.position + 1 for entry in entries}
            wanted = [entry for entry in entries if want.takes(entry)]
            remaining = deadline - loop.time()
            if wanted or remaining <= 0:
                return Page(wanted, reached)
            if not entries:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(remaining, LOOK_SECONDS)):
                        await self._woken.wait()

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=1)
            except _FAILURES:
                connection.terminate()

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        with _told():
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            return await self._connection.fetch(_QUERIES[query], *arguments)

    async def _connect(self) -> "asyncpg.Connection[Any]":
        connection = await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            server_settings={
                "application_name": "rialto-events",
                "timezone": "UTC",
                "default_transaction_read_only": "on",
                # Partitions are found by primary key; a plan for an empty log must not serve a full one.
                "plan_cache_mode": "force_custom_plan",
                "jit": "off",
            },
        )
        try:
            await connection.add_listener(CHANNEL, self._wake)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _wake(self, *_: object) -> None:
        self._woken.set()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise LogUnreadable(f"the bus's database does not answer: {said}") from error


def _entry(row: Any) -> Entry:
    event = event_of(row)
    return Entry(Place(event.topic, row["partition"]), row["position"], event.time, event)
