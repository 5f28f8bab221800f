"""What is wrong among records, and what only looks so: told on a topic that is written down row by row."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import numpy as np

from rialto_cli.audit.copies import Topic
from rialto_cli.audit.log_columns import Log
from rialto_cli.audit.records import Ids, Records, digest

NEVER = UUID(int=99)
Told = tuple[int, int]
"""An event: its id, and its key's number, which is its shard too. Positions count from 1."""
Copied = tuple[int, int, int]
"""A record: partition, offset, and the id of its event."""


def ids(numbers: Sequence[int]) -> Ids:
    """Ids as they are read."""
    return Ids.of(b"".join(UUID(int=number).bytes for number in numbers))


def topic(
    told: Sequence[Told],
    copied: Sequence[Copied],
    *,
    published: int | None = None,
    spreads: tuple[tuple[int, int], ...] = ((0, 2),),
    ends: Mapping[int, int] | None = None,
    starts: Mapping[int, int] | None = None,
    kept: Sequence[bool] | None = None,
    returns: Sequence[bool] | None = None,
    unread: Mapping[str, Sequence[int]] | None = None,
    acknowledged: Mapping[str, Mapping[int, int]] | None = None,
) -> Topic:
    """A topic. `kept`: which events the log must still have; None where it has forgotten nothing."""
    whats = Ids.of(b"".join(digest(b"", b"", b"%d" % key) for _, key in told))
    keys = dict(told)
    log = Log(
        np.arange(1, len(told) + 1),
        ids([event for event, _ in told]),
        whats,
        np.array([key for _, key in told], np.uint64),
        np.array([key for _, key in told], np.int64),
        np.array(kept if kept is not None else [True] * len(told), np.bool_),
        np.array(returns if returns is not None else [False] * len(told), np.bool_),
    )
    rows = sorted(copied)
    records = Records(
        np.array([partition for partition, _, _ in rows], np.int64),
        np.array([offset for _, offset, _ in rows], np.int64),
        ids([event for _, _, event in rows]),
        Ids.of(b"".join(digest(b"", b"", b"%d" % keys.get(event, 0)) for _, _, event in rows)),
    )
    return Topic(
        log,
        records,
        published=len(told) if published is None else published,
        spreads=spreads,
        ends=dict.fromkeys(range(4), 1_000) if ends is None else ends,
        starts=dict.fromkeys(range(4), 0) if starts is None else starts,
        forgetful=kept is not None,
        unread={group: np.array(positions, np.int64) for group, positions in (unread or {}).items()},
        acknowledged=acknowledged or {},
    )


def wrong(of: Topic) -> dict[str, list[int]]:
    """What is found: rows of the log for what is lacking, rows of records (by partition and offset) for the rest."""
    found = {
        "unknown": of.unknown(),
        "lacking": of.lacking(),
        "out_of_order": of.out_of_order(),
        "misplaced": of.misplaced(),
        **{f"skipped by {group}": of.skipped(group) for group in of.unread},
    }
    return {name: rows.tolist() for name, rows in found.items() if len(rows)}


ONE_KEY = [(1, 0), (2, 0), (3, 0)]


def test_nothing_is_wrong_where_there_is_nothing() -> None:
    assert wrong(topic([], [])) == {}
    assert wrong(topic([], [(0, 0, 1)])) == {"unknown": [0]}
    assert wrong(topic(ONE_KEY, [])) == {"lacking": [0, 1, 2]}
    assert wrong(topic(ONE_KEY, [], published=0)) == {}


def test_offsets_may_have_gaps_and_keys_may_mix() -> None:
    assert wrong(topic([(1, 0), (2, 1), (3, 2), (4, 0)], [(0, 0, 1), (0, 3, 3), (0, 4, 4), (1, 7, 2)])) == {}


def test_a_batch_may_be_copied_again_and_again_whole_and_with_more_after_it() -> None:
    again = [(0, offset, event) for offset, event in enumerate([1, 2, 1, 2, 1, 2, 3])]
    assert wrong(topic(ONE_KEY, again)) == {}


def test_an_event_that_comes_again_without_those_after_it_is_out_of_order() -> None:
    def of(*events: int) -> dict[str, list[int]]:
        return wrong(topic([*ONE_KEY, (4, 0)], [(0, offset, event) for offset, event in enumerate(events)]))

    assert of(1, 2, 3, 4, 2) == {"out_of_order": [4]}
    assert of(1, 2, 3, 2, 4) == {"out_of_order": [3]}
    assert of(1, 2, 3, 4, 1, 3, 4) == {"out_of_order": [4]}
    assert of(1, 2, 3, 3, 4) == {}


def test_first_records_in_another_order_than_the_log_are_out_of_order() -> None:
    assert wrong(topic(ONE_KEY, [(0, 0, 1), (0, 1, 3), (0, 2, 2)])) == {"out_of_order": [2]}


