"""Who tells what, and who listens: the one service that emits on each topic, and what each consumer group handles.

Written down for people and documents; services do not read it. Tests compare it with what the services really
subscribe to, emit and compose.
"""

from collections.abc import Mapping

from rialto_common.events import compliance, fraud, ledger, payments, settlements
from rialto_common.events.common import COMPLIANCE, FRAUD, LEDGER, PAYMENTS, SETTLEMENTS
from rialto_common.events.envelope import EventData

GATEWAY = "gateway"
CHAIN_BRIDGE = "chain_bridge"

EMITTERS: Mapping[str, str] = {
    PAYMENTS: GATEWAY,
    FRAUD: "fraud",
    COMPLIANCE: "compliance",
    LEDGER: "ledger",
    SETTLEMENTS: CHAIN_BRIDGE,
}
"""The service that emits on a topic; `source` is `rialto.` and this name."""

CONSUMERS: Mapping[str, tuple[type[EventData], ...]] = {
    GATEWAY: (
        fraud.FraudAssessed,
        compliance.ComplianceScreened,
        ledger.HoldPlaced,
        ledger.HoldCaptured,
        ledger.HoldIncreased,
        ledger.HoldIncreaseRefused,
        ledger.HoldVoided,
        ledger.HoldExpired,
        ledger.PostingRefused,
        ledger.CaptureBooked,
        ledger.RefundBooked,
        ledger.RefundRefused,
        settlements.SettlementSubmitted,
        settlements.SettlementConfirmed,
        settlements.SettlementReorged,
        settlements.SettlementFailed,
    ),
    "fraud": (payments.PaymentCreated, payments.PaymentCreatedV2),
    "compliance": (payments.PaymentCreated, payments.PaymentCreatedV2),
    "ledger": (
        payments.PaymentApproved,
        payments.CaptureRequested,
        payments.IncrementRequested,
        payments.VoidRequested,
        payments.RefundRequested,
        payments.RefundSucceeded,
        payments.RefundFailed,
        payments.DisputeOpened,
        payments.DisputeWon,
        payments.DisputeLost,
        payments.AttemptUnknown,
        payments.AttemptResolved,
        payments.AcquirerSettled,
        settlements.SettlementConfirmed,
        settlements.SettlementReorged,
        settlements.DepositConfirmed,
        payments.PaymentTotalsReported,
        settlements.SettlementTotalsReported,
    ),
    CHAIN_BRIDGE: (payments.SettlementRequested,),
}
"""What each consumer group handles; a service's group is named like the service."""

BETWEEN_LEDGERS: tuple[type[EventData], ...] = (ledger.TransferSent, ledger.TransferReceived, ledger.TransferRefused)
"""What ledgers handle of each other where an installation has several (docs/SCALING.md), in groups of their names."""


def source_of(model: type[EventData]) -> str:
    """Return the CloudEvents source of an event type."""
    return f"rialto.{EMITTERS[model.topic]}"


def consumers_of(model: type[EventData]) -> list[str]:
    """Return the consumer groups that handle an event type."""
    groups = [group for group, handled in CONSUMERS.items() if model in handled]
    return [*groups, "ledger"] if model in BETWEEN_LEDGERS else groups


def subscriptions() -> set[tuple[str, str, str]]:
    """Return (group, topic, type) for everything that is handled."""
    return {(group, model.topic, model.type) for group, handled in CONSUMERS.items() for model in handled}
