"""What no history changes, and so is built once: the metrics that the services report to, and the sanctions index."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from rialto_chain_bridge.metrics import BridgeMetrics
from rialto_common.metrics import BusMetrics
from rialto_compliance.adapters.list_files import FIXTURE, read_lists
from rialto_compliance.domain.index import Index
from rialto_compliance.domain.policy import POLICY
from rialto_compliance.metrics import ScreeningMetrics
from rialto_fraud.metrics import FraudMetrics


@dataclass(frozen=True, slots=True)
class Instruments:
    """Built once a run. The index remembers names it has screened, which changes how fast it answers, never what."""

    bus: BusMetrics
    fraud: FraudMetrics
    screening: ScreeningMetrics
    bridge: BridgeMetrics
    index: Index

    @classmethod
    def build(cls) -> "Instruments":
        """Read the packaged list of invented names and make the metrics."""
        registry = CollectorRegistry()
        return cls(
            BusMetrics(registry),
            FraudMetrics(registry),
            ScreeningMetrics(registry),
            BridgeMetrics(registry),
            Index(read_lists([FIXTURE]), cutoff=POLICY.review_score, salt=b"simulation"),
        )
