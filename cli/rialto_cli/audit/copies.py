"""Compares one topic's records on Kafka with its events in the log. Pure: columns in, rows of what is wrong out.

An event may have several records, as the relay copies at least once; and three types of event may stand in the log
several times under one id. `first` is everywhere the row of an id's first telling.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rialto_cli.audit.log_columns import Log
from rialto_cli.audit.records import Flags, Ints, Records

UNKNOWN = -1
"""The row of a record whose event is not in the log."""


@dataclass(frozen=True)
class Topic:
    """A topic in the log and on Kafka.

    `published`: up to which position it was copied, as the snapshot has it. `spreads`: (after position, partitions), in
    order: over how many partitions events were spread since when. `ends`: by partition, from before the snapshot; what
    lies there is in the log. `starts`: by partition, the first offset that Kafka has kept. `forgetful`: the log has
    dropped old days. `unread`: by group, the positions it has yet to take in. `acknowledged`: by group and partition.
    """

    log: Log
    records: Records
    published: int
    spreads: tuple[tuple[int, int], ...]
    ends: Mapping[int, int]
    starts: Mapping[int, int]
    forgetful: bool
    unread: Mapping[str, Ints]
    acknowledged: Mapping[str, Mapping[int, int]]

    # How records and events belong together ---------------------------------------------------------------------------

    @cached_property
    def _by_id(self) -> tuple[Ints, "np.ndarray[tuple[int], np.dtype[np.uint64]]"]:
        hashes = self.log.id.hashes()
        order = np.argsort(hashes, kind="stable")  # stable: of one id the lowest position comes first
        return order, hashes[order]

    @cached_property
    def found(self) -> Ints:
        """The first telling's row in the log for each record, or UNKNOWN."""
        order, hashes = self._by_id
        if not len(order) or not len(self.records):
            return np.full(len(self.records), UNKNOWN)
        at = np.minimum(np.searchsorted(hashes, self.records.id.hashes()), len(order) - 1)
        rows = order[at]
        return np.where(self.log.id.at(rows).equal(self.records.id), rows, UNKNOWN)

    @cached_property
    def is_known(self) -> Flags:
        """Whether a record's event is in the log."""
        known: Flags = self.found != UNKNOWN
        return known

    @cached_property
    def is_copy(self) -> Flags:
        """Whether a record is its event: of the same source, type and key."""
        if not len(self.log):
            return np.zeros(len(self.records), np.bool_)
        return self.is_known & self.log.what.at(self.found).equal(self.records.what)

    @cached_property
    def first(self) -> Ints:
        """The first telling's row for each row of the log."""
        order, hashes = self._by_id
        return order[np.searchsorted(hashes, self.log.id.hashes())] if len(order) else order

    @cached_property
    def tellings(self) -> Ints:
        """How often each row's id stands in the log; 0 for all but the first telling."""
        return np.bincount(self.first, minlength=len(self.log))

    @cached_property
    def _moves(self) -> Flags:
        """Whether an event's position says nothing about its records': it is told again, or may have been before."""
        moves: Flags = (self.tellings != 1) | (self.log.returns & np.bool_(self.forgetful))
        return moves

    @cached_property
    def partitions_in_force(self) -> Ints:
        """Over how many partitions each event is spread; 0 where nothing says so."""
        after = np.array([position for position, _ in self.spreads], np.int64)
        counts = np.array([0, *(partitions for _, partitions in self.spreads)], np.int64)
        return counts[np.searchsorted(after, self.log.position)]

    @cached_property
    def _settled(self) -> Ints:
        """Those records whose event is known and has one place in the order, by their number."""
        settled = self.is_copy.copy()
        settled[settled] = ~self._moves[self.found[settled]]
        return np.flatnonzero(settled)

    # What may be wrong ------------------------------------------------------------------------------------------------

    def unknown(self) -> Ints:
        """Records that are no event of the log, though all that was on Kafka before the snapshot must be."""
        before = self.records.offset < _by_partition(self.records.partition, self.ends, 0)
        # Kafka may keep longer than the log: what lies before everything that the log must still have is excused.
        if self.forgetful:
            firm = self.is_known.copy()
            rows = self.found[firm]
            firm[firm] = self.log.kept[rows] & ~self._moves[rows]
            kept_from = {
                int(partition): int(self.records.offset[firm & (self.records.partition == partition)].min())
                for partition in np.unique(self.records.partition[firm])
            }
            nowhere = int(np.iinfo(np.int64).max)
            before &= self.records.offset >= _by_partition(self.records.partition, kept_from, nowhere)
        return np.flatnonzero((~self.is_known & before) | (self.is_known & ~self.is_copy))

    def lacking(self) -> Ints:
        """Rows of the log that were copied, and of which no record is there."""
        copies = np.bincount(self.found[self.is_copy], minlength=len(self.log))[self.first]
        # Of what is told several times, Kafka drops the first tellings first.
        order = np.lexsort((self.log.position, self.first))
        starts = np.flatnonzero(np.diff(self.first[order], prepend=-1))
        nth = np.empty(len(self.log), np.int64)
        nth[order] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        published = self.log.position <= self.published
        needed = np.bincount(self.first[published], minlength=len(self.log))[self.first]
        return np.flatnonzero(published & (nth < needed - copies) & ~self._was_dropped())

    def _was_dropped(self) -> Flags:
        """Whether Kafka's retention may have taken an event's records; it has no right to while a group needs them."""
        row = self._settled
        partition, position = self.records.partition[row], self.log.position[self.found[row]]
        kept = self.records.offset[row] >= _by_partition(partition, self.starts, 0)
        beginning = {int(each): int(position[kept & (partition == each)].min()) for each in np.unique(partition[kept])}
        dropped = {each for each, start in self.starts.items() if start > 0}
        nowhere = int(np.iinfo(np.int64).max)
        before = {each: beginning.get(each, nowhere) if each in dropped else 0 for each in self.starts}
        place = self.log.shard % np.maximum(self.partitions_in_force, 1)
        needed = np.isin(self.log.position, np.concatenate([*self.unread.values(), np.empty(0, np.int64)]))
        return (self.log.position < _by_partition(place, before, 0)) & ~needed

    def out_of_order(self) -> Ints:
        """Records that come after a later one of their key: for the first time, or again without those later ones."""
        row = self._settled
        place = self.records.partition[row] * (len(self.log) + 1) + self._key_numbers[self.found[row]]
        position = self.log.position[self.found[row]]
        order = np.lexsort((self.records.offset[row], place))
        row, place, position = row[order], place[order], position[order]
        if not len(row):
            return row
        # What must not come again is told from what must follow by each event's rank among those of its key there are.
        by_rank = np.lexsort((position, place))
        fresh = np.diff(position[by_rank], prepend=-1) != 0
        new_place = np.diff(place[by_rank], prepend=-1) != 0
        rank = np.empty(len(row), np.int64)
        rank[by_rank] = np.cumsum(fresh | new_place)
        reached = np.maximum.accumulate(rank)  # ranks rise from place to place, so no place sees another's
        opened = np.zeros(len(row), np.bool_)
        opened[np.unique(rank, return_index=True)[1]] = True
        follower = np.append(rank[1:], 0)
        late = opened & (rank < reached)
        lone = ~opened & (rank < reached) & (follower != rank + 1)
        wrong: Ints = row[late | lone]
        return wrong

    @cached_property
    def _key_numbers(self) -> Ints:
        return np.unique(self.log.key, return_inverse=True)[1] if len(self.log) else np.empty(0, np.int64)

    def misplaced(self) -> Ints:
        """Records that lie in another partition than that of their event's shard.

        When a topic gets more partitions, the relay may copy its last batch again, into the new ones: then, but only
        then, a record may also lie where its shard was before.
        """
        row = np.flatnonzero(self.is_copy)
        row = row[self.log.position[self.found[row]] <= self.published]
        event, partition = self.found[row], self.records.partition[row]
        shard, in_force = self.log.shard[event], self.partitions_in_force[event]
        right = (shard % np.maximum(in_force, 1) == partition) & (in_force > 0)
        has_right = np.bincount(event[right], minlength=len(self.log))[event] > 0
        ever = np.zeros(len(row), np.bool_)
        for _, partitions in self.spreads:
            ever |= shard % partitions == partition
        wrong: Ints = row[~right & ~(has_right & ever)]
        return wrong

    def skipped(self, group: str) -> Ints:
        """Records that a group has acknowledged though it has neither handled nor parked their event; one an event."""
        unread = self.unread.get(group, np.empty(0, np.int64))
        row = np.flatnonzero(self.is_copy)
        is_unread = np.isin(self.log.position[self.found[row]], unread)
        row = row[is_unread]
        passed = self.records.offset[row] < _by_partition(
            self.records.partition[row], self.acknowledged.get(group, {}), 0
        )
        row = row[passed]
        once: Ints = row[np.unique(self.found[row], return_index=True)[1]]
        return once

    def past_the_end(self, group: str) -> dict[int, int]:
        """Partitions whose end a group claims to have passed, with what it claims."""
        return {
            partition: offset
            for partition, offset in self.acknowledged.get(group, {}).items()
            if offset > self.ends.get(partition, 0)
        }


def _by_partition(partition: Ints, values: Mapping[int, int], otherwise: int) -> Ints:
    """Return each row's partition's value."""
    size = max([int(partition.max(initial=-1)), *values, -1]) + 1
    table = np.full(size, otherwise, np.int64)
    for each, value in values.items():
        table[each] = value
    return table[partition]
