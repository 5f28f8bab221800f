"""What became of each row: one small column per fact, so that millions of rows fit."""

from collections import Counter
from datetime import datetime
from typing import Any

import numpy as np

from rialto_cli.replay.source import Selection

UNSENT, REJECTED = "unsent", "rejected"
FINAL = frozenset({"settled", "declined", "voided", "expired", "failed"})
RESTING = FINAL | {"review", UNSENT, REJECTED}
"""States that nothing more is waited for in: the final ones, a review that a person closes, and rows not accepted."""

REACHED = {
    "authorised": ("authorised", "captured", "settled"),
    "captured": ("captured", "settled"),
    "settled": ("settled",),
}
"""A milestone → the states of a payment that has passed it (one that was voided or expired is not counted)."""

_STATES = [
    UNSENT,
    REJECTED,
    "created",
    "review",
    "approved",
    "requires_action",
    "unknown",
    "authorised",
    "captured",
    "settled",
    "declined",
    "voided",
    "expired",
    "failed",
]
_CODES = {state: code for code, state in enumerate(_STATES)}
_ID_BYTES = 40


class Tally:
    """Per row of a selection: its state, whether it was accepted, its payment's id and its latency."""

    def __init__(self, selection: Selection) -> None:
        count = len(selection)
        order = np.argsort(selection.numbers, kind="stable")
        self._numbers, self._places = selection.numbers[order], order
        self._states = np.zeros(count, dtype=np.int8)
        self._accepted = np.zeros(count, dtype=bool)
        self._ids = np.zeros(count, dtype=f"S{_ID_BYTES}")
        self._latency_ms = np.full(count, np.nan, dtype=np.float32)
        self._counts = Counter({UNSENT: count})
        self._decline_codes: dict[int, str] = {}
        self.sent = self.accepted = self.changes = 0
        self.rejections: Counter[str] = Counter()
        self.tx_hashes: set[str] = set()

    def __len__(self) -> int:
        return len(self._states)

    @property
    def counts(self) -> dict[str, int]:
        """Rows by state, without the empty ones."""
        return {state: self._counts[state] for state in _STATES if self._counts[state]}

    def reached(self, milestone: str) -> int:
        """Payments that have passed a milestone of REACHED."""
        return sum(self._counts[state] for state in REACHED[milestone])

    @property
    def pending(self) -> int:
        """Accepted payments that are neither final nor in review."""
        return sum(count for state, count in self.counts.items() if state not in RESTING)

    @property
    def decline_reasons(self) -> Counter[str]:
        return Counter(self._decline_codes.values())

    def pending_ids(self, most: int) -> list[str]:
        """Return some payments that are still under way, by id."""
        resting = [_CODES[state] for state in RESTING]
        places = np.flatnonzero(~np.isin(self._states, resting) & (self._ids != b""))[:most]
        return [bytes(self._ids[place]).decode() for place in places]

    def latencies_ms(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Accepted to authorised, in milliseconds, for every payment that was authorised."""
        return self._latency_ms[~np.isnan(self._latency_ms)]

    def payment_id(self, place: int) -> str | None:
        """Return the id of a row's payment, once it has one."""
        return bytes(self._ids[place]).decode() or None

    def state_of(self, place: int) -> str:
        return _STATES[int(self._states[place])]

    def decline_code(self, place: int) -> str:
        """Return why a declined row was."""
        return self._decline_codes.get(place, "unstated")

    def place_of(self, number: int) -> int | None:
        """Return the place in the selection of a row by its number in the file, or None if it is not in it."""
        found = int(np.searchsorted(self._numbers, number))
        if found < len(self._numbers) and self._numbers[found] == number:
            return int(self._places[found])
        return None

    def accept(self, place: int, payment: dict[str, Any]) -> None:
        """Note a row's 2xx. The body may be a stored answer of an earlier run, so it never sets a state back."""
        self.accepted += not self._accepted[place]
        self._accepted[place] = True
        self._ids[place] = str(payment.get("id", "")).encode()
        if self.state_of(place) == UNSENT:
            self._move(place, "created")

    def reject(self, place: int, code: str) -> None:
        """Note a row that the platform refused for good."""
        self.rejections[code] += 1
        self._move(place, REJECTED)

    def update(self, place: int, payment: dict[str, Any]) -> None:
        """Note where a payment stands now."""
        self._ids[place] = str(payment["id"]).encode()
        status = str(payment["status"])
        if self.state_of(place) == status and status in FINAL:
            return
        self._move(place, status)
        if status == "declined":
            self._decline_codes[place] = str(payment.get("decline_code") or "unstated")
        if payment.get("authorised_at") and np.isnan(self._latency_ms[place]):
            waited = _instant(payment["authorised_at"]) - _instant(payment["created_at"])
            self._latency_ms[place] = waited.total_seconds() * 1000
        settlement = payment.get("settlement") or {}
        if status == "settled" and settlement.get("tx_hash"):
            self.tx_hashes.add(str(settlement["tx_hash"]))

    def _move(self, place: int, state: str) -> None:
        before = self.state_of(place)
        # A state that is newer than this program counts as under way.
        state = state if state in _CODES else "unknown"
        if before != state:
            self._counts[before] -= 1
            self._counts[state] += 1
            self._states[place] = _CODES[state]
            self.changes += 1


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
