"""An attempt: one question to an acquirer, and what is known of its outcome. Pure.

| state | means | leads to |
|---|---|---|
| `queued` | recorded, and certainly not with the acquirer | `started` |
| `started` | may be with the acquirer: recorded before the call | any of those below; `unknown` if the process dies |
| `pending` | the acquirer has it and will decide | asked about |
| `requires_action` | the payer must act first | asked about |
| `unknown` | it may have arrived, and no answer did | asked about, until it is known |
| `succeeded`, `failed` | final | an authorisation that failed can still turn out to have succeeded |

An attempt that may be with the acquirer is never sent again: it is looked up by its reference, after 2 s, then after
twice as long each time. Past its deadline it is asked about once an hour and stands among those a person must look at;
no clock ends it. One that certainly did not arrive is sent again under the same reference, for a while.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, assert_never
from uuid import UUID

from rialto_common import ids
from rialto_gateway.connectors.port import (
    ActionRequired,
    Answer,
    Authorise,
    Capture,
    Declined,
    Increment,
    NotFound,
    NotSent,
    Pending,
    Question,
    Refund,
    Step,
    Succeeded,
    Unknown,
    Void,
)

State = Literal["queued", "started", "pending", "requires_action", "unknown", "succeeded", "failed"]

OPEN: frozenset[State] = frozenset({"queued", "started", "pending", "requires_action", "unknown"})

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=5)
MAX_DOUBLINGS = 12
RESOLVED_WITHIN = timedelta(hours=24)
"""The deadline: an attempt whose outcome is unknown for longer needs a person, and is asked about at the slow pace."""

SLOW_PAUSE = timedelta(hours=1)

LATEST_DUE = SLOW_PAUSE + timedelta(minutes=1)
"""Nothing is left alone for longer: what is due later than that was dated by a clock that was ahead."""

SENT_AGAIN_FOR: dict[Step, timedelta] = {
    "authorise": timedelta(),
    "increment": timedelta(hours=1),
    "capture": timedelta(hours=1),
    "void": timedelta(days=7),
    "refund": timedelta(days=3),
}
"""How long one that certainly did not arrive is sent again. An authorisation goes to another acquirer instead."""

NOT_FOUND = "acquirer_has_nothing"
AMOUNT_DIFFERS = "amount_differs"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of a question. Amounts in minor units of `currency`; references and codes are explained in `port`.

    `asks` counts how often it was sent or asked about since the last news, `asked_at` is when a merchant wanted it,
    `authorisation` the acquirer's reference of what it raises, captures, voids or refunds, `overdue_at` since when a
    person is needed. `due_at` is when it is next sent or asked about; None once it has ended.
    """

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    mode: Literal["test", "live"]
    currency: str
    step: Step
    ordinal: int
    subject_id: UUID | None
    connector: str | None
    authorisation: str | None
    amount_minor: int
    final: bool
    state: State
    code: str | None
    connector_code: str | None
    connector_reference: str | None
    url: str | None
    asks: int
    asked_at: datetime
    created_at: datetime
    started_at: datetime | None
    unknown_since: datetime | None
    answered_at: datetime | None
    overdue_at: datetime | None
    due_at: datetime | None

    @property
    def reference(self) -> str:
        """The name that the acquirer knows it by."""
        return ids.to_text("att", self.id)


@dataclass(frozen=True, slots=True)
class Card:
    """What an authorisation needs to know of a card; the token is never logged."""

    token: str
    return_url: str | None
    descriptor: str | None
    off_session: bool = False

    def __repr__(self) -> str:
        return "Card(token=…)"


def question_of(attempt: Attempt, card: Card | None) -> Question:
    """Return what is put to the acquirer. Raises: ValueError: something that the step needs is missing."""
    if attempt.step == "authorise":
        if card is None:
            raise ValueError(f"attempt {attempt.reference} has no card")
        return Authorise(
            attempt.reference,
            attempt.amount_minor,
            attempt.currency,
            card.token,
            card.descriptor,
            card.return_url,
            card.off_session,
        )
    if attempt.authorisation is None:
        raise ValueError(f"attempt {attempt.reference} has no authorisation to {attempt.step}")
    match attempt.step:
        case "increment":
            return Increment(attempt.reference, attempt.authorisation, attempt.amount_minor, attempt.currency)
        case "capture":
            return Capture(
                attempt.reference, attempt.authorisation, attempt.amount_minor, attempt.currency, attempt.final
            )
        case "void":
            return Void(attempt.reference, attempt.authorisation)
        case "refund":
            return Refund(attempt.reference, attempt.authorisation, attempt.amount_minor, attempt.currency)
        case _:
            assert_never(attempt.step)


