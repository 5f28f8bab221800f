"""What no history changes, and so is built once: the sanctions index, and metrics that nobody reads.

The metrics of what runs in every turn count nothing here: Prometheus' locks and labels are a tenth of a history's time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry

from rialto_chain_bridge.metrics import BridgeMetrics
from rialto_common.events.envelope import Event
from rialto_common.metrics import BusMetrics
from rialto_compliance.adapters.list_files import FIXTURE, read_lists
from rialto_compliance.domain.index import Index
from rialto_compliance.domain.policy import POLICY
from rialto_compliance.domain.rules import Outcome
from rialto_compliance.metrics import ScreeningMetrics
from rialto_fraud.domain.policy import Outcome as FraudOutcome
from rialto_fraud.metrics import FraudMetrics
from rialto_gateway.attempts.attempt import Attempt
from rialto_gateway.attempts.metrics import AttemptMetrics
from rialto_gateway.attempts.ports import Standing
from rialto_gateway.connectors.port import Answer
from rialto_gateway.connectors.routes import RouteMetrics
from rialto_gateway.connectors.routing import Health


class SilentBusMetrics(BusMetrics):
    """Reports nothing."""

    def handled(self, group: str, events: Sequence[Event], now: datetime, seconds: float) -> None:
        """Count nothing."""


class SilentFraudMetrics(FraudMetrics):
    """Reports nothing."""

    def scored(self, rows: int, seconds: float) -> None:
        """Count nothing."""

    def assessed(self, outcome: FraudOutcome, score: float) -> None:
        """Count nothing."""


class SilentAttemptMetrics(AttemptMetrics):
    """Reports nothing."""

    def became(self, attempt: Attempt) -> None:
        """Count nothing."""

    def resolved(self, attempt: Attempt, seconds: float) -> None:
        """Count nothing."""

    def standing(self, standing: Sequence[Standing], now: datetime) -> None:
        """Show nothing."""


class SilentRouteMetrics(RouteMetrics):
    """Reports nothing."""

    def stands(self, name: str, health: Health) -> None:
        """Show nothing."""

    def counted(self, name: str, answer: Answer) -> None:
        """Count nothing."""


class SilentScreeningMetrics(ScreeningMetrics):
    """Reports nothing."""

    def decided(self, outcome: Outcome, hit_lists: Sequence[str], unreadable: int) -> None:
        """Count nothing."""

    def remembered(self) -> None:
        """Count nothing."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """Built once a run. The index remembers names it has screened, which changes how fast it answers, never what."""

    bus: BusMetrics
    fraud: FraudMetrics
    screening: ScreeningMetrics
    bridge: BridgeMetrics
    attempts: AttemptMetrics
    routes: RouteMetrics
    index: Index

    @classmethod
    def build(cls) -> "Instruments":
        """Read the packaged list of invented names and make the metrics."""
        registry = CollectorRegistry()
        return cls(
            SilentBusMetrics(registry),
            SilentFraudMetrics(registry),
            SilentScreeningMetrics(registry),
            BridgeMetrics(registry),
            SilentAttemptMetrics(registry),
            SilentRouteMetrics(registry),
            Index(read_lists([FIXTURE]), cutoff=POLICY.review_score, salt=b"simulation"),
        )
