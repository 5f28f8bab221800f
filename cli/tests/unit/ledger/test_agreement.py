"""What the ledger writes, the verifier finds right, though the two share no code."""

import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from rialto_cli.ledger.verify import encoding, records
from rialto_cli.ledger.verify.merkle import Tree
from rialto_cli.ledger.verify.run import verify
from rialto_common.money import MAX_MINOR
from rialto_ledger.domain import chain, merkle
from rialto_ledger.domain.journal import JournalEntry, Posting, credit, debit

from .exports import entry, journal, raw_entry, sample, text

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
# Four digits of year are what a time in an export has.
times = st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def postings(draw: st.DrawFn) -> tuple[Posting, ...]:
    pairs = draw(st.lists(st.tuples(st.uuids(), st.uuids(), st.integers(1, MAX_MINOR), texts), min_size=1, max_size=3))
    both = [(debit(one, amount, currency), credit(other, amount, currency)) for one, other, amount, currency in pairs]
    return tuple(draw(st.permutations([posting for pair in both for posting in pair])))


entries = st.builds(
    JournalEntry,
    id=st.uuids(),
    kind=texts,
    mode=st.sampled_from(["test", "live"]),
    shard=st.sampled_from([0, 1, 2, 62, 63]),
    merchant_id=st.none() | st.uuids(),
    payment_id=st.none() | st.uuids(),
    effective_at=times,
    recorded_at=times,
    postings=postings(),
    metadata=st.dictionaries(texts, texts, max_size=4),
    reverses=st.none() | st.uuids(),
)


@given(entries)
def test_both_write_the_same_bytes_of_an_entry(posted: JournalEntry) -> None:
    [link], _ = chain.extend({}, [posted])
    found = records.read(orjson.loads(orjson.dumps(raw_entry(posted, link))))
    assert isinstance(found, records.Entry), found
    assert encoding.entry_bytes(found) == chain.encode(posted)


@given(st.lists(st.binary(max_size=4), max_size=70))
def test_both_grow_the_same_tree(leaves: list[bytes]) -> None:
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    assert tree.root() == merkle.root(leaves)


@settings(max_examples=60)
@given(st.lists(entries, max_size=12), st.data())
def test_a_journal_as_the_ledger_makes_it_verifies(posted: list[JournalEntry], data: st.DataObject) -> None:
    seals = sorted(data.draw(st.sets(st.integers(1, len(posted)), max_size=3))) if posted else []
    made = journal(posted, *seals)
    report = verify((None, records.read(raw)) for raw in made.records())
    assert report.findings == []
    assert (report.entries, report.blocks) == (len(posted), len(made.blocks))
    unsealed = sum(tail.last_position - tail.first_position + 1 for tail in report.unsealed)
    assert unsealed == len(posted) - (seals[-1] if seals else 0)


def test_it_runs_where_there_is_no_ledger(tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    file.write_bytes(text(sample().records()))
    program = f"""
import sys
class Away:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("rialto_ledger", "rialto_common"):
            raise AssertionError(f"{{name}} is imported")
sys.meta_path.insert(0, Away())
from pathlib import Path
from rialto_cli.ledger.verify import database, render
from rialto_cli.ledger.verify.file import ExportFile
from rialto_cli.ledger.verify.run import verify
report = verify(ExportFile(Path({str(file)!r})).records())
print(*render.lines(report), sep="\\n")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout.splitlines()[-1] == "every hash, link, balance and block holds"


def test_memory_does_not_grow_with_the_journal() -> None:
    def peak(count: int) -> int:
        posted = journal([entry(number % 30, 7) for number in range(count)], *range(10, count + 1, 10)).records()
        tracemalloc.start()
        try:
            assert verify((None, records.read(raw)) for raw in posted).holds
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # What blocks seal is kept until their shard's entries come: in memory up to a bound, then on disk.
    assert peak(3000) - peak(300) < 50_000


def test_ids_are_read_as_their_sixteen_bytes() -> None:
    found = records.read(sample().records()[-1])
    assert isinstance(found, records.Entry)
    assert found.id_bytes == UUID(found.id).bytes
