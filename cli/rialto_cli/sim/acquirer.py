"""A simulated acquirer: what it holds, has captured and has given back, kept through every crash of ours.

It knows each question by our reference and acts on it once; asked again, it says what it said. It decides at once, or
later where the card says so. A look-up of what it has nothing of makes it forget the reference: a question that still
arrives is turned away, as the port of connectors wants it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from rialto_common.virtual_time import SimulatedProcess
from rialto_gateway.connectors.port import (
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
    Succeeded,
    Unknown,
    Void,
)

NAMES = ("harbour", "quay")
"""The first is the one that declines what another may give."""

TOKENS = (
    *("tok_approve",) * 10,
    "tok_decline_insufficient_funds",
    "tok_decline_stolen_card",
    "tok_elsewhere",
    "tok_elsewhere",
    "tok_pending",
    "tok_pending_declined",
    "tok_increment_declined",
    "tok_increment_pending",
    "tok_capture_declined",
    "tok_capture_pending",
    "tok_refund_declined",
    "tok_refund_pending",
)
"""What a card may be, by how acquirers treat it; `tok_elsewhere` is declined by the first of them alone."""

GIVES_UP_SECONDS = 10.0
"""How long our side waits for an answer."""

LATEST_SECONDS = 120.0
"""By when a question that was held up on the way arrives."""


@dataclass(frozen=True, slots=True)
class AcquirerFaults:
    """How often, 0..1, a question is lost, arrives late or is turned away, an answer is lost, and news is told."""

    question_lost: float = 0.0
    question_late: float = 0.0
    answer_lost: float = 0.0
    busy: float = 0.0
    lookup_lost: float = 0.0
    tells: float = 1.0


@dataclass
class Authorisation:
    """Money of a payer's that is held, by our reference. `is_open`: what is not captured is still held."""

    reference: str
    token: str
    amount_minor: int
    captured_minor: int = 0
    refunded_minor: int = 0
    is_open: bool = True

    @property
    def held_minor(self) -> int:
        """What is held now."""
        return self.amount_minor - self.captured_minor if self.is_open else 0


@dataclass
class _Record:
    question: Question
    answer: Answer


class Surroundings(Protocol):
    """What acquirers need of the world they are in."""

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something at a later instant."""

    def draw(self) -> float:
        """Draw from the seed: 0 to 1."""

    def news(self, acquirer: "Acquirer", reference: str, answer: Answer) -> None:
        """Take notice of what an acquirer has decided."""


@dataclass
class Acquirer:
    """One acquirer."""

    name: str
    around: Surroundings
    is_away: bool = False
    authorisations: dict[str, Authorisation] = field(default_factory=dict)
    """By its own id of them."""

    records: dict[str, _Record] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    moved: list[tuple[str, Question]] = field(default_factory=list)
    """What changed: its id of the authorisation, and what was asked."""

    def take(self, question: Question) -> Answer:
        """Act on a question, once for its reference."""
        reference = question.reference
        if reference in self.forgotten:
            return Declined("expired_reference", "stale_request")
        known = self.records.get(reference)
        if known is not None:
            if known.question != question:
                self.violations.append(f"I4: {self.name} was asked {reference} again with something else")
            return known.answer
        record = self.records[reference] = _Record(question, Pending(self._id(reference)))
        if self._decides_later(question):
            self.around.later(1 + self.around.draw() * 600, lambda: self._decide(record))
            self.around.news(self, reference, record.answer)
        else:
            self._decide(record)
        return record.answer

    def look_up(self, question: Question) -> Answer:
        """Say what became of a question; nothing will, where there is none."""
        record = self.records.get(question.reference)
        if record is not None:
            return record.answer
        self.forgotten.add(question.reference)
        return NotFound()

    def token_of(self, question: Question) -> str:
        """Return the card that a question is about."""
        if isinstance(question, Authorise):
            return question.token
        held = self.authorisations.get(question.authorisation)
        return "" if held is None else held.token

    def _id(self, reference: str) -> str:
        return f"{self.name}_{reference}"

    def _decides_later(self, question: Question) -> bool:
        step = {
            Authorise: "tok_pending",
            Increment: "tok_increment_pending",
            Capture: "tok_capture_pending",
            Refund: "tok_refund_pending",
        }
        return self.token_of(question).startswith(step.get(type(question), "never"))

    def _decide(self, record: _Record) -> None:
        question = record.question
        refusal = self._refusal(question)
        record.answer = self._done(question) if refusal is None else refusal
        self.around.news(self, question.reference, record.answer)

    def _refusal(self, question: Question) -> Declined | None:
        token = self.token_of(question)
        match question:
            case Authorise():
                if token.startswith("tok_decline_"):
                    code = token.removeprefix("tok_decline_")
                    return Declined(code, code)
                if token == "tok_elsewhere" and self.name == NAMES[0]:  # noqa: S105 - a card's name, no secret
                    return Declined("do_not_honour", "59", retry_elsewhere=True)
                return Declined("do_not_honour", "05") if token == "tok_pending_declined" else None  # noqa: S105
            case Increment(authorisation=authorisation, amount_minor=amount):
                held = self.authorisations.get(authorisation)
                if token == "tok_increment_declined" or held is None or not held.is_open:  # noqa: S105
                    return Declined("increment_refused", "nothing_held")
                if amount <= held.amount_minor:
                    self.violations.append(f"I4: {self.name} was asked to raise {authorisation} to what it has")
            case Capture(authorisation=authorisation, amount_minor=amount):
                held = self.authorisations.get(authorisation)
                if token == "tok_capture_declined" or held is None or held.held_minor < amount:  # noqa: S105
                    return Declined("capture_refused", "nothing_held")
            case Refund(authorisation=authorisation, amount_minor=amount):
                held = self.authorisations.get(authorisation)
                if (
                    token == "tok_refund_declined"  # noqa: S105
                    or held is None
                    or held.captured_minor - held.refunded_minor < amount
                ):
                    return Declined("refund_refused", "nothing_captured")
            case Void(authorisation=authorisation):
                held = self.authorisations.get(authorisation)
                if held is None or (not held.is_open and held.captured_minor > 0):
                    return Declined("void_refused", "nothing_held")
        return None

    def _done(self, question: Question) -> Succeeded:
        if isinstance(question, Authorise):
            own = self._id(question.reference)
            self.authorisations[own] = Authorisation(question.reference, question.token, question.amount_minor)
            self.moved.append((own, question))
            return Succeeded(own, question.amount_minor)
        held = self.authorisations[question.authorisation]
        amount = held.held_minor
        match question:
            case Increment(amount_minor=amount):
                held.amount_minor = amount
            case Capture(amount_minor=amount, final=final):
                held.captured_minor += amount
                held.is_open = not final and held.captured_minor < held.amount_minor
            case Refund(amount_minor=amount):
                held.refunded_minor += amount
            case Void():
                held.is_open = False
        self.moved.append((question.authorisation, question))
        return Succeeded(self._id(question.reference), amount)


class Wire(Protocol):
    """What lies between a process and the acquirers."""

    def strikes(self, fault: str, probability: float) -> bool:
        """Say whether a fault strikes now, and count it."""

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something at a later instant, whatever runs then."""

    def acquirer_faults(self) -> AcquirerFaults:
        """Return the faults in force."""

    def draw(self) -> float:
        """Draw from the seed: 0 to 1."""


