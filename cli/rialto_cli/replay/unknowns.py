"""Payments by card whose acquirer gave no clear answer: what came of each question, and after how long."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from rialto_cli.replay.api import Api
from rialto_cli.replay.names import Cast
from rialto_cli.replay.source import Selection
from rialto_cli.replay.tally import Tally

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Unknown:
    """A question whose outcome was unknown for a while. `seconds` is None while it still is."""

    token: str
    step: str
    outcome: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class CardPayment:
    """An accepted payment by card, and the test token it was made with."""

    payment_id: str
    token: str


def card_payments(selection: Selection, cast: Cast, tally: Tally) -> Iterator[CardPayment]:
    """Return the selection's accepted payments by card."""
    for place in range(len(selection)):
        row = selection.row(place)
        payment_id = tally.payment_id(place)
        if payment_id is not None and cast.customer(row.customer).by_card:
            yield CardPayment(payment_id, cast.token(row.number))


async def ask(api: Api, key: str, payments: Sequence[CardPayment]) -> list[Unknown]:
    """Read each payment's attempts; return those whose outcome was unknown for a while."""
    remaining, found = iter(payments), list[Unknown]()

    async def read() -> None:
        for payment in remaining:
            answer = await api.get(f"/v1/payments/{payment.payment_id}", key=key)
            if answer.ok:
                found.extend(unknowns(payment.token, answer.body.get("attempts") or []))

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(read())
    return sorted(found, key=lambda each: (each.token, each.step))


def unknowns(token: str, attempts: Iterable[dict[str, Any]]) -> Iterator[Unknown]:
    """Return the attempts of a payment that were unknown for a while."""
    for attempt in attempts:
        since, answered = attempt["unknown_since"], attempt["answered_at"]
        if since is None:
            continue
        seconds = None
        if answered is not None:
            seconds = (datetime.fromisoformat(answered) - datetime.fromisoformat(since)).total_seconds()
        yield Unknown(token, attempt["step"], attempt["status"], seconds)


def summary(found: Iterable[Unknown]) -> list[dict[str, Any]]:
    """Return a line per token, step and outcome: how many, and how long it took to know (median and longest)."""
    groups: dict[tuple[str, str, str], list[Unknown]] = {}
    for each in found:
        groups.setdefault((each.token, each.step, each.outcome), []).append(each)
    return [
        {
            "token": token,
            "step": step,
            "outcome": outcome,
            "count": len(group),
            **_seconds([each.seconds for each in group if each.seconds is not None]),
        }
        for (token, step, outcome), group in groups.items()
    ]


def _seconds(known: Sequence[float]) -> dict[str, float | None]:
    if not known:
        return {"median_seconds": None, "longest_seconds": None}
    return {"median_seconds": round(median(known), 1), "longest_seconds": round(max(known), 1)}
