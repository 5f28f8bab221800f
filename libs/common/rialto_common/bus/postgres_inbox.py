"""Inbox and dead letters in PostgreSQL, in the consuming service's own schema."""

from collections.abc import Mapping, Sequence
from functools import cache

from rialto_common.bus.port import DeadLetter
from rialto_common.bus.postgres_rows import event_of
from rialto_common.database import Connection, load_queries
from rialto_common.events.envelope import Event
from rialto_common.runtime import Runtime


@cache
def _queries(schema: str) -> Mapping[str, str]:
    """Return the bus's SQL with the schema filled in; the name comes from our code, never from outside."""
    return {name: text.replace("{schema}", schema) for name, text in load_queries(__package__).items()}


class PostgresInbox:
    """Remembers handled events by source and id."""

    def __init__(self, connection: Connection, schema: str, runtime: Runtime) -> None:
        self._connection = connection
        self._queries = _queries(schema)
        self._runtime = runtime

    async def take(self, events: Sequence[Event]) -> list[Event]:
        """Record the events and return those that are new, each once, in order."""
        # In id order, so that two members with the same events (after a lost lease) wait and do not deadlock.
        identities = sorted({(event.id, event.source) for event in events})
        if not identities:
            return []
        rows = await self._connection.fetch(
            self._queries["take"],
            [event_id for event_id, _ in identities],
            [source for _, source in identities],
            self._runtime.now(),
        )
        new = {(row["event_id"], row["source"]) for row in rows}
        fresh = []
        for event in events:
            identity = (event.id, event.source)
            if identity in new:
                new.discard(identity)
                fresh.append(event)
        return fresh


class PostgresDeadLetters:
    """Events set aside, under their parked keys."""

    def __init__(self, connection: Connection, schema: str, runtime: Runtime) -> None:
        self._connection = connection
        self._queries = _queries(schema)
        self._runtime = runtime

    async def parked(self, group: str, keys: Sequence[str]) -> set[str]:
        """Return which of these keys are parked, locked until the transaction ends."""
        rows = await self._connection.fetch(self._queries["parked"], group, list(keys))
        return {row["key"] for row in rows}

    async def park(self, group: str, event: Event, error: str | None) -> None:
        """Set an event aside and park its key."""
        now = self._runtime.now()
        await self._connection.execute(self._queries["park_key"], group, event.key, now)
        await self._connection.execute(
            self._queries["park_event"],
            group,
            event.key,
            now,
            error,
            event.id,
            event.source,
            event.type,
            event.topic,
            event.shard,
            event.time,
            event.sequence,
            event.correlation_id,
            event.causation_id,
            event.traceparent,
            event.data.decode(),
        )

    async def to_replay(self, group: str) -> str | None:
        """Return a parked key whose replay was asked for, locked."""
        row = await self._connection.fetchrow(self._queries["to_replay"], group)
        return None if row is None else str(row["key"])

    async def of_key(self, group: str, key: str) -> list[DeadLetter]:
        """Return what is parked under a key, in order."""
        rows = await self._connection.fetch(self._queries["of_key"], group, key)
        return [DeadLetter(event_of(row), row["letter"], row["error"]) for row in rows]

    async def release(self, group: str, key: str) -> None:
        """Forget the key and its events."""
        await self._connection.execute(self._queries["release_events"], group, key)
        await self._connection.execute(self._queries["release_key"], group, key)

    async def fail_again(self, group: str, key: str, error: str) -> None:
        """Keep the key parked with a new error."""
        await self._connection.execute(self._queries["keep_key"], group, key)
        await self._connection.execute(self._queries["keep_error"], group, key, error)

    async def request_replay(self, group: str | None, key: str | None) -> int:
        """Ask for the replay of one key, or of all."""
        return len(await self._connection.fetch(self._queries["request_replay"], group, key))

    async def overview(self) -> list[dict[str, object]]:
        """Return one row a parked key."""
        return [dict(row) for row in await self._connection.fetch(self._queries["overview"])]
