"""The European Central Bank's format: what is read, and what is refused."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_ledger.adapters.ecb_xml import MAX_BYTES, parse
from rialto_ledger.adapters.rate_file import SAMPLE_RATES
from rialto_ledger.application.rates import RatesUnavailable
from rialto_ledger.fx_testing import ecb_page, euro_rate, target_days
from rialto_ledger.settings import LedgerSettings
from rialto_ledger.testing import NOW

BILLION_LAUGHS = """<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>"""
EXTERNAL = '<!DOCTYPE l [<!ENTITY secret SYSTEM "file:///etc/passwd">]>'


def test_a_days_rates_are_read_as_published() -> None:
    assert parse(ecb_page(USD="1.0800", JPY="162.00"), source="ecb") == [
        euro_rate("USD", "1.0800"),
        euro_rate("JPY", "162.00"),
    ]


def test_several_days_are_several_rates() -> None:
    day = ecb_page(USD="1.0800").decode()
    cube = day[day.index("<Cube time") : day.index("</Cube></Cube>") + len("</Cube>")]
    both = day.replace(cube, cube + cube.replace("2026-02-27", "2026-02-26"))
    assert [rate.observed_at.day for rate in parse(both.encode(), source="ecb")] == [27, 26]


def test_a_currency_that_we_do_not_know_is_left_out() -> None:
    assert parse(ecb_page(ZZZ="3.14", USD="1.08"), source="ecb") == [euro_rate("USD", "1.08")]


def test_rates_without_a_date_need_a_time_to_count_as_of() -> None:
    undated = ecb_page(date=None, USD="1.08")
    assert parse(undated, source="file", undated=NOW) == [euro_rate("USD", "1.08", source="file", observed_at=NOW)]
    with pytest.raises(RatesUnavailable, match="no date"):
        parse(undated, source="ecb")


def test_a_rate_is_never_taken_to_be_fresher_than_it_is() -> None:
    agreed = time(14, 10, tzinfo=ZoneInfo("Europe/Berlin"))
    for day in target_days(2026, 1):
        [rate] = parse(ecb_page(date=f"{day:%Y-%m-%d}", USD="1.08"), source="ecb")
        early = (datetime.combine(day.date(), agreed) - rate.observed_at).total_seconds()
        assert early in (0, 3600)


def test_the_default_limit_spans_every_pause_of_the_bank_and_not_a_missed_day_more() -> None:
    limit = timedelta(hours=LedgerSettings.model_fields["fx_stale_hours"].default)
    published_after = timedelta(
        hours=2, minutes=50
    )  # at 16:00 in Frankfurt in winter, when it is observed at 13:10 UTC
    gaps = {later - earlier for earlier, later in pairwise(target_days(2000, 60))}
    assert max(gaps) == timedelta(days=5)
    assert max(gaps) + published_after < limit < max(gaps) + timedelta(days=1)


def test_the_sample_says_that_it_is_one_and_has_the_currencies_of_the_tests_and_the_tokens() -> None:
    content = SAMPLE_RATES.read_bytes()
    assert b"SAMPLE" in content.splitlines()[1]
    rates = {rate.currency: rate for rate in parse(content, source="sample", undated=datetime(2026, 3, 1, tzinfo=UTC))}
    assert {"USD", "GBP", "JPY", "USDC", "RUSD", "ETH", "BTC"} <= rates.keys()
    assert rates["RUSD"].per_euro == rates["USD"].per_euro == Decimal("1.08")


@pytest.mark.parametrize("rate", ["", "0", "0.000", "-1.08", "1,08", "1e9", "NaN", "inf", "1.08 ", "٣", "1" * 13])
def test_a_number_that_is_no_rate_spoils_the_page(rate: str) -> None:
    with pytest.raises(RatesUnavailable, match="is no rate"):
        parse(ecb_page(GBP="0.864", USD=rate), source="ecb")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not xml",
        b"<html><body>503</body></html>",
        ecb_page(),
        ecb_page(date="27.02.2026", USD="1.08"),
        ecb_page(USD="1.08")[:-20],
        ecb_page(USD="1.08").replace(b"vocabulary", b"dictionary"),
        ecb_page(USD="1.08").decode().encode("utf-16"),
        b"\xff\xfe\xfa",
        b"<a>" * 20_000,
        ecb_page(USD="1.08") + b" " * MAX_BYTES,
    ],
    ids=lambda content: content[:12].decode(errors="replace"),
)
def test_what_is_not_the_format_is_refused(content: bytes) -> None:
    with pytest.raises(RatesUnavailable):
        parse(content, source="ecb")


def test_two_rates_of_a_currency_on_a_day_are_refused() -> None:
    twice = ecb_page(USD="1.08").replace(b"<Cube currency", b"<Cube currency='USD' rate='1.09'/><Cube currency")
    with pytest.raises(RatesUnavailable, match="two rates"):
        parse(twice, source="ecb")


@pytest.mark.parametrize("dtd", [BILLION_LAUGHS, EXTERNAL, "<!DOCTYPE l>"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-7"])
def test_a_dtd_is_refused_however_it_is_encoded(dtd: str, encoding: str) -> None:
    page = ecb_page(USD="1.08").decode()
    head, body = page.split("?>", 1)
    hostile = f"{head.replace('UTF-8', encoding)}?>{dtd}{body}".encode(encoding)
    with pytest.raises(RatesUnavailable):
        parse(hostile, source="ecb")


@given(st.binary(max_size=400), st.integers(0, 600))
def test_damage_is_refused_or_harmless_never_a_crash(damage: bytes, at: int) -> None:
    page = ecb_page(USD="1.0800", GBP="0.8640")
    try:
        rates = parse(page[:at] + damage + page[at + len(damage) :], source="ecb")
    except RatesUnavailable:
        return
    assert rates
