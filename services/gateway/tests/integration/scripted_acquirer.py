"""An acquirer at the port, in this process: it keeps books of its own, and a test says what goes wrong on the way."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

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
    Succeeded,
    Unknown,
    Void,
)

Fault = Literal["lost_before", "lost_after", "not_sent", "action", "pending", "raises"] | Declined


@dataclass
class ScriptedAcquirer:
    """Answers as it should, but for `faults`: one a call, in order, None for a call that goes well.

    `calls` has every question it was sent, `looked_up` every look-up. By reference it acts once, however often it is
    asked.
    """

    name: str = "harbour"
    faults: deque[Fault | None] = field(default_factory=deque)
    calls: list[Question] = field(default_factory=list)
    looked_up: list[Question] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    """By authorisation: what is held and not captured or let go."""

    authorised: dict[str, int] = field(default_factory=dict)
    """By authorisation: what it was given or raised to."""

    captured: dict[str, int] = field(default_factory=dict)
    refunded: dict[str, int] = field(default_factory=dict)
    known: dict[str, Answer] = field(default_factory=dict)
    """By reference: what the acquirer has done."""

    forgotten: set[str] = field(default_factory=set)
    deaf: bool = False
    """Look-ups find nobody there."""

    def fail(self, *faults: Fault | None) -> None:
        """Let the next calls go wrong."""
        self.faults.extend(faults)

    async def authorise(self, question: Authorise) -> Answer:
        return self._call(question)

    async def increment(self, question: Increment) -> Answer:
        return self._call(question)

    async def capture(self, question: Capture) -> Answer:
        return self._call(question)

    async def void(self, question: Void) -> Answer:
        return self._call(question)

    async def refund(self, question: Refund) -> Answer:
        return self._call(question)

    async def lookup(self, question: Question) -> Answer:
        self.looked_up.append(question)
        if self.deaf:
            return Unknown("timed_out")
        found = self.known.get(question.reference)
        if found is None:
            self.forgotten.add(question.reference)
            return NotFound()
        return found

    def decide(self, reference: str) -> Answer:
        """Let what waits at the acquirer succeed: the payer has acted, or it has made up its mind."""
        question = next(each for each in self.calls if each.reference == reference)
        self.known[reference] = self._do(question)
        return self.known[reference]

    def _call(self, question: Question) -> Answer:
        self.calls.append(question)
        fault = self.faults.popleft() if self.faults else None
        if fault == "raises":
            raise RuntimeError("a connector with a bug")
        if fault == "not_sent":
            return NotSent("connection_refused")
        if fault == "lost_before":
            return Unknown("timed_out")
        if question.reference in self.forgotten:
            return Declined("reference_forgotten", "forgotten")
        answer = self.known.get(question.reference) or self._answer(question, fault)
        self.known[question.reference] = answer
        return Unknown("connection_lost") if fault == "lost_after" else answer

    def _answer(self, question: Question, fault: Fault | None) -> Answer:
        reference = f"{self.name}_{question.reference}"
        if isinstance(fault, Declined):
            return fault
        if fault == "action":
            return ActionRequired(reference, "https://acquirer.example/3ds/1")
        if fault == "pending":
            return Pending(reference)
        return self._do(question)

    def _do(self, question: Question) -> Answer:
        reference = f"{self.name}_{question.reference}"
        match question:
            case Authorise(amount_minor=amount):
                self.held[reference] = self.authorised[reference] = amount
                return Succeeded(reference, amount)
            case Increment(authorisation=authorisation, amount_minor=amount):
                if self.held.get(authorisation, 0) == 0 or amount <= self.authorised[authorisation]:
                    return Declined("nothing_held", "nothing_held")
                self.held[authorisation] += amount - self.authorised[authorisation]
                self.authorised[authorisation] = amount
                return Succeeded(reference, amount)
            case Capture(authorisation=authorisation, amount_minor=amount, final=final):
                if self.held.get(authorisation, 0) < amount:
                    return Declined("nothing_held", "nothing_held")
                self.held[authorisation] = 0 if final else self.held[authorisation] - amount
                self.captured[authorisation] = self.captured.get(authorisation, 0) + amount
                return Succeeded(reference, amount)
            case Void(authorisation=authorisation):
                left, self.held[authorisation] = self.held.get(authorisation, 0), 0
                return Succeeded(reference, left)
            case Refund(authorisation=authorisation, amount_minor=amount):
                before = self.refunded.get(authorisation, 0)
                if before + amount > self.captured.get(authorisation, 0):
                    return Declined("refund_above_captured", "too_much")
                self.refunded[authorisation] = before + amount
                return Succeeded(reference, amount)
