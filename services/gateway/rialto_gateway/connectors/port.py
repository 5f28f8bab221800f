"""What the gateway asks of an acquirer, and what it may hear.

Every question carries our own reference: the text form of an attempt's id, derived from the payment, the step and an
ordinal. A connector passes it on as the acquirer's idempotency key, so that the same reference never moves money twice,
however often it is sent. Amounts are whole minor units of an ISO 4217 currency.

A connector answers with a value and does not raise for what an acquirer or a network does:

| answer | means |
|---|---|
| `Succeeded` | done; the acquirer's own reference is on record |
| `Pending` | the acquirer has it and will decide later: by its webhook, or asked for by `lookup` |
| `ActionRequired` | the payer must do something first (3-D Secure): send them to `url` |
| `Declined` | certainly not done, by the acquirer's decision |
| `NotSent` | certainly not done: it never reached the acquirer, or it was turned away before it was looked at |
| `Unknown` | the request may have arrived and no answer did |
| `NotFound` | `lookup` only: the acquirer has nothing under that reference *and will not act on it any more* |

Only after `Declined(retry_elsewhere=True)`, `NotSent` or `NotFound` may another connector be asked. An acquirer that
can still act on a delayed request has to be told to forget the reference before `NotFound` may be answered: that is the
connector's work.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

Step = Literal["authorise", "increment", "capture", "void", "refund"]


@dataclass(frozen=True, slots=True)
class Authorise:
    """Hold an amount on a card. `token` stands for the card at this acquirer; it is never logged.

    `off_session`: the payer is not there and has agreed before; what would need them is declined.
    """

    reference: str
    amount_minor: int
    currency: str
    token: str
    descriptor: str | None = None
    return_url: str | None = None
    off_session: bool = False


@dataclass(frozen=True, slots=True)
class Increment:
    """Raise what is authorised to `amount_minor` in all; declined, what was authorised before still is.

    A total and not a difference: an acquirer that was asked twice has raised it once.
    """

    reference: str
    authorisation: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Capture:
    """Collect all or part of what was authorised; `final` lets go of the rest."""

    reference: str
    authorisation: str
    amount_minor: int
    currency: str
    final: bool


@dataclass(frozen=True, slots=True)
class Void:
    """Let go of what was authorised and not captured. `authorisation` is the acquirer's reference."""

    reference: str
    authorisation: str


@dataclass(frozen=True, slots=True)
class Refund:
    """Give back all or part of what was captured."""

    reference: str
    authorisation: str
    amount_minor: int
    currency: str


Question = Authorise | Increment | Capture | Void | Refund


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Done. `connector_reference` is the acquirer's id of the authorisation, increment, capture, void or refund."""

    connector_reference: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Pending:
    """The acquirer will decide later."""

    connector_reference: str


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The payer must act at `url` before the acquirer decides."""

    connector_reference: str
    url: str


@dataclass(frozen=True, slots=True)
class Declined:
    """Certainly not done. `code` is one of our stable decline codes, `connector_code` the acquirer's own."""

    code: str
    connector_code: str
    retry_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class NotSent:
    """Certainly not done: nothing reached the acquirer, or it was too busy to look. `code` says why."""

    code: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have arrived. `code` says what was seen, such as `timed_out` or `connection_lost`."""

    code: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """Nothing is there under the reference, and nothing will be."""


Answer = Succeeded | Pending | ActionRequired | Declined | NotSent | Unknown | NotFound


class Connector(Protocol):
    """One acquirer."""

    @property
    def name(self) -> str:
        """Return its name, as in `acquirer:{name}:receivable`."""

    async def authorise(self, question: Authorise) -> Answer:
        """Ask for an authorisation."""

    async def increment(self, question: Increment) -> Answer:
        """Ask for more to be authorised; of an acquirer that cannot, `Declined`."""

    async def capture(self, question: Capture) -> Answer:
        """Ask for a capture."""

    async def void(self, question: Void) -> Answer:
        """Ask for a void."""

    async def refund(self, question: Refund) -> Answer:
        """Ask for a refund."""

    async def lookup(self, question: Question) -> Answer:
        """Ask what became of a question asked before, by its reference; `Unknown` where it cannot be asked."""