def started(attempt: Attempt, connector: str, now: datetime, lease: timedelta) -> Attempt:
    """Return the attempt as it is recorded before the call; past the lease, its process counts as dead."""
    return replace(
        attempt, state="started", connector=connector, asks=attempt.asks + 1, started_at=now, due_at=now + lease
    )


def heard(attempt: Attempt, answer: Answer, now: datetime) -> Attempt:
    """Return the attempt after an answer to it, to a look-up or from a webhook; itself where that makes no difference.

    The order in which answers come makes no difference: what is certain stays, and what is not gives way to it.
    """
    if attempt.state not in OPEN:
        late = attempt.state == "failed" and attempt.step == "authorise" and isinstance(answer, Succeeded)
        return _ended(attempt, "succeeded", now, reference=_reference(answer)) if late else attempt
    match answer:
        case Succeeded(reference, amount_minor):
            if attempt.step != "void" and amount_minor != attempt.amount_minor:
                return _unknown(attempt, AMOUNT_DIFFERS, now)
            return _ended(attempt, "succeeded", now, reference=reference)
        case Declined(code, connector_code):
            return replace(_ended(attempt, "failed", now, code=code), connector_code=connector_code)
        case NotFound():
            return _ended(attempt, "failed", now, code=NOT_FOUND)
        case NotSent(code):
            return _not_sent(attempt, code, now)
        case Unknown(code):
            # A look-up without an answer says nothing of one that the acquirer has on record.
            if attempt.state in ("pending", "requires_action"):
                return _asked_again(attempt, now)
            return _unknown(attempt, code, now)
        case Pending(reference):
            return _waits(attempt, "pending", reference, None, now)
        case ActionRequired(reference, url):
            return _waits(attempt, "requires_action", reference, url, now)
        case _:
            assert_never(answer)


def contradicts(attempt: Attempt, answer: Answer) -> bool:
    """Whether an answer denies what was certain: an acquirer that says so is wrong now or was before."""
    if attempt.state == "succeeded":
        return isinstance(answer, Declined | NotFound)
    return attempt.state == "failed" and isinstance(answer, Succeeded)


def may_go_elsewhere(answer: Answer) -> bool:
    """Whether another acquirer may be asked: only where it is certain that this one did not and will not charge."""
    return isinstance(answer, NotSent | NotFound) or (isinstance(answer, Declined) and answer.retry_elsewhere)


def _ended(
    attempt: Attempt,
    state: Literal["succeeded", "failed"],
    now: datetime,
    *,
    code: str | None = None,
    reference: str | None = None,
) -> Attempt:
    return replace(
        attempt,
        state=state,
        code=code,
        connector_reference=reference or attempt.connector_reference,
        url=None,
        answered_at=now,
        due_at=None,
    )


def _not_sent(attempt: Attempt, code: str, now: datetime) -> Attempt:
    if attempt.state not in ("queued", "started"):
        return _asked_again(attempt, now)  # the look-up was not sent: nothing is known of the attempt itself
    if now - attempt.created_at >= SENT_AGAIN_FOR[attempt.step]:
        return _ended(attempt, "failed", now, code=code)
    asks = attempt.asks + (attempt.state == "queued")  # beginning it has counted already
    return replace(attempt, state="queued", code=code, asks=asks, due_at=now + pause(asks))


def _unknown(attempt: Attempt, code: str, now: datetime) -> Attempt:
    """The first look-up comes soon, whatever it took to get here."""
    if attempt.state == "unknown":
        return replace(_asked_again(attempt, now), code=code)
    since = attempt.unknown_since or now
    return replace(attempt, state="unknown", code=code, unknown_since=since, asks=0, due_at=now + pause(0))


def _waits(
    attempt: Attempt, state: Literal["pending", "requires_action"], reference: str, url: str | None, now: datetime
) -> Attempt:
    if attempt.state == state and (attempt.connector_reference, attempt.url) == (reference, url):
        return _asked_again(attempt, now)
    return replace(
        attempt,
        state=state,
        code=None,
        connector_reference=reference,
        url=url,
        unknown_since=attempt.unknown_since or now,
        asks=0,
        due_at=now + pause(0),
    )


def _asked_again(attempt: Attempt, now: datetime) -> Attempt:
    """Set when it is asked about next, and whether a person must look."""
    asks = attempt.asks + 1
    if attempt.unknown_since is not None and now - attempt.unknown_since >= RESOLVED_WITHIN:
        return replace(attempt, asks=asks, overdue_at=attempt.overdue_at or now, due_at=now + SLOW_PAUSE)
    return replace(attempt, asks=asks, due_at=now + pause(asks))


def pause(asks: int) -> timedelta:
    """Return how long to wait after so many questions."""
    return min(FIRST_PAUSE * (1 << min(asks, MAX_DOUBLINGS)), LONGEST_PAUSE)


def _reference(answer: Answer) -> str | None:
    return answer.connector_reference if isinstance(answer, Succeeded) else None
