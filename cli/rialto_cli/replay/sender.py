"""Sends rows as payments: each customer's in order, many customers at a time, no row twice.

Rows go to lanes by customer, and a lane sends one at a time, so a customer's rows are accepted in the order of the
file while up to `in_flight` requests are under way. By default a lane sends as fast as it is answered (closed loop);
`rate` and `speedup` set the times at which rows are due instead.
"""

import asyncio
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from rialto_cli.replay.api import Api
from rialto_cli.replay.scene import CURRENCY, Scene
from rialto_cli.replay.source import Row, Selection
from rialto_cli.replay.tally import Tally
from rialto_cli.replay.watch import ROW_FIELD, RUN_FIELD, Watcher

_QUEUED_PER_LANE = 16


@dataclass(frozen=True, slots=True)
class Pace:
    """When rows are due. `rate` is rows a second; `speedup` keeps the rows' own spacing, divided by it."""

    in_flight: int = 64
    rate: float | None = None
    speedup: float | None = None

    def due_seconds(self, index: int, row_time_us: int, first_time_us: int) -> float:
        """Return when the row is due, in seconds from the start; 0 means at once."""
        if self.rate is not None:
            return index / self.rate
        if self.speedup is not None:
            return (row_time_us - first_time_us) / 1e6 / self.speedup
        return 0.0


def run_token(fingerprint: str, run: str) -> str:
    """Return the name of one paying of one file: rows of another file, or of another run, never share a key."""
    return sha256(f"{fingerprint}/{run}".encode()).hexdigest()[:20]


def payment_key(token: str, row_number: int) -> str:
    """Return the idempotency key of a row: the same for every attempt, in every process, for ever."""
    return f"replay-{token}-{row_number}"


def payment_body(row: Row, scene: Scene, token: str) -> dict[str, Any]:
    """Return what is posted for a row. The fraud label is not in it."""
    customer = scene.cast.customer(row.customer)
    metadata = {RUN_FIELD: token, ROW_FIELD: str(row.number)}
    if row.reference is not None:
        metadata["reference"] = row.reference
    return {
        "amount_minor": str(row.amount_minor),
        "currency": CURRENCY,
        "payment_method": _method(row, scene, by_card=customer.by_card),
        "payer": {"name": customer.name, "country": customer.country},
        "capture_method": "automatic",
        "terminal_id": row.terminal,
        "occurred_at": row.occurred_at.isoformat().replace("+00:00", "Z"),
        "metadata": metadata,
    }


def _method(row: Row, scene: Scene, *, by_card: bool) -> dict[str, str]:
    if by_card:
        return {"type": "card", "token": scene.cast.token(row.number)}
    return {"type": "wallet", "wallet_id": scene.wallets[row.customer]}


class Sender:
    """Sends the rows of a selection and notes each answer in the tally."""

    def __init__(self, api: Api, scene: Scene, selection: Selection, tally: Tally, watcher: Watcher) -> None:
        self._api, self._scene, self._selection = api, scene, selection
        self._tally, self._watcher = tally, watcher
        self._token = scene.token

    async def send_all(self, pace: Pace) -> None:
        """Send every row. Returns when each is answered.

        Raises: ExceptionGroup of Stalled or Refused: the platform stayed silent, or refuses the key.
        """
        lanes: list[asyncio.Queue[int | None]] = [asyncio.Queue(_QUEUED_PER_LANE) for _ in range(pace.in_flight)]
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(self._drain(lane))
            await self._feed(lanes, pace)

    async def _feed(self, lanes: list[asyncio.Queue[int | None]], pace: Pace) -> None:
        selection, began = self._selection, time.monotonic()
        timed = pace.rate is not None or pace.speedup is not None
        for index in range(len(selection)):
            if timed:
                due = pace.due_seconds(index, int(selection.times_us[index]), int(selection.times_us[0]))
                early = began + due - time.monotonic()
                if early > 0:
                    await asyncio.sleep(early)
            await lanes[int(selection.customer_codes[index]) % len(lanes)].put(index)
        for lane in lanes:
            await lane.put(None)

    async def _drain(self, lane: asyncio.Queue[int | None]) -> None:
        while (index := await lane.get()) is not None:
            await self._send(index)

    async def _send(self, index: int) -> None:
        row = self._selection.row(index)
        self._tally.sent += 1
        answer = await self._api.post(
            "/v1/payments",
            payment_body(row, self._scene, self._token),
            key=self._scene.merchant_of(row.terminal).key,
            idempotency_key=payment_key(self._token, row.number),
        )
        if answer.ok:
            self._tally.accept(index, answer.body)
            if created_at := answer.body.get("created_at"):
                self._watcher.note_created(str(created_at))
        else:
            self._tally.reject(index, answer.code)
