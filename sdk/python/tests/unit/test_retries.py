"""What a call does when it is not answered, or not well: the laws of retries."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto import (
    ApiError,
    ConflictError,
    ConnectionFailed,
    NotFoundError,
    Payment,
    RateLimitedError,
    RequestInProgressError,
    ServerError,
    UnexpectedAnswer,
)
from rialto._exchange import LONGEST_PAUSE_SECONDS, RETRY_AFTER_SPREAD, retry_after

from .scripted import PAYMENT, START, Gateway, answer, problem

PAY: dict[str, Any] = {
    "amount_minor": 1250,
    "currency": "USD",
    "payment_method": {"type": "card", "token": "tok_approve"},
    "payer": {"name": "Ada Example"},
}
PASSING: list[Callable[[], httpx.Response | Exception]] = [
    lambda: httpx.ConnectError("nobody listens"),
    lambda: httpx.ReadTimeout("no answer"),
    lambda: httpx.ReadError("reset"),
    lambda: httpx.RemoteProtocolError("cut off"),
    lambda: problem(429, "rate_limited", retryable=True, retry_after="2"),
    lambda: problem(503, "overloaded", retryable=True, retry_after="5"),
    lambda: problem(409, "request_in_progress", retryable=True, retry_after="1"),
    lambda: problem(500, "internal_error", retryable=True),
    lambda: httpx.Response(502, text="<html>bad gateway</html>"),
]
FINAL: list[Callable[[], httpx.Response | Exception]] = [
    lambda: answer(),
    lambda: problem(400, "amount_invalid"),
    lambda: problem(401, "unauthenticated"),
    lambda: problem(404, "payment_not_found"),
    lambda: problem(409, "payment_not_capturable"),
    lambda: problem(422, "idempotency_key_reused"),
    lambda: httpx.Response(200, text="<html>hello</html>"),
    lambda: httpx.Response(301, headers={"Location": "/elsewhere"}),
]


def outcome(run: Callable[[], Any]) -> str:
    """Return what a call came to, as text."""
    try:
        return repr(run())
    except (ApiError, ConnectionFailed, UnexpectedAnswer) as error:
        return f"{type(error).__name__}: {error}"


@given(
    passing=st.lists(st.sampled_from(PASSING), max_size=12),
    final=st.sampled_from(FINAL),
    chance=st.floats(0, 1, exclude_max=True),
    sends_take=st.floats(0, 4),
    budget=st.floats(0, 90),
)
def test_a_call_keeps_its_key_ends_in_time_and_repeats_nothing_that_was_answered(
    passing: list[Any], final: Any, chance: float, sends_take: float, budget: float
) -> None:
    script = [each() for each in (*passing, final)]
    gateway = Gateway(script, sends_take)
    client = gateway.client(chance=chance, retry_seconds=budget)
    came_to = outcome(lambda: client.payments.create(**PAY))
    # One key and one body over all tries.
    assert {request.headers["Idempotency-Key"] for request in gateway.got} == {"key-1"}
    assert len({request.content for request in gateway.got}) == 1
    # Nothing is asked again after an answer that settles it.
    assert len(gateway.got) <= len(script)
    if len(gateway.got) == len(script):
        assert came_to == outcome(lambda: Gateway([final()]).client(retry_seconds=0).payments.create(**PAY))
    # Time is kept to, and Retry-After.
    assert sum(gateway.pauses) + sends_take * (len(gateway.got) - 1) <= budget
    for sent, pause in zip(script, gateway.pauses, strict=False):
        asked = float(sent.headers.get("Retry-After", 0)) if isinstance(sent, httpx.Response) else 0.0
        assert asked <= pause <= max(LONGEST_PAUSE_SECONDS, asked * (1 + RETRY_AFTER_SPREAD))


@given(script=st.lists(st.sampled_from([*PASSING, *FINAL]), min_size=1, max_size=8), budget=st.floats(0, 40))
def test_both_clients_do_the_same(script: list[Any], budget: float) -> None:
    one, other = (Gateway([each() for each in script], 0.5) for _ in range(2))
    came_to = outcome(lambda: one.client(retry_seconds=budget).payments.create(**PAY))
    client = other.async_client(retry_seconds=budget)
    assert outcome(lambda: asyncio.run(client.payments.create(**PAY))) == came_to
    assert one.pauses == other.pauses
    assert [(each.method, each.url, each.content) for each in one.got] == [
        (each.method, each.url, each.content) for each in other.got
    ]
    assert [dict(each.headers) for each in one.got] == [dict(each.headers) for each in other.got]


def test_a_lost_answer_is_asked_for_under_the_same_key_and_the_payment_made_once() -> None:
    gateway = Gateway([httpx.ReadTimeout("lost"), answer(200, None, Idempotency_Replayed="true", Request_Id="r-2")])
    payment = gateway.client().payments.create(**PAY, idempotency_key="order-1001")
    assert isinstance(payment, Payment)
    assert payment.response is not None
    assert (payment.response.tries, payment.response.replayed, payment.request_id) == (2, True, "r-2")
    assert [each.headers["Idempotency-Key"] for each in gateway.got] == ["order-1001"] * 2


def test_two_calls_have_two_keys_and_reads_none() -> None:
    gateway = Gateway([answer()])
    client = gateway.client()
    client.payments.create(**PAY)
    client.payments.create(**PAY)
    client.payments.retrieve("pay_1")
    assert [each.headers.get("Idempotency-Key") for each in gateway.got] == ["key-1", "key-2", None]


def test_an_unknown_outcome_is_said_to_be_one_with_the_key_to_go_on_with() -> None:
    gateway = Gateway([httpx.ReadTimeout("lost"), httpx.ConnectError("nobody listens")])
    with pytest.raises(ConnectionFailed, match=r"it may have been done.*idempotency_key='key-1'") as caught:
        gateway.client(retry_seconds=3).payments.create(**PAY)
    assert (caught.value.may_have_arrived, caught.value.idempotency_key) == (True, "key-1")
    assert caught.value.tries == len(gateway.got) > 2


def test_what_never_arrived_is_not_called_unknown() -> None:
    gateway = Gateway([httpx.ConnectError("nobody listens")])
    with pytest.raises(ConnectionFailed) as caught:
        gateway.client(retry_seconds=3).payments.create(**PAY)
    assert not caught.value.may_have_arrived
    assert "may have been done" not in str(caught.value)


def test_an_address_that_cannot_be_is_not_tried_again() -> None:
    gateway = Gateway([httpx.UnsupportedProtocol("no such protocol")])
    with pytest.raises(ConnectionFailed):
        gateway.client().payments.retrieve("pay_1")
    assert len(gateway.got) == 1


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (problem(429, "rate_limited", retryable=True, retry_after="3600"), RateLimitedError),
        (problem(503, "overloaded", retryable=True, retry_after="3600"), ServerError),
        (problem(409, "request_in_progress", retryable=True, retry_after="3600"), RequestInProgressError),
    ],
)
def test_a_retry_after_beyond_the_time_allowed_ends_the_call_at_once(
    refusal: httpx.Response, kind: type[ApiError]
) -> None:
    gateway = Gateway([refusal])
    with pytest.raises(kind):
        gateway.client().payments.retrieve("pay_1")
    assert gateway.pauses == []


def test_a_conflict_of_states_is_not_tried_again() -> None:
    gateway = Gateway([problem(409, "payment_not_capturable")])
    with pytest.raises(ConflictError):
        gateway.client().payments.capture("pay_1")
    assert len(gateway.got) == 1


def test_a_deletion_whose_answer_was_lost_is_done_when_nothing_is_there_any_more() -> None:
    gone = problem(404, "webhook_endpoint_not_found")
    client = Gateway([httpx.ReadError("reset"), gone]).client()
    client.webhook_endpoints.delete("we_1")
    with pytest.raises(NotFoundError):
        Gateway([gone]).client().webhook_endpoints.delete("we_1")
    with pytest.raises(NotFoundError):
        Gateway([httpx.ConnectError("nobody listens"), gone]).client().webhook_endpoints.delete("we_1")


class Dripping(httpx.SyncByteStream, httpx.AsyncByteStream):
    """An answer of which a byte comes every second."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(1000):
            self._gateway.seconds += 1
            yield b" "

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def test_an_answer_that_drips_is_given_up_in_time_by_both_clients() -> None:
    gateway = Gateway([])

    def drip(request: httpx.Request) -> httpx.Response:
        gateway.got.append(request)
        return httpx.Response(200, stream=Dripping(gateway))

    for budget, tries in ((9, 1), (25, 3)):
        gateway.got, began = [], gateway.seconds
        with pytest.raises(ConnectionFailed, match="too slowly"):
            gateway.client(handler=drip, timeout_seconds=10, retry_seconds=budget).payments.create(**PAY)
        assert len(gateway.got) == tries
        assert gateway.seconds - began <= budget + 2
        awaited = gateway.async_client(handler=drip, timeout_seconds=10, retry_seconds=budget)
        gateway.got = []
        with pytest.raises(ConnectionFailed, match="too slowly"):
            asyncio.run(awaited.payments.create(**PAY))
        assert len(gateway.got) == tries


