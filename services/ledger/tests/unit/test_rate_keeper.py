"""The keeper of rates, and the file that it may read them from."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from rialto_common.simulation import SimulatedRuntime
from rialto_ledger.adapters.memory import Books
from rialto_ledger.adapters.memory_fx import FxTables, MemoryFxBook
from rialto_ledger.adapters.rate_file import RateFile
from rialto_ledger.application.rate_keeper import POLL_SECONDS, RETRY_SECONDS, RateKeeper
from rialto_ledger.application.rates import RateSheet, RatesUnavailable
from rialto_ledger.domain.fx import EuroRate
from rialto_ledger.fx_testing import ecb_page, euro_rate
from rialto_ledger.metrics import RateMetrics


class ScriptedSource:
    """Publishes whatever stands in `sheet`, by its version; remembers what it was told is known."""

    def __init__(self) -> None:
        self.sheet = RateSheet([euro_rate("USD", "1.08")], "v1")
        self.fault: Exception | None = None
        self.asked: list[str | None] = []

    async def fetch(self, known: str | None) -> RateSheet | None:
        self.asked.append(known)
        if self.fault is not None:
            raise self.fault
        return None if known is not None and known == self.sheet.version else self.sheet


class FailingBook(MemoryFxBook):
    """Loses the database whenever it is told to."""

    fault: Exception | None = None

    async def add_rates(self, rates: Sequence[EuroRate], recorded_at: datetime) -> int:
        if self.fault is not None:
            raise self.fault
        return await super().add_rates(rates, recorded_at)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def runtime() -> SimulatedRuntime:
    return SimulatedRuntime(1)


@pytest.fixture
def tables() -> FxTables:
    return FxTables()


@pytest.fixture
def book(tables: FxTables) -> FailingBook:
    return FailingBook(tables, Books())


async def test_new_rates_are_stored_and_unchanged_ones_not_fetched_again(
    registry: CollectorRegistry, runtime: SimulatedRuntime, tables: FxTables, book: FailingBook
) -> None:
    source = ScriptedSource()
    keeper = RateKeeper(source, book, runtime, RateMetrics(registry))
    assert [await keeper.step(), await keeper.step()] == [POLL_SECONDS] * 2
    source.sheet = RateSheet([euro_rate("USD", "1.09")], "v2")
    assert await keeper.step() == POLL_SECONDS
    assert source.asked == [None, "v1", "v1"]
    assert [str(rate.per_euro) for rate in tables.rates] == ["1.08", "1.09"]
    newest = max(rate.observed_at for rate in tables.rates)
    assert registry.get_sample_value("rialto_ledger_fx_observed_timestamp_seconds") == newest.timestamp()


async def test_rates_without_a_version_are_fetched_each_time_and_stored_once(
    registry: CollectorRegistry, runtime: SimulatedRuntime, tables: FxTables, book: FailingBook
) -> None:
    source = ScriptedSource()
    source.sheet = RateSheet(source.sheet.rates, None)
    keeper = RateKeeper(source, book, runtime, RateMetrics(registry))
    await keeper.step()
    await keeper.step()
    assert (source.asked, len(tables.rates)) == ([None, None], 1)


async def test_a_failing_provider_changes_nothing_and_is_asked_again_soon(
    registry: CollectorRegistry, runtime: SimulatedRuntime, tables: FxTables, book: FailingBook
) -> None:
    source = ScriptedSource()
    keeper = RateKeeper(source, book, runtime, RateMetrics(registry))
    await keeper.step()
    source.fault = RatesUnavailable("the bank is away")
    assert await keeper.step() == RETRY_SECONDS
    assert len(tables.rates) == 1
    source.fault = None
    assert await keeper.step() == POLL_SECONDS


async def test_rates_that_could_not_be_stored_are_fetched_again_though_unchanged(
    registry: CollectorRegistry, runtime: SimulatedRuntime, tables: FxTables, book: FailingBook
) -> None:
    source = ScriptedSource()
    keeper = RateKeeper(source, book, runtime, RateMetrics(registry))
    book.fault = ConnectionError("the database is away")
    assert await keeper.step() == RETRY_SECONDS
    book.fault = None
    await keeper.step()
    assert (source.asked, len(tables.rates)) == ([None, None], 1)


async def test_a_bug_is_not_taken_for_a_failing_provider(
    registry: CollectorRegistry, runtime: SimulatedRuntime, book: FailingBook
) -> None:
    source = ScriptedSource()
    source.fault = KeyError("a bug")
    with pytest.raises(KeyError):
        await RateKeeper(source, book, runtime, RateMetrics(registry)).step()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "rates.xml"
        path.write_bytes(content)
        return path

    return write


async def test_a_dated_file_is_read_once_for_each_content(
    runtime: SimulatedRuntime, write: Callable[[bytes], Path]
) -> None:
    source = RateFile(write(ecb_page(USD="1.08")), "file", runtime)
    first = await source.fetch(None)
    assert first is not None
    assert list(first.rates) == [euro_rate("USD", "1.08", source="file")]
    assert await source.fetch(first.version) is None
    write(ecb_page(USD="1.09"))
    second = await source.fetch(first.version)
    assert second is not None
    assert list(second.rates) == [euro_rate("USD", "1.09", source="file")]


async def test_an_undated_file_counts_as_of_today_each_day_anew(
    runtime: SimulatedRuntime, write: Callable[[bytes], Path]
) -> None:
    source = RateFile(write(ecb_page(date=None, USD="1.08")), "sample", runtime)
    first = await source.fetch(None)
    assert first is not None
    assert timedelta(0) <= runtime.now() - first.rates[0].observed_at < timedelta(days=1)
    await runtime.sleep(86_400)
    second = await source.fetch(first.version)
    assert second is not None
    assert second.rates[0].observed_at == first.rates[0].observed_at + timedelta(days=1)


async def test_a_file_that_is_not_there_or_too_large_gives_nothing(
    runtime: SimulatedRuntime, write: Callable[[bytes], Path], tmp_path: Path
) -> None:
    with pytest.raises(RatesUnavailable, match="No such file"):
        await RateFile(tmp_path / "nothing.xml", "file", runtime).fetch(None)
    with pytest.raises(RatesUnavailable, match="more than"):
        await RateFile(write(ecb_page(USD="1.08") + b" " * 70_000), "file", runtime).fetch(None)
