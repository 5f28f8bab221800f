"""Whatever was changed is found, and named: which entry or block, what was expected, what was found."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from rialto_cli.ledger.verify.file import ExportFile, InputUnreadable
from rialto_cli.ledger.verify.findings import Finding, Report
from rialto_cli.ledger.verify.records import Entry, Record, read
from rialto_cli.ledger.verify.run import verify
from rialto_ledger.domain.blocks import seal

from .exports import Journal, Raw, entry, journal, sample, text

# Three entries on two shards, and two blocks: every byte of it is changed in turn.
HEAD, *LINES = text(journal([entry(1, 3), entry(2, 5), entry(4, 3)], 2, 3).records()).splitlines(keepends=True)


def verified(records: list[Raw]) -> Report:
    """Verify records with the lines they have in a file."""
    return verify((line, read(raw)) for line, raw in enumerate(records, start=2))


def of_file(path: Path, content: bytes) -> Report:
    path.write_bytes(content)
    return verify(ExportFile(path).records())


def changed(change: Callable[[list[Raw]], object]) -> Report:
    """Verify the sample after a change."""
    records = deepcopy(sample().records())
    change(records)
    return verified(records)


def at(records: list[Raw], shard: int, position: int) -> Raw:
    """Return the record of an entry."""
    [found] = [
        raw for raw in records if raw["type"] == "entry" and (raw["shard"], raw["chain_position"]) == (shard, position)
    ]
    return found


def index(records: list[Raw], shard: int, position: int) -> int:
    return records.index(at(records, shard, position))


def problems(report: Report) -> list[tuple[Any, ...]]:
    """Return what was found and where."""
    return [(found.problem, found.block, found.shard, found.position) for found in report.findings]


def test_the_sample_holds() -> None:
    report = verified(sample().records())
    assert report.findings == []
    assert [(tail.shard, tail.first_position, tail.last_position) for tail in report.unsealed] == [(3, 5, 5), (5, 3, 3)]
    assert report.last_block is not None
    assert report.last_block["super_root"] == sample().blocks[-1].super_root.hex()


@pytest.mark.parametrize("number", range(len(LINES)), ids=lambda number: f"line {number + 2}")
def test_a_flipped_bit_in_any_byte_is_found_by_name(number: int, tmp_path: Path) -> None:
    line, named = LINES[number], read(orjson.loads(LINES[number]))
    before, after = HEAD + b"".join(LINES[:number]), b"".join(LINES[number + 1 :])
    for place in range(len(line)):
        flipped = bytearray(line)
        flipped[place] ^= 1 << place % 8
        report = of_file(tmp_path / "export.jsonl", before + flipped + after)
        assert any(found.line == number + 2 or is_about(found, named) for found in report.findings), bytes(flipped)


def is_about(found: Finding, record: Record) -> bool:
    """Whether a finding names this entry; a changed line may have become another, which leaves its position empty."""
    return isinstance(record, Entry) and (found.shard, found.position) == (record.shard, record.position)


def test_a_flipped_bit_in_the_first_line_makes_it_no_export(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    for place in range(len(HEAD)):
        flipped = bytearray(HEAD + b"".join(LINES))
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(InputUnreadable):
            list(ExportFile(path).records())


FIELDS: dict[str, Any] = {
    "id": "019ca927-4000-7000-8000-000000000000",
    "kind": "refund",
    "mode": "live",
    "merchant_id": None,
    "payment_id": "019ca927-4000-7000-8000-000000000000",
    "reverses": "019ca927-4000-7000-8000-000000000000",
    "effective_at": "2026-03-01T12:00:00.000009Z",
    "recorded_at": "2026-03-01T12:00:00.000009Z",
    "metadata": {},
    "hash": "00" * 32,
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_field_is_told_as_that_entrys_hash_expected_and_found(field: str) -> None:
    report = changed(lambda records: at(records, 3, 5).update({field: FIELDS[field]}))
    [found] = report.findings
    assert (found.problem, found.shard, found.position) == ("hash", 3, 5)
    stated = sample().links[7].hash.hex()
    if field == "hash":
        assert (found.expected, found.found) == (stated, "00" * 32)
    else:
        assert found.found == stated
        assert found.expected != stated


def test_a_wrong_hash_is_one_finding_of_its_entry_and_one_of_its_block_and_none_of_the_next_entry() -> None:
    report = changed(lambda records: at(records, 3, 2).update(hash="00" * 32))
    assert problems(report) == [("hash", None, 3, 2), ("root", 1, 3, None)]


def test_an_altered_amount_is_found_even_where_the_entry_still_balances() -> None:
    def alter(records: list[Raw]) -> None:
        for posting in at(records, 3, 2)["postings"]:
            posting["amount_minor"] = "1"

    assert problems(changed(alter)) == [("hash", None, 3, 2)]


def test_an_entry_that_does_not_balance_is_found_even_where_its_hash_is_right() -> None:
    one_sided = entry(1, 3)
    object.__setattr__(one_sided, "postings", one_sided.postings[:1])
    report = verified(journal([one_sided], 1).records())
    assert problems(report) == [("postings", None, 3, 1), ("unbalanced", None, 3, 1)]
    assert "10 USD" in report.findings[1].expected


@pytest.mark.parametrize(("shard", "position"), [(3, 1), (3, 2), (3, 4), (5, 1)])
def test_an_entry_cut_out_is_told_by_its_position(shard: int, position: int) -> None:
    report = changed(lambda records: records.pop(index(records, shard, position)))
    assert problems(report)[0] == ("missing", None, shard, position)


def test_an_entry_cut_off_the_sealed_end_is_told() -> None:
    report = changed(lambda records: records.pop(index(records, 9, 1)))
    assert problems(report) == [("entries_missing", 2, 9, None)]
    assert report.findings[0].found == "none"


def test_an_entry_cut_off_the_unsealed_end_cannot_be_noticed() -> None:
    report = changed(lambda records: records.pop(index(records, 3, 5)))
    assert report.holds
    assert [tail.shard for tail in report.unsealed] == [5]


def test_an_entry_in_twice_is_told() -> None:
    report = changed(lambda records: records.insert(index(records, 3, 3), at(records, 3, 2)))
    assert problems(report) == [("out_of_order", None, 3, 2)]


def test_two_entries_exchanged_are_told() -> None:
    def exchange(records: list[Raw]) -> None:
        one, other = index(records, 3, 2), index(records, 3, 3)
        records[one], records[other] = records[other], records[one]

    assert problems(changed(exchange))[0][0] == "out_of_order"


@pytest.mark.parametrize("astray", [{"shard": 7}, {"shard": 0}, {"chain_position": 900}, {"chain_position": 1}])
def test_an_entry_astray_is_told_without_blaming_those_after_it(astray: Raw) -> None:
    report = changed(lambda records: at(records, 3, 3).update(astray))
    assert [found.problem for found in report.findings] == ["out_of_order", "missing"]
    assert report.findings[0].entry_id == str(sample().entries[3].id)
    assert problems(report)[1] == ("missing", None, 3, 3)


def test_a_journal_rewritten_from_an_entry_on_with_all_hashes_made_anew_is_found_by_its_blocks() -> None:
    whole = sample()
    others = journal([replace(each, kind="refund") if at == 2 else each for at, each in enumerate(whole.entries)], 4, 7)
    report = verified(Journal(others.entries, others.links, whole.blocks).records())
    assert problems(report) == [
        ("last_hash", 1, 3, 3),
        ("root", 1, 3, None),
        ("last_hash", 2, 3, 4),
        ("root", 2, 3, None),
    ]


@pytest.mark.parametrize("field", ["previous", "super_root"])
def test_a_blocks_wrong_hash_is_told_of_that_block(field: str) -> None:
    report = changed(lambda records: records[0].update({field: "00" * 31 + "01"}))
    assert {found.block for found in report.findings} == {1}


@pytest.mark.parametrize(
    "change",
    [{"shard": 4}, {"first_position": 2}, {"last_position": 2}, {"last_hash": "00" * 32}, {"root": "00" * 32}],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_block_says_of_a_shard_is_in_its_super_root(change: Raw) -> None:
    report = changed(lambda records: records[0]["shards"][0].update(change))
    assert ("super_root", 1) in [(found.problem, found.block) for found in report.findings]


def test_a_blocks_time_is_in_its_super_root() -> None:
    report = changed(lambda records: records[0].update(sealed_at="2026-03-01T12:00:00.000000Z"))
    assert problems(report) == [("super_root", 1, None, None)]


def test_a_missing_block_is_told() -> None:
    assert problems(changed(lambda records: records.pop(0)))[0] == ("block_missing", 2, None, None)


def test_a_block_among_entries_is_told() -> None:
    assert problems(changed(lambda records: records.append(records[1]))) == [("out_of_order", 2, None, None)]


def test_a_root_over_other_hashes_is_told_though_the_block_is_whole_in_itself() -> None:
    whole = sample()
    first, second = whole.blocks
    of_3, *others = first.shards
    first = seal(1, first.sealed_at, first.previous, [replace(of_3, root=bytes(32)), *others])
    second = seal(2, second.sealed_at, first.super_root, second.shards)
    report = verified(Journal(whole.entries, whole.links, [first, second]).records())
    assert problems(report) == [("root", 1, 3, None)]


def archived(records: list[Raw], shard: int, *positions: int) -> list[Raw]:
    """Put links in the places of entries, and return those."""
    gone = [at(records, shard, position) for position in positions]
    for raw in gone:
        link = {"type": "archived", "shard": shard, "position": raw["chain_position"], "hash": raw["hash"]}
        records[records.index(raw)] = link
    return gone


def link_at(records: list[Raw], shard: int, position: int) -> Raw:
    [found] = [
        raw for raw in records if raw["type"] == "archived" and (raw["shard"], raw["position"]) == (shard, position)
    ]
    return found


@pytest.mark.parametrize("positions", [(1, 2, 3, 4), (1, 3), (2,), (4,), (3,)])
def test_the_chain_goes_on_from_archived_entries_wherever_they_stood(positions: tuple[int, ...]) -> None:
    report = changed(lambda records: archived(records, 3, *positions))
    assert report.findings == []
    assert (report.archived, report.entries) == (len(positions), 9 - len(positions))


@pytest.mark.parametrize("position", [1, 2, 3, 4])
def test_an_archived_entrys_wrong_hash_is_told(position: int) -> None:
    def alter(records: list[Raw]) -> None:
        archived(records, 3, position)
        link_at(records, 3, position)["hash"] = "00" * 32

    assert {found.problem for found in changed(alter).findings} & {"root", "last_hash"}


@pytest.mark.parametrize("position", [1, 2, 3])
def test_what_stands_between_archived_entries_is_still_protected(position: int) -> None:
    whole = sample()
    others = journal([replace(each, kind="refund") if at == 2 else each for at, each in enumerate(whole.entries)])
    records = Journal(others.entries, others.links, whole.blocks).records()
    archived(records, 3, *({1, 2, 3} - {position}))
    assert not verified(records).holds


def test_an_archived_entry_that_no_block_seals_is_told() -> None:
    report = changed(lambda records: archived(records, 3, 4, 5))
    assert problems(report) == [("archived_unsealed", None, 3, 5)]


def test_a_missing_archived_entry_is_told() -> None:
    def alter(records: list[Raw]) -> None:
        archived(records, 3, 2)
        records.remove(link_at(records, 3, 2))

    assert ("missing", None, 3, 2) in problems(changed(alter))


def with_archives(change: Callable[[list[Raw]], object], *places: tuple[int, tuple[int, ...]]) -> Report:
    """Verify the sample with entries archived, together with their archives after a change of these."""
    records = deepcopy(sample().records())
    archives = []
    for shard, positions in places:
        archives.append(archived(records, shard, *positions))
        change(archives[-1])
    return verify(
        ((line, read(raw)) for line, raw in enumerate(records, start=2)),
        [[(line, read(raw)) for line, raw in enumerate(archive, start=2)] for archive in archives],
    )


def test_archived_entries_are_checked_in_full_in_their_places() -> None:
    report = with_archives(lambda _: None, (3, (1, 3)), (5, (2,)))
    assert report.findings == []
    assert (report.archived, report.entries) == (0, 9)


def test_a_change_in_an_archive_is_found_by_name() -> None:
    def alter(archive: list[Raw]) -> None:
        archive[1]["kind"] = "refund"

    assert problems(with_archives(alter, (3, (1, 3)))) == [("hash", None, 3, 3)]


def test_an_archive_with_another_hash_than_the_journals_is_told() -> None:
    def alter(archive: list[Raw]) -> None:
        archive[0]["hash"] = "00" * 32

    assert problems(with_archives(alter, (3, (1, 3)))) == [("archive_differs", None, 3, 1)]


def test_an_archive_of_entries_that_the_journal_has_or_never_had_is_told() -> None:
    records, stray = sample().records(), at(sample().records(), 5, 2)
    report = verify(((None, read(raw)) for raw in records), [[(2, read(stray))]])
    assert problems(report) == [("archive_unknown", None, 5, 2)]


def test_an_archive_that_lacks_entries_leaves_their_links_and_is_counted() -> None:
    report = with_archives(lambda archive: archive.pop(0), (3, (1, 3)))
    assert report.findings == []
    assert (report.archived, report.entries) == (1, 8)


def test_a_record_of_an_archive_that_is_no_entry_is_told() -> None:
    report = with_archives(lambda archive: archive.insert(0, {"type": "block"}), (3, (1,)))
    assert [(found.problem, found.line) for found in report.findings] == [("unreadable", 2)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shard": 64}, "shard 64"),
        ({"chain_position": "1"}, "chain_position '1'"),
        ({"hash": None}, "hash None"),
        ({"mode": "prod"}, "mode 'prod'"),
        ({"effective_at": "2026-02-29T12:00:00.000000Z"}, "effective_at '2026-02-29"),
        ({"metadata": {"n": 1}}, "metadata"),
        ({"postings": {}}, "postings"),
        ({"extra": 1}, "'extra'"),
    ],
)
def test_an_entry_not_of_the_documented_form_is_told_with_what_is_wrong(change: Raw, says: str) -> None:
    report = changed(lambda records: at(records, 5, 3).update(change))
    assert report.findings[0].problem == "unreadable"
    assert says in report.findings[0].found
    assert report.findings[0].entry_id == str(sample().entries[8].id)


def test_the_same_json_in_another_writing_is_told_with_its_line(tmp_path: Path) -> None:
    spaced = text(sample().records()).replace(b'"chain_position":5', b'"chain_position": 5')
    report = of_file(tmp_path / "export.jsonl", spaced)
    assert [(found.problem, found.line) for found in report.findings] == [("unreadable", 8)]