def test_what_came_after_the_look_at_the_ends_may_be_newer_than_the_snapshot() -> None:
    copied = [(0, 0, 1), (0, 1, 2), (0, 2, 3), (0, 3, 50)]
    assert wrong(topic(ONE_KEY, copied, ends={0: 3})) == {}
    assert wrong(topic(ONE_KEY, copied, ends={0: 4})) == {"unknown": [3]}


def test_an_id_that_the_log_has_twice_needs_two_records_and_has_no_place_in_the_order() -> None:
    told = [(1, 0), (2, 0), (1, 0)]
    assert wrong(topic(told, [(0, 0, 1), (0, 1, 2), (0, 2, 1)])) == {}
    assert wrong(topic(told, [(0, 0, 1), (0, 1, 2)])) == {"lacking": [0]}
    assert wrong(topic(told, [(0, 0, 1), (0, 1, 2)], published=2)) == {}


def test_records_lie_where_their_shard_was_when_they_were_copied() -> None:
    told = [(1, 2), (2, 3), (3, 2), (4, 3)]
    grown = ((0, 2), (2, 4))
    assert wrong(topic(told, [(0, 0, 1), (1, 0, 2), (2, 0, 3), (3, 0, 4)], spreads=grown)) == {}
    assert wrong(topic(told, [(0, 0, 1), (1, 0, 2), (0, 1, 3), (3, 0, 4)], spreads=grown)) == {"misplaced": [1]}
    assert wrong(topic(told, [(2, 0, 1), (1, 0, 2), (2, 1, 3), (3, 0, 4)], spreads=grown)) == {"misplaced": [1]}
    # The batch in which the change came was copied before and after it.
    assert wrong(topic(told, [(0, 0, 1), (1, 0, 2), (0, 1, 3), (2, 0, 3), (3, 0, 4)], spreads=grown)) == {}
    assert wrong(topic(told, [(0, 0, 1), (1, 0, 2), (1, 1, 3), (2, 0, 3), (3, 0, 4)], spreads=grown)) == {
        "misplaced": [2]
    }


def test_partitions_that_are_not_recorded_yet_are_not_judged() -> None:
    told = [(1, 2), (2, 2)]
    assert wrong(topic(told, [(0, 0, 1), (2, 0, 2)], published=1)) == {}
    assert wrong(topic(told, [(0, 0, 1), (0, 1, 2)], spreads=())) == {"misplaced": [0, 1]}


def test_what_kafka_dropped_by_age_is_missed_only_by_a_group_that_needs_it() -> None:
    kept = [(0, 5, 3)]
    assert wrong(topic(ONE_KEY, kept, starts={0: 5})) == {}
    assert wrong(topic(ONE_KEY, kept, starts={0: 0})) == {"lacking": [0, 1]}
    assert wrong(topic(ONE_KEY, kept, starts={0: 5}, unread={"late": [2, 3]}))["lacking"] == [1]
    assert wrong(topic(ONE_KEY, [], starts={0: 9})) == {}
    assert wrong(topic(ONE_KEY, [(0, 5, 1), (0, 6, 3)], starts={0: 5})) == {"lacking": [1]}


def test_what_kafka_keeps_longer_than_the_log_is_known_from_before() -> None:
    copied = [(0, 0, 50), (0, 1, 51), (0, 2, 1), (0, 3, 2), (0, 4, 3), (1, 0, 52)]
    assert wrong(topic(ONE_KEY, copied, kept=[True] * 3)) == {}
    assert wrong(topic(ONE_KEY, copied)) == {"unknown": [0, 1, 5]}
    # Between what the log must have, nothing unknown is from before.
    assert wrong(topic(ONE_KEY, [(0, 0, 1), (0, 1, 50), (0, 2, 2), (0, 3, 3)], kept=[True] * 3)) == {"unknown": [1]}
    # An old answer that was told again yesterday has an old record too.
    returned = [(0, 0, 3), (0, 1, 50), (0, 2, 1), (0, 3, 2), (0, 4, 3)]
    assert wrong(topic(ONE_KEY, returned, kept=[True] * 3, returns=[False, False, True])) == {}


def test_a_group_has_skipped_what_it_read_past_and_neither_handled_nor_parked() -> None:
    copied = [(0, 0, 1), (0, 1, 2), (0, 2, 3)]
    unread = {"group": [2, 3]}
    assert wrong(topic(ONE_KEY, copied, unread=unread, acknowledged={"group": {0: 1}})) == {}
    assert wrong(topic(ONE_KEY, copied, unread=unread, acknowledged={"group": {0: 2}})) == {"skipped by group": [1]}
    assert wrong(topic(ONE_KEY, copied, unread=unread)) == {}


def test_no_group_can_have_read_beyond_the_end() -> None:
    of = topic(ONE_KEY, [], ends={0: 3}, acknowledged={"group": {0: 3, 1: 1}})
    assert of.past_the_end("group") == {1: 1}
    assert of.past_the_end("other") == {}