def test_an_answer_without_end_is_not_kept() -> None:
    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b" " * 1_000_000

    gateway = Gateway([])
    client = gateway.client(handler=lambda _: httpx.Response(200, stream=Endless()), retry_seconds=0)
    with pytest.raises(ConnectionFailed, match="more than"):
        client.payments.retrieve("pay_1")


def test_a_compressed_answer_is_read() -> None:
    packed = gzip.compress(json.dumps(PAYMENT).encode())
    gateway = Gateway([])

    def compressed(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(packed))

    payment = gateway.client(handler=compressed).payments.retrieve("pay_1")
    assert payment.id == PAYMENT["id"]
    packed = b"not compressed at all"
    with pytest.raises(ConnectionFailed, match="RemoteProtocolError"):
        gateway.client(handler=compressed, retry_seconds=0).payments.retrieve("pay_1")


def test_waiting_asks_for_the_decision_and_gives_the_answer_the_time() -> None:
    gateway = Gateway([answer()])
    gateway.client(timeout_seconds=7).payments.create(**PAY, wait=20)
    [request] = gateway.got
    assert request.headers["Prefer"] == "wait=20"
    assert request.extensions["timeout"]["read"] == 27


def test_other_limits_share_the_connections_and_change_nothing_else() -> None:
    gateway = Gateway([problem(503, "overloaded", retryable=True)])
    client = gateway.client()
    with pytest.raises(ServerError):
        client.with_options(retry_seconds=0).payments.retrieve("pay_1")
    assert len(gateway.got) == 1
    with pytest.raises(ServerError):
        client.payments.retrieve("pay_1")
    assert len(gateway.got) > 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("7", 7),
        ("Sun, 01 Mar 2026 00:00:09 GMT", 9),
        ("Sat, 28 Feb 2026 00:00:00 GMT", 0),
        ("soon", 0),
        ("-3", 0),
        ("", 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float) -> None:
    assert retry_after(header, START) == seconds
