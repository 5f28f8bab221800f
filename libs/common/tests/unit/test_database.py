"""Which failures are the environment's, and what a commit that breaks off may mean."""

import asyncpg
import pytest
from asyncpg.exceptions import InterfaceError, InternalClientError
from asyncpg.exceptions._base import DataError as ArgumentError

from rialto_common.bus.consumer import describe
from rialto_common.database import commit, is_retryable, is_unavailable, load_queries
from rialto_common.errors import CommitUnknown, InvariantViolated, MalformedEvent, NotFound, ServiceUnavailable

ENVIRONMENT = [
    ConnectionRefusedError(),
    TimeoutError(),
    InterfaceError("connection is closed"),
    InternalClientError("got result for unknown protocol state"),
    asyncpg.ConnectionDoesNotExistError("gone"),
    asyncpg.DeadlockDetectedError("deadlock"),
    asyncpg.SerializationError("try again"),
    asyncpg.UndefinedTableError("half deployed"),
    asyncpg.DiskFullError("full"),
    asyncpg.TooManyConnectionsError("full house"),
    asyncpg.AdminShutdownError("going down"),
    asyncpg.CannotConnectNowError("starting up"),
    asyncpg.InternalServerError("corrupt"),
    ServiceUnavailable("away"),
    CommitUnknown("who knows"),
]

EVENTS_OWN = [
    asyncpg.UniqueViolationError("twice"),
    asyncpg.CheckViolationError("negative"),
    asyncpg.NumericValueOutOfRangeError("too large"),
    asyncpg.CharacterNotInRepertoireError("a null character"),
    ArgumentError("invalid input for query argument $1: 9223372036854775808 (value out of int64 range)"),
    MalformedEvent("not readable"),
    NotFound("no such hold"),
    InvariantViolated("unbalanced"),
    KeyError("a bug"),
]


@pytest.mark.parametrize("error", ENVIRONMENT, ids=lambda error: type(error).__name__)
def test_a_fault_of_the_environment_is_tried_again(error: Exception) -> None:
    assert is_retryable(error)


@pytest.mark.parametrize("error", EVENTS_OWN, ids=lambda error: type(error).__name__)
def test_a_fault_of_the_event_is_not(error: Exception) -> None:
    assert not is_retryable(error)
    assert not is_unavailable(error)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.ReadOnlySQLTransactionError("a standby"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_database_that_cannot_serve_is_unavailable(error: Exception) -> None:
    assert is_unavailable(error)


class Committing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def commit(self) -> None:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.AdminShutdownError("going down"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_commit_whose_answer_was_lost_is_unknown(error: Exception) -> None:
    with pytest.raises(CommitUnknown) as caught:
        await commit(Committing(error))
    assert caught.value.__cause__ is error
    assert is_retryable(caught.value)


async def test_a_commit_that_was_refused_says_why() -> None:
    refusal = asyncpg.CheckViolationError("debits and credits differ")
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await commit(Committing(refusal))
    assert caught.value is refusal


def test_an_error_is_described_so_that_any_column_can_store_it() -> None:
    assert describe(MalformedEvent("no amount")) == "event_malformed: no amount"
    text = describe(KeyError("a\0b \ud800 Zoë"))
    assert text == "KeyError: 'a\\x00b \\ud800 Zoë'"
    text = describe(ValueError("a\0b \ud800 Zoë"))
    assert "\0" not in text
    assert text.encode()
    assert len(describe(ValueError("x" * 9999))) <= 500


def test_named_queries_are_read_whole_and_without_their_names() -> None:
    queries = load_queries("rialto_common.bus")
    assert {"append", "claim", "acknowledge_and_read", "acknowledge", "take", "park_event"} <= set(queries)
    assert all(text and "-- name:" not in text for text in queries.values())