class AcquirerLine:
    """An acquirer as a process of ours reaches it. What has left arrives, whatever becomes of the process."""

    def __init__(
        self, wire: Wire, process: SimulatedProcess, acquirer: Acquirer, give_way: Callable[[], Awaitable[None]]
    ) -> None:
        self._wire = wire
        self._process = process
        self._acquirer = acquirer
        self._give_way = give_way

    @property
    def name(self) -> str:
        """Return its name."""
        return self._acquirer.name

    async def authorise(self, question: Authorise) -> Answer:
        """Ask for an authorisation."""
        return await self._ask(question)

    async def increment(self, question: Increment) -> Answer:
        """Ask for more to be authorised."""
        return await self._ask(question)

    async def capture(self, question: Capture) -> Answer:
        """Ask for a capture."""
        return await self._ask(question)

    async def void(self, question: Void) -> Answer:
        """Ask for a void."""
        return await self._ask(question)

    async def refund(self, question: Refund) -> Answer:
        """Ask for a refund."""
        return await self._ask(question)

    async def lookup(self, question: Question) -> Answer:
        """Ask what became of a question. The answer may be lost after it was given, and the acquirer have forgotten."""
        await self._give_way()
        lost = self._wire.acquirer_faults().lookup_lost
        if self._acquirer.is_away or self._wire.strikes("acquirer_lookup_lost", lost):
            return Unknown("connection_lost")
        answer = self._acquirer.look_up(question)
        await self._give_way()
        return Unknown("timed_out") if self._wire.strikes("acquirer_lookup_answer_lost", lost) else answer

    async def _ask(self, question: Question) -> Answer:
        wire, acquirer, faults = self._wire, self._acquirer, self._wire.acquirer_faults()
        await self._give_way()
        if acquirer.is_away:
            return NotSent("connection_refused")
        if wire.strikes("acquirer_busy", faults.busy):
            return NotSent("acquirer_busy")
        if wire.strikes("acquirer_question_lost", faults.question_lost):
            return await self._nothing_heard()
        if wire.strikes("acquirer_question_late", faults.question_late):
            wire.later(wire.draw() * LATEST_SECONDS, lambda: acquirer.take(question))
            return await self._nothing_heard()
        answer = acquirer.take(question)
        await self._give_way()
        if wire.strikes("acquirer_answer_lost", faults.answer_lost):
            return await self._nothing_heard()
        return answer

    async def _nothing_heard(self) -> Answer:
        await self._process.sleep(GIVES_UP_SECONDS)
        return Unknown("timed_out")
