"""The ledger's control totals beside those of the services that move the same money: where they differ, and why.

The gateway's captures and refunds must be the ledger's (I7), and so must the chain-bridge's settlements. A difference
is never deleted: it is open until the two agree again (resolved) or a person has said why they do not (explained).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from rialto_common import ids
from rialto_common.control.totals import NOTHING, Report, Total, TotalKey, Totals, start_of, total_of

COUNTERPARTS: Mapping[str, str] = {"captured": "gateway", "refunded": "gateway", "settled": "chain_bridge"}
"""By kind: the service whose totals must be the ledger's."""

SETTLES_WITHIN = timedelta(minutes=30)
"""How long the two may differ after one of them has told something new: the other comes to that day in its turn."""

REPORTED_WITHIN = timedelta(hours=2)
"""How long after a day's end its first report may take."""


class Reason(StrEnum):
    """Why two totals are not the same, as far as they show it themselves."""

    MISSING_THERE = "missing_there"
    MISSING_HERE = "missing_here"
    AMOUNT_DIFFERS = "amount_differs"
    NOT_REPORTED = "not_reported"


class DifferenceState(StrEnum):
    """Open needs a person, or time. Explained is open again when the totals change. Resolved: they agree."""

    OPEN = "open"
    EXPLAINED = "explained"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Reported:
    """What another service has told of a key, and when it reached us."""

    totals: Totals
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """Two totals that are, or were, not the same; `theirs` is None where nothing was reported."""

    id: UUID
    key: TotalKey
    kind: str
    source: str
    ours: Total
    theirs: Total | None
    reason: Reason
    state: DifferenceState
    first_seen_at: datetime
    last_seen_at: datetime
    note: str | None = None
    explained_by: str | None = None


def difference_id(key: TotalKey, kind: str) -> UUID:
    """Return the id of the one row that a key and a kind have."""
    return ids.derive(key.root, f"difference/{kind}")


def reason_of(ours: Total, theirs: Total | None) -> Reason | None:
    """Return why the two differ; None where they do not: who has nothing to report need not report it."""
    if theirs is None:
        return None if ours == NOTHING else Reason.NOT_REPORTED
    if ours == theirs:
        return None
    if ours.count == theirs.count:
        return Reason.AMOUNT_DIFFERS
    return Reason.MISSING_THERE if ours.count > theirs.count else Reason.MISSING_HERE


def compare(
    ours: Mapping[TotalKey, Report],
    theirs: Mapping[str, Mapping[TotalKey, Reported]],
    known: Mapping[UUID, Difference],
    now: datetime,
) -> list[Difference]:
    """Return the differences of a day that are new or no longer as they are known.

    Args: ours: what the ledger has told of the day. theirs: what the others have, by source. known: the day's rows.
    """
    found: list[Difference] = []
    for kind, source in COUNTERPARTS.items():
        reports = theirs.get(source, {})
        for key in dict.fromkeys([*ours, *reports]):
            difference = _compare(kind, source, key, ours.get(key), reports.get(key), known, now)
            if difference is not None:
                found.append(difference)
    return found


def _compare(
    kind: str,
    source: str,
    key: TotalKey,
    our: Report | None,
    their: Reported | None,
    known: Mapping[UUID, Difference],
    now: datetime,
) -> Difference | None:
    mine = NOTHING if our is None else total_of(our.totals, kind)
    other = None if their is None else total_of(their.totals, kind)
    reason = reason_of(mine, other)
    before = known.get(difference_id(key, kind))
    stands = before is not None and before.state is not DifferenceState.RESOLVED
    if reason is None:
        if before is None or not stands:
            return None
        return replace(before, state=DifferenceState.RESOLVED, last_seen_at=now)
    if before is not None and stands:
        seen = replace(before, ours=mine, theirs=other, reason=reason, last_seen_at=now)
        explains = (before.ours, before.theirs) == (mine, other)
        return seen if explains else replace(seen, state=DifferenceState.OPEN)
    if now < _ripe_at(key.day, our, their):
        return None
    return Difference(difference_id(key, kind), key, kind, source, mine, other, reason, DifferenceState.OPEN, now, now)


def _ripe_at(day: date, our: Report | None, their: Reported | None) -> datetime:
    """Return when the two must agree."""
    return max(_news(day, our, their))


def _news(day: date, our: Report | None, their: Reported | None) -> Iterator[datetime]:
    if our is not None:
        yield our.told_at + SETTLES_WITHIN
    if their is not None:
        yield their.received_at + SETTLES_WITHIN
    else:
        yield start_of(day + timedelta(days=1)) + REPORTED_WITHIN
