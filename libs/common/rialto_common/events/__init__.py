"""Event models by topic; each has a committed JSON Schema in `schemas/`, named after its type."""

from rialto_common.events import compliance, fraud, ledger, payments, payouts, settlements
from rialto_common.events.envelope import Event, EventData, compose, compose_written

MODELS: tuple[type[EventData], ...] = (
    *payments.MODELS,
    *payouts.MODELS,
    *fraud.MODELS,
    *compliance.MODELS,
    *ledger.MODELS,
    *settlements.MODELS,
)

__all__ = ["MODELS", "Event", "EventData", "compose", "compose_written"]
