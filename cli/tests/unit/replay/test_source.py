"""Reading transaction files: exact amounts, stable row numbers, and nothing silently left out."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_cli.errors import OperatorError
from rialto_cli.replay import columns, source
from rialto_cli.replay.source import Choice, Selection

HEADER = "TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD\n"


def csv_of(tmp_path: Path, text: str, name: str = "rows.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def parquet_of(tmp_path: Path, **values: object) -> Path:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table(values), path)
    return path


def amounts(selection: Selection) -> list[int]:
    return [selection.row(index).amount_minor for index in range(len(selection))]


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_a_float_of_two_decimals_is_exactly_its_cents(cents: int) -> None:
    assert columns.minor_units(cents / 100, 2) == cents


@given(st.integers(min_value=0, max_value=10**15), st.sampled_from([0, 2, 3]))
def test_text_is_exactly_its_minor_units(minor: int, exponent: int) -> None:
    whole, part = divmod(minor, 10**exponent)
    text = f"{whole}.{part:0{exponent}d}" if exponent else str(whole)
    assert columns.minor_units(text, exponent) == minor


def test_the_noise_of_a_stored_sum_is_not_money() -> None:
    assert columns.minor_units(699.3000000000001, 2) == 69930


@pytest.mark.parametrize("text", ["12.345", "x", "", "NaN", "Infinity", "1e30", "1,5"])
def test_text_that_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        columns.minor_units(text, 2)


@pytest.mark.parametrize("number", [12.345, float("nan"), float("inf"), 1e20])
def test_a_number_that_is_no_amount_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="amount"):
        columns.minor_units(number, 2)


def test_csv_and_parquet_of_the_same_rows_read_the_same(tmp_path: Path) -> None:
    text = csv_of(tmp_path, HEADER + "2024-03-04 10:00:00,7,3,12.50,1\n2024-03-04 09:00:00,8,3,0.99,0\n")
    table = parquet_of(
        tmp_path,
        TX_DATETIME=pa.array(["2024-03-04 10:00:00", "2024-03-04 09:00:00"]).cast(pa.timestamp("ns")),
        CUSTOMER_ID=[7, 8],
        TERMINAL_ID=[3, 3],
        TX_AMOUNT=[12.5, 0.99],
        TX_FRAUD=[1, 0],
    )
    from_text, from_table = source.read(text, Choice(), 2), source.read(table, Choice(), 2)
    assert [from_text.row(i) for i in (0, 1)] == [from_table.row(i) for i in (0, 1)]
    assert from_text.labels.tolist() == from_table.labels.tolist() == [0, 1]


def test_rows_are_by_time_and_keep_their_number_in_the_file(tmp_path: Path) -> None:
    path = csv_of(tmp_path, HEADER + "2024-03-04 10:00:00,7,3,12.50,1\n\n2024-03-04 09:00:00,8,3,0.99,0\n")
    selection = source.read(path, Choice(), 2)
    assert [selection.row(index).number for index in (0, 1)] == [1, 0]
    assert selection.row(0).occurred_at == datetime(2024, 3, 4, 9, tzinfo=UTC)


def test_seconds_count_from_the_epoch(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "TX_TIME_SECONDS,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT\n31,1,1,5\n")
    assert source.read(path, Choice(), 2).row(0).occurred_at == datetime(2018, 4, 1, 0, 0, 31, tzinfo=UTC)
    later = Choice(epoch=datetime(2020, 1, 1, tzinfo=UTC))
    assert source.read(path, later, 2).row(0).occurred_at == datetime(2020, 1, 1, 0, 0, 31, tzinfo=UTC)


def test_offsets_are_honoured_and_their_absence_means_utc(tmp_path: Path) -> None:
    path = csv_of(tmp_path, HEADER + "2024-03-04T10:00:00+02:00,7,3,12.50,\n2024-03-04 09:00:00,8,3,0.99,\n")
    selection = source.read(path, Choice(), 2)
    assert [selection.row(index).occurred_at.hour for index in (0, 1)] == [8, 9]
    assert selection.labels.tolist() == [columns.LABEL_UNKNOWN] * 2


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "when,who,where,paid\n1,a,b,5.00\n")
    mapped = {"seconds": "when", "customer": "who", "terminal": "where", "amount": "paid"}
    assert amounts(source.read(path, Choice(mapped=mapped), 2)) == [500]


@pytest.mark.parametrize(
    ("mapped", "said"),
    [({"amont": "paid"}, "not a field"), ({"amount": "price"}, "no column 'price'"), ({}, "no column for amount")],
)
def test_a_mapping_that_fits_not_says_why(tmp_path: Path, mapped: dict[str, str], said: str) -> None:
    path = csv_of(tmp_path, "when,who,where,paid\n1,a,b,5.00\n")
    with pytest.raises(OperatorError, match=said):
        source.read(path, Choice(mapped=mapped), 2)


def test_day_counts_calendar_days_from_the_earliest_row(tmp_path: Path) -> None:
    rows = [f"2024-03-{day:02} 23:59:59,1,1,{day}.00,0" for day in (6, 4, 5, 8)]
    path = csv_of(tmp_path, HEADER + "\n".join(rows) + "\n")
    assert amounts(source.read(path, Choice(day=0), 2)) == [400]
    assert amounts(source.read(path, Choice(day=2), 2)) == [600]
    assert source.read(path, Choice(day=1), 2).row(0).number == 2
    with pytest.raises(OperatorError, match="no row matches"):
        source.read(path, Choice(day=3), 2)


def test_limit_takes_the_first_by_time_but_needs_cover_the_window(tmp_path: Path) -> None:
    path = csv_of(tmp_path, HEADER + "2024-03-04 10:00:00,7,3,12.50,1\n2024-03-04 09:00:00,7,3,0.50,0\n")
    selection = source.read(path, Choice(limit=1), 2)
    assert amounts(selection) == [50]
    assert selection.needs() == {"7": 1300}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2024-03-04 10:00:00,7,3,12.505,1", "row 2: .*more than 2 decimals"),
        ("2024-03-04 10:00:00,7,3,,1", "row 2: there is no amount"),
        ("2024-03-04 10:00:00,,3,1.00,1", "row 2: there is no customer"),
        ("2024-03-04 10:00:00,7, ,1.00,1", "row 2: there is no terminal"),
        ("yesterday,7,3,1.00,1", "row 2: .*not an ISO 8601"),
        ("2024-03-04 10:00:00,7,3", "row 2: 3 columns instead of 5"),
    ],
)
def test_a_malformed_row_refuses_the_file_by_its_number(tmp_path: Path, line: str, said: str) -> None:
    good = "2024-03-04 09:00:00,8,3,0.99,0\n"
    path = csv_of(tmp_path, HEADER + good + line + "\n" + good)
    with pytest.raises(OperatorError, match="1 malformed row, so nothing was sent") as raised:
        source.read(path, Choice(), 2)
    assert raised.match(said)
    left = source.read(path, Choice(skip_bad_rows=True), 2)
    assert left.skipped == {"malformed": 1}
    assert [left.row(index).number for index in (0, 1)] == [0, 2]


def test_malformed_rows_beyond_the_chosen_day_do_not_matter(tmp_path: Path) -> None:
    path = csv_of(tmp_path, HEADER + "2024-03-04 10:00:00,7,3,1.00,1\n2024-03-05 10:00:00,7,3,x,1\n")
    assert amounts(source.read(path, Choice(day=0), 2)) == [100]
    with pytest.raises(OperatorError, match="row 2"):
        source.read(path, Choice(day=1), 2)


def test_zero_and_negative_amounts_are_skipped_and_counted(tmp_path: Path) -> None:
    lines = ["2024-03-04 10:00:00,7,3,0.00,1", "2024-03-04 10:00:00,7,3,-5.00,1", "2024-03-04 10:00:00,7,3,1.00,1"]
    selection = source.read(csv_of(tmp_path, HEADER + "\n".join(lines) + "\n"), Choice(), 2)
    assert amounts(selection) == [100]
    assert selection.skipped == {"zero_amount": 1, "negative_amount": 1}


def test_nulls_in_parquet_are_malformed_rows(tmp_path: Path) -> None:
    path = parquet_of(
        tmp_path, TX_TIME_SECONDS=[1, None, 3], CUSTOMER_ID=[1, 1, 1], TERMINAL_ID=[1, 1, 1], TX_AMOUNT=[1.0, 1.0, None]
    )
    with pytest.raises(OperatorError, match="row 2: there is no time; row 3: there is no amount"):
        source.read(path, Choice(), 2)


def test_a_gzipped_csv_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "2024-03-04 10:00:00,7,3,1.00,1\n").encode()))
    assert amounts(source.read(path, Choice(), 2)) == [100]


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing", b"\xff\xfe\x00\x01,\x00\n\x01,\xff\n"])
def test_a_file_that_is_none_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows"
    path.write_bytes(content)
    with pytest.raises(OperatorError):
        source.read(path, Choice(), 2)


def test_the_fingerprint_follows_the_content_and_not_the_name(tmp_path: Path) -> None:
    row = "2024-03-04 10:00:00,7,3,1.00,1\n"
    one, copy = csv_of(tmp_path, HEADER + row, "one.csv"), csv_of(tmp_path, HEADER + row, "copy.csv")
    other = csv_of(tmp_path, HEADER + row + row, "other.csv")
    assert source.fingerprint(one) == source.fingerprint(copy) != source.fingerprint(other)


def test_a_row_costs_little_memory(tmp_path: Path) -> None:
    count = 300_000
    path = parquet_of(
        tmp_path,
        TX_TIME_SECONDS=range(count),
        CUSTOMER_ID=[number % 5000 for number in range(count)],
        TERMINAL_ID=[number % 9000 for number in range(count)],
        TX_AMOUNT=[1.25] * count,
    )
    selection = source.read(path, Choice(), 2)
    kept = sum(
        column.nbytes
        for column in (
            selection.numbers,
            selection.times_us,
            selection.amounts_minor,
            selection.customer_codes,
            selection.terminal_codes,
            selection.labels,
        )
    )
    assert len(selection) == count
    assert kept / count <= 40
    assert selection.row(count - 1).occurred_at == source.DEFAULT_EPOCH + timedelta(seconds=count - 1)
