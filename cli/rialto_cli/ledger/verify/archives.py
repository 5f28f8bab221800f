"""Entries of archived months, put back in the places where the journal has only their links."""

import heapq
from collections.abc import Iterable, Iterator

from rialto_cli.ledger.verify.findings import Finding, Report, unreadable
from rialto_cli.ledger.verify.records import Archived, Entry, Numbered, Place, Unreadable


class Archives:
    """Read once, in the order of the chains, beside the journal."""

    def __init__(self, archives: Iterable[Iterable[Numbered]], report: Report) -> None:
        self._report = report
        self._entries = heapq.merge(*(self._readable(records) for records in archives), key=_place)
        self._next = next(self._entries, None)

    def entry(self, gone: Archived) -> Entry | None:
        """Return the entry that a link stands for; None where no archive has it, or has another one."""
        place = (gone.shard, gone.position)
        self._pass_by(place)
        if self._next is None or _place(self._next) != place:
            return None
        found, self._next = self._next, next(self._entries, None)
        if found.hash == gone.hash:
            return found
        self._tell("archive_differs", f"{gone.hash.hex()}, the journal's", found.hash.hex(), found)
        return None

    def finish(self) -> None:
        """There are no more links."""
        self._pass_by(None)

    def _pass_by(self, place: Place | None) -> None:
        """Tell of the entries before a place, or of all: the journal has no links for them."""
        while self._next is not None and (place is None or _place(self._next) < place):
            self._tell("archive_unknown", "a link in the journal that says it was archived", "none", self._next)
            self._next = next(self._entries, None)

    def _readable(self, records: Iterable[Numbered]) -> Iterator[Entry]:
        for line, record in records:
            if isinstance(record, Entry):
                yield record
            else:
                other = record if isinstance(record, Unreadable) else Unreadable("it is no entry")
                self._report.add(unreadable(other, line, " in an archive"))

    def _tell(self, problem: str, expected: str, found: str, entry: Entry) -> None:
        self._report.add(Finding(problem, expected, found, entry.id, entry.shard, entry.position))


def _place(entry: Entry) -> Place:
    return entry.shard, entry.position
