"""One shard's chain: every entry against the link before it, and against what the blocks seal."""

from collections import defaultdict
from collections.abc import Iterator

from rialto_cli.ledger.verify.encoding import genesis, link
from rialto_cli.ledger.verify.findings import Finding, Report, Tail
from rialto_cli.ledger.verify.merkle import Tree
from rialto_cli.ledger.verify.ranges import Sealed
from rialto_cli.ledger.verify.records import Archived, Entry


class Chain:
    """Takes a shard's entries in the order of their positions; `position` is the last one taken."""

    def __init__(self, shard: int, sealed: Iterator[Sealed], report: Report) -> None:
        self.shard = shard
        self.position = 0
        self._report = report
        # What the next entry may be linked to: the last entry's hash as stated, and as computed where these differ, so
        # that one wrong hash is one finding. None after a gap: what was there is not known.
        self._previous: list[bytes] = [genesis(shard)]
        self._sealed = sealed
        self._sealed_up_to = 0
        self._tail: Tail | None = None
        self._next_range()

    def entry(self, entry: Entry, line: int | None) -> None:
        """Check an entry and its link."""

        def wrong(problem: str, expected: str, found: str) -> None:
            self._report.add(Finding(problem, expected, found, entry.id, self.shard, entry.position, line=line))

        self._reach(entry.position, line)
        if len(entry.postings) < 2:
            wrong("postings", "two postings or more", str(len(entry.postings)))
        totals: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        for posting in entry.postings:
            totals[posting.currency][posting.side == "credit"] += posting.amount_minor
        for currency, (debits, credits_) in totals.items():
            if debits != credits_:
                wrong("unbalanced", f"credits of {debits} {currency}, as debited", f"{credits_} {currency}")
        computed = [link(previous, entry) for previous in self._previous]
        if entry.hash in computed or not computed:
            self._previous = [entry.hash]
        else:
            wrong("hash", computed[0].hex(), entry.hash.hex())
            self._previous = [entry.hash, computed[0]]
        self.position = entry.position
        self._report.entries += 1
        self._report.postings += len(entry.postings)
        self._seal(entry.hash, line)

    def archived(self, gone: Archived, line: int | None) -> None:
        """Go on from the link of an entry that is not here; a block must vouch for it, as nothing else can."""
        self._reach(gone.position, line)
        self.position = gone.position
        self._previous = [gone.hash]
        self._report.archived += 1
        if self._range is None:
            self._wrong(
                "archived_unsealed",
                f"archived entries up to position {self._sealed_up_to} at most, the last that is sealed",
                f"position {gone.position}",
                line,
                position=gone.position,
            )
        self._seal(gone.hash, line)

    def finish(self) -> None:
        """There are no more entries of this shard."""
        if self._range is not None:
            first = self._range
            while self._range is not None:
                self._next_range()
            self._wrong(
                "entries_missing",
                f"entries up to position {self._sealed_up_to}, which blocks from {first.block} on seal",
                f"up to {self.position}" if self.position else "none",
                block=first.block,
            )
        if self._tail is not None:
            self._report.unsealed.append(self._tail)

    def _reach(self, position: int, line: int | None) -> None:
        """Come to a position; between it and the last there must be none."""
        if position == self.position + 1:
            return
        between = (self.position + 1, position - 1)
        named = f"position {between[0]}" if between[0] == between[1] else f"positions {between[0]} to {between[1]}"
        self._wrong("missing", named, f"position {position} after {self.position}", line, position=between[0])
        self._previous = []

    def _seal(self, found: bytes, line: int | None) -> None:
        """Add a link to the range that seals it, and check the range where it ends."""
        while self._range is not None and self._range.last_position < self.position:
            self._next_range()
        sealed = self._range
        if sealed is None:
            if self._tail is None:
                self._tail = Tail(self.shard, self.position, self.position)
            self._tail.last_position = self.position
            return
        if self.position < sealed.first_position:
            return  # A block between is missing, which is a finding of its own.
        self._tree.add(found)
        if self.position < sealed.last_position:
            return
        self._check_last_hash(found, line)
        # Where some of a range are missing, which is a finding of its own, there is no root to compute.
        whole = self._tree.count == sealed.last_position - sealed.first_position + 1
        if whole and self._tree.root() != sealed.root:
            self._wrong(
                "root",
                f"{sealed.root.hex()}, the block's over positions {sealed.first_position} to {sealed.last_position}",
                f"{self._tree.root().hex()}, computed from the entries' hashes",
                line,
                block=sealed.block,
            )
        self._next_range()

    def _check_last_hash(self, found: bytes, line: int | None) -> None:
        if self._range is not None and found != self._range.last_hash:
            expected = f"{self._range.last_hash.hex()}, the block's last_hash"
            self._wrong("last_hash", expected, found.hex(), line, position=self.position, block=self._range.block)

    def _next_range(self) -> None:
        self._range = next(self._sealed, None)
        self._tree = Tree()
        if self._range is not None:
            self._sealed_up_to = self._range.last_position

    def _wrong(
        self,
        problem: str,
        expected: str,
        found: str,
        line: int | None = None,
        *,
        position: int | None = None,
        block: int | None = None,
    ) -> None:
        self._report.add(Finding(problem, expected, found, shard=self.shard, position=position, block=block, line=line))
