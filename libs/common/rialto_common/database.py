"""PostgreSQL: the pool, SQL from `queries.sql` files, and which failures are the environment's rather than ours."""

import asyncio
import re
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from rialto_common.errors import CommitUnknown, PaymentError, ServiceUnavailable

# Texts, as asyncpg's classes take parameters only in its stubs.
Connection: TypeAlias = "asyncpg.Connection[Any] | PoolConnectionProxy[Any]"
Pool: TypeAlias = "asyncpg.Pool[Any]"

CONNECT_SECONDS = 5.0
"""How long to wait for a new connection: asyncpg's own minute would hold every request of a server that is frozen."""

RELEASE_SECONDS = 2.0
MAX_QUERIES = 50_000
"""After how many statements a connection is replaced: asyncpg's default."""

if TYPE_CHECKING:
    _AnyPool = asyncpg.Pool[asyncpg.Record]
else:
    _AnyPool = asyncpg.Pool

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def column(values: list[Any]) -> list[Any]:
    """Return a batch's column as `bus.spread` takes it: once where all values are the same.

    The driver looks at each value of an array for a fifth of a microsecond, and many columns of a batch hold one value.
    """
    return values[:1] if values and values.count(values[0]) == len(values) else values


def load_queries(package: str, resource: str = "queries.sql") -> Mapping[str, str]:
    """Return the named blocks (`-- name: lock_payments`) of a SQL file that lies beside the adapter."""
    text = resources.files(package).joinpath(resource).read_text()
    parts = _NAME.split(text)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


class _Pool(_AnyPool):
    """Drops a connection whose cancelled statement is not acknowledged soon; asyncpg waits a statement's timeout."""

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's own
        """Give a connection back. Raises: TimeoutError: it was dropped instead."""
        await super().release(connection, timeout=RELEASE_SECONDS if timeout is None else timeout)


async def open_pool(dsn: str, *, application: str, max_size: int = 10, statement_seconds: float = 30.0) -> Pool:
    """Return a pool whose sessions are in UTC; it connects when first used, so a service starts without a database.

    `plan_cache_mode=force_custom_plan`: our statements take arrays, and a generic plan, made for arrays of a guessed
    length, turns to sequential scans once tables have grown.
    """
    return await _Pool(
        dsn,
        min_size=0,
        max_size=max_size,
        timeout=CONNECT_SECONDS,
        command_timeout=statement_seconds,
        max_queries=MAX_QUERIES,
        max_inactive_connection_lifetime=0,
        reset=_keep_session,
        loop=asyncio.get_running_loop(),
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        server_settings={
            "application_name": application,
            "timezone": "UTC",
            "plan_cache_mode": "force_custom_plan",
            "jit": "off",
        },
    )


async def _keep_session(_connection: Connection) -> None:
    """Skip the reset between uses, a round trip each: our code changes no session state."""


# SQLSTATE classes that say something about the server or the moment, not about the event in hand: connection (08),
# transaction rollback such as deadlocks (40), syntax and missing tables or rights (42: a deployment half done),
# resources such as a full disk (53), limits (54), operator intervention (57), system errors (58), configuration (F0),
# internal (XX).
_ENVIRONMENT_CLASSES = ("08", "25", "40", "42", "53", "54", "55", "57", "58", "F0", "XX")


def is_retryable(error: BaseException) -> bool:
    """Say whether trying the same again can help: the fault lies in the environment, not in the input."""
    if isinstance(error, PaymentError):
        return error.retryable
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "XX")[:2] in _ENVIRONMENT_CLASSES
    return _lies_on_the_way(error)


def is_unavailable(error: BaseException) -> bool:
    """Say whether the work cannot be done just now: the database away, a deadlock, too much waiting (503 over HTTP)."""
    if isinstance(error, ServiceUnavailable):
        return True
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "XX")[:2] in ("08", "25", "40", "53", "57", "58", "XX")
    return _lies_on_the_way(error)


def _lies_on_the_way(error: BaseException) -> bool:
    """Say whether the fault is the connection's. A value that fits no column (asyncpg's own DataError, which is an
    InterfaceError and a ValueError) is the input's: trying that again would hold everything behind it for ever.
    """
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)
    return isinstance(error, OSError | TimeoutError | asyncpg.InternalClientError)


async def commit(transaction: Any) -> None:
    """Commit, telling a refused commit (the error passes on) from one whose answer was lost.

    Raises: CommitUnknown: the connection broke while the commit was under way.
    """
    try:
        await transaction.commit()
    except asyncpg.PostgresError as error:
        if (error.sqlstate or "")[:2] in ("08", "57"):
            raise CommitUnknown("the database went away during a commit; ask again by the same identity") from error
        raise
    except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise CommitUnknown("the database went away during a commit; ask again by the same identity") from error
