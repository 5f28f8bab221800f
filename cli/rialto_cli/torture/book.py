"""What the clients remember: every request they sent, and every answer on which they rely."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Asked:
    """One payment as a client asked for it under its key. `payment_id` is what the first 2xx answered."""

    key: str
    merchant: str
    wallet: str
    amount_minor: int
    manual: bool
    payment_id: str | None = None


@dataclass(slots=True)
class Captured:
    """One capture that was answered 2xx. `succeeded` once an answer said that the ledger has booked it."""

    payment_id: str
    key: str
    amount_minor: int
    succeeded: bool = False


@dataclass(slots=True)
class Book:
    """The clients' own book. Times are seconds since the start of the run."""

    payments: dict[str, Asked] = field(default_factory=dict)
    captures: dict[tuple[str, str], Captured] = field(default_factory=dict)
    top_ups: Counter[str] = field(default_factory=Counter)
    voids: set[str] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)
    accepted_at: list[float] = field(default_factory=list)
    decided: list[tuple[float, float]] = field(default_factory=list)
    """Sent and decided, for each payment whose answer brought the decision."""
    webhooks: Counter[str] = field(default_factory=Counter)
    """Messages that our server has taken, by id."""
    repeats: int = 0
    """Calls that had to be sent again, as no answer came or none that said what became of them."""
    wrong: list[str] = field(default_factory=list)
    """What no answer may ever say: another payment under the same key, a capture that vanished."""

    def answered(self, asked: Asked, payment_id: str, at: float) -> None:
        """Note a 2xx on a payment."""
        if asked.payment_id is None:
            asked.payment_id = payment_id
            self.accepted_at.append(at)
        elif asked.payment_id != payment_id:
            self.wrong.append(f"key {asked.key} was answered {asked.payment_id} and then {payment_id}")

    @property
    def accepted(self) -> list[Asked]:
        """The payments that were answered 2xx."""
        return [asked for asked in self.payments.values() if asked.payment_id is not None]
