"""An HTTP/1.1 load generator that costs little: fixed connections, requests as ready bytes, answers barely parsed.

Closed loop: each connection sends its next request when the last is answered. Open loop: requests are due by a schedule
that waits for nobody; a request that finds no free connection is late, and its latency counts from when it was due.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

Request = Callable[[int], bytes]
"""Makes the bytes of the nth request: a new idempotency key each."""

Accept = Callable[[int, bytes], bool]
"""Whether an answer, by its status and body, is what was asked for."""


@dataclass
class Result:
    """What came of a run: HTTP statuses, latencies in seconds, requests that found no free connection."""

    seconds: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    late: int = 0
    started: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers with a 2xx status a second."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300) / self.seconds


class Refused(Exception):
    """An answer that the run cannot go on with: what it counts would not be what was asked for."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"the service answered {status}: {body[:2000].decode(errors='replace')}")


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way; `body` is the last answer's."""

    def __init__(self, done: Callable[["Connection", int], None]) -> None:
        self._done = done
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.due = 0.0
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, due: float) -> None:
        """Send a request that was due at a time."""
        assert self._transport is not None
        self.due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = buffer
            return
        head = buffer[:end].lower()
        start = head.find(b"content-length:")
        length = int(head[start + 15 : head.find(b"\r", start) if head.find(b"\r", start) > 0 else end])
        if len(buffer) < end + 4 + length:
            self._buffer = buffer
            return
        self._buffer = b""
        self.body = buffer[end + 4 :]
        self._done(self, int(buffer[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Return a POST request's bytes."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def is_success(status: int, _body: bytes) -> bool:
    """Accept any 2xx."""
    return 200 <= status < 300


async def closed_loop(
    port: int,
    request: Request,
    *,
    connections: int,
    seconds: float,
    first: int = 0,
    accept: Accept = is_success,
) -> Result:
    """Send as fast as answers come, over so many connections, for so long.

    Raises: Refused: an answer was not accepted; the first such one ends the run.
    """
    result = Result()
    loop = asyncio.get_running_loop()
    numbers: Iterator[int] = iter(range(first, 1 << 60))
    stop_at = perf_counter() + seconds
    idle: asyncio.Future[None] = loop.create_future()
    busy = connections

    def done(connection: Connection, status: int) -> None:
        nonlocal busy
        now = perf_counter()
        result.statuses[status] = result.statuses.get(status, 0) + 1
        result.latencies.append(now - connection.due)
        if idle.done():
            return
        if not accept(status, connection.body):
            idle.set_exception(Refused(status, connection.body))
        elif now < stop_at:
            connection.send(request(next(numbers)), now)
        else:
            busy -= 1
            if busy == 0:
                idle.set_result(None)

    opened = [
        (await loop.create_connection(lambda: Connection(done), "127.0.0.1", port))[1] for _ in range(connections)
    ]
    started = perf_counter()
    for connection in opened:
        connection.send(request(next(numbers)), perf_counter())
    try:
        async with asyncio.timeout(seconds + 30):
            await idle
    finally:
        for connection in opened:
            connection.close()
    result.seconds = perf_counter() - started
    return result


async def open_loop(
    port: int, request: Request, *, rate: float, seconds: float, connections: int, first: int
) -> Result:
    """Send `rate` requests a second on schedule, whatever the answers do."""
    result = Result()
    loop = asyncio.get_running_loop()
    waiting: deque[tuple[int, float]] = deque()
    free: deque[Connection] = deque()
    total = int(rate * seconds)
    answered = 0
    finished = asyncio.Event()

    def done(connection: Connection, status: int) -> None:
        nonlocal answered
        result.statuses[status] = result.statuses.get(status, 0) + 1
        result.latencies.append(perf_counter() - connection.due)
        answered += 1
        if waiting:
            number, due = waiting.popleft()
            connection.send(request(number), due)
        else:
            free.append(connection)
        if answered == total:
            finished.set()

    for _ in range(connections):
        free.append((await loop.create_connection(lambda: Connection(done), "127.0.0.1", port))[1])
    opened = list(free)
    started = result.started = perf_counter()
    sent = 0
    while sent < total:
        now = perf_counter()
        while sent < total and started + sent / rate <= now:
            due = started + sent / rate
            if free:
                free.popleft().send(request(first + sent), due)
            else:
                result.late += 1
                waiting.append((first + sent, due))
            sent += 1
        await asyncio.sleep(max(0.0, min(0.005, started + sent / rate - perf_counter())))
    try:
        async with asyncio.timeout(60):
            await finished.wait()
    except TimeoutError:
        pass
    result.seconds = perf_counter() - started
    for connection in opened:
        connection.close()
    return result


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` (0..1) of the values do not exceed; infinity for none."""
    if not values:
        return float("inf")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
