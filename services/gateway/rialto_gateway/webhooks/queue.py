"""The deliveries in line, in PostgreSQL.

Whoever claims or finishes deliveries of an endpoint first locks the endpoint's breaker row, in a statement of its own,
so that the next statement sees all that was done before: what is first in its line is never decided on an old picture.
Claiming passes over endpoints that another gateway holds. Putting a message in line takes no such lock.

What is not due yet, or waits behind another of its line, is not looked at: a look costs by what can be sent and by how
many endpoints have something in line, not by how much waits.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rialto_common.database import Connection, Pool
from rialto_common.runtime import Runtime
from rialto_gateway.idempotency import Vault
from rialto_gateway.webhooks.breaker import Breaker, share
from rialto_gateway.webhooks.messages import QUERIES
from rialto_gateway.webhooks.ports import LEASE, Attempted, BreakerChange, Claimed

ENDPOINTS_A_LOOK = 100
DELETED_A_LOOK = 500
FIRST = UUID(int=0)


class PostgresQueue:
    """The deliveries' tables."""

    def __init__(self, pool: Pool, vault: Vault, runtime: Runtime) -> None:
        self._pool = pool
        self._runtime = runtime
        self._vault = vault
        self._after = FIRST

    async def claim(self, now: datetime, slots: int) -> Sequence[Claimed]:
        """Claim up to so many deliveries, at most ENDPOINTS_A_LOOK endpoints' a call, which come in turns."""
        async with self._pool.acquire() as connection, connection.transaction():
            held = await connection.fetch(QUERIES["hold_due"], now, self._after, ENDPOINTS_A_LOOK)
            self._after = held[-1]["endpoint_id"] if len(held) == ENDPOINTS_A_LOOK else FIRST
            deleted = [row["endpoint_id"] for row in held if row["deleted_at"] is not None]
            if deleted:
                await _give_up(connection, deleted, now)
            breakers = {row["endpoint_id"]: breaker_of(row) for row in held if row["deleted_at"] is None}
            rooms = [
                max(0, breaker.room(now) - row["under_way"])
                for row in held
                if (breaker := breakers.get(row["endpoint_id"])) is not None
            ]
            wanted = {
                endpoint_id: count
                for endpoint_id, count in zip(breakers, share(slots, rooms), strict=True)
                if count > 0
            }
            if not wanted:
                return []
            rows = await connection.fetch(QUERIES["claim"], now, now + LEASE, list(wanted), list(wanted.values()))
            probes = {row["endpoint_id"] for row in rows if breakers[row["endpoint_id"]].probe_at is not None}
            await _save(connection, {each: breakers[each].probing(now + LEASE) for each in probes})
        return [_claimed(row, now) for row in rows]

    async def finish(self, attempted: Sequence[Attempted], now: datetime) -> Sequence[BreakerChange]:
        """Record attempts in one transaction."""
        async with self._pool.acquire() as connection, connection.transaction():
            endpoints = list({each.claimed.endpoint_id for each in attempted})
            held = await connection.fetch(QUERIES["hold"], endpoints)
            before = {row["endpoint_id"]: breaker_of(row) for row in held}
            deliveries = [each.claimed.delivery_id for each in attempted]
            numbers = [each.claimed.attempt for each in attempted]
            await connection.execute(
                QUERIES["finish_attempts"],
                deliveries,
                numbers,
                [each.outcome.state for each in attempted],
                [each.outcome.status for each in attempted],
                [each.outcome.error for each in attempted],
                [each.outcome.duration_ms for each in attempted],
                [self._sealed(each) for each in attempted],
            )
            ended = await connection.fetch(
                QUERIES["finish_deliveries"],
                deliveries,
                numbers,
                [each.state for each in attempted],
                [None if each.outcome.taken else each.again for each in attempted],
            )
            await _move_on(connection, [row for row in ended if row["state"] != "pending"], now)
            after = dict(before)
            for each in attempted:
                endpoint_id = each.claimed.endpoint_id
                after[endpoint_id] = after[endpoint_id].after(each.outcome.taken, now, each.draw)
            changed = {each: after[each] for each in after if after[each] != before[each]}
            await _save(connection, changed)
            self._runtime.crash_point("gateway.webhook.before_recorded")
        return [BreakerChange(each, before[each], after[each]) for each in changed]

    def _sealed(self, each: Attempted) -> bytes | None:
        response = each.outcome.response
        return self._vault.close(response, each.claimed.delivery_id.bytes) if response else None


def breaker_of(row: Mapping[str, Any]) -> Breaker:
    """Return the breaker of a row of `gateway.webhook_breakers`."""
    return Breaker(
        state=row["state"],
        failures=row["failures"],
        trips=row["trips"],
        width=row["width"],
        opened_at=row["opened_at"],
        probe_at=row["probe_at"],
    )


async def _give_up(connection: Connection, endpoints: list[UUID], now: datetime) -> None:
    """End what is due to endpoints that are no more; what waits behind it is due next."""
    ended = await connection.fetch(QUERIES["give_up"], endpoints, now, DELETED_A_LOOK)
    await _move_on(connection, ended, now)


async def _move_on(connection: Connection, ended: Sequence[Mapping[str, Any]], now: datetime) -> None:
    if ended:
        lines = {(row["endpoint_id"], row["line"]) for row in ended}
        await connection.execute(
            QUERIES["move_on"], now, [endpoint_id for endpoint_id, _ in lines], [line for _, line in lines]
        )


async def _save(connection: Connection, breakers: Mapping[UUID, Breaker]) -> None:
    if breakers:
        values = list(breakers.values())
        await connection.execute(
            QUERIES["save_breakers"],
            list(breakers),
            [each.state for each in values],
            [each.failures for each in values],
            [each.trips for each in values],
            [each.width for each in values],
            [each.opened_at for each in values],
            [each.probe_at for each in values],
        )


def _claimed(row: Mapping[str, Any], now: datetime) -> Claimed:
    until = row["previous_secret_until"]
    return Claimed(
        delivery_id=row["delivery_id"],
        message_id=row["message_id"] or row["delivery_id"],
        endpoint_id=row["endpoint_id"],
        attempt=row["attempts"],
        tries=row["attempts"] - row["earlier_attempts"],
        url=row["url"],
        body=row["body"],
        secret=row["secret"],
        previous_secret=row["previous_secret"] if until is not None and until > now else None,
        created_at=row["created_at"],
        api_version=row["api_version"],
        written=row["written"],
    )
