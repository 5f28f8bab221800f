"""What the audit finds: a book for each invariant."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

INVARIANTS: Mapping[str, str] = {
    "I1": "every journal entry balances, per currency",
    "I2": "no account passes its limit; available = ledger - holds",
    "I3": "no accepted payment is lost: final, or waiting in time",
    "I4": "one identity moves money at most once",
    "I5": "all accounts add up to 0, per currency",
    "I6": "the ledger's treasury = the chain's balance",
    "I7": "the gateway's totals = the ledger's",
    "I8": "order per key; each event takes effect once",
}

MAX_EXAMPLES = 50


@dataclass(slots=True)
class Book:
    """One invariant: how much was checked, how often it is violated, and the first violations by name.

    `heals`: everything found may mend itself within seconds, so that looking again is worth it.
    """

    checked: int = 0
    violations: int = 0
    by_check: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    heals: bool = True

    def add(
        self,
        check: str,
        says: str,
        ids: Mapping[str, Any],
        expected: object,
        found: object,
        *,
        count: int = 1,
        heals: bool = False,
    ) -> None:
        """Note a violation, or with `count` 0 one more example of those counted before."""
        self.violations += count
        self.by_check[check] = self.by_check.get(check, 0) + count
        self.heals = self.heals and heals
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(
                {"check": check, "what": says, "ids": dict(ids), "expected": str(expected), "found": str(found)}
            )

    @property
    def holds(self) -> bool:
        """Whether something was checked and nothing is wrong."""
        return self.checked > 0 and self.violations == 0

    def to_dict(self) -> dict[str, Any]:
        """Return the book as JSON values."""
        return {
            "checked": self.checked,
            "violations": self.violations,
            "by_check": self.by_check,
            "examples": self.examples,
            **self.details,
        }


@dataclass(frozen=True, slots=True)
class Books:
    """All eight."""

    books: dict[str, Book] = field(default_factory=lambda: {name: Book() for name in INVARIANTS})

    def __getitem__(self, name: str) -> Book:
        return self.books[name]

    def __iter__(self) -> Iterator[tuple[str, Book]]:
        return iter(self.books.items())

    @property
    def hold(self) -> bool:
        """Whether every invariant was checked and holds."""
        return all(book.holds for book in self.books.values())

    @property
    def may_heal(self) -> bool:
        """Whether all that is wrong may mend itself within seconds."""
        return not self.hold and all(book.holds or (book.violations and book.heals) for book in self.books.values())

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return the books as JSON values, by invariant."""
        return {name: book.to_dict() for name, book in self.books.items()}
