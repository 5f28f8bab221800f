"""What is in transit is reported with the age of the oldest."""

from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry

from rialto_common.simulation import SimulatedRuntime
from rialto_ledger.application.transfer_watch import TransferWatch
from rialto_ledger.transfer_metrics import TransferMetrics


async def test_the_number_and_the_age_of_the_oldest_are_reported() -> None:
    registry, runtime = CollectorRegistry(), SimulatedRuntime(1)
    found: list[tuple[int, datetime | None]] = [(2, runtime.now() - timedelta(seconds=90)), (0, None)]

    async def under_way() -> tuple[int, datetime | None]:
        return found.pop(0)

    watch = TransferWatch(under_way, TransferMetrics(registry), runtime)
    seen = []
    for _ in range(2):
        assert await watch.step() > 0
        names = ("rialto_ledger_transfers_under_way", "rialto_ledger_oldest_transfer_under_way_seconds")
        seen.append([registry.get_sample_value(name) for name in names])
    assert seen == [[2, 90], [0, 0]]
