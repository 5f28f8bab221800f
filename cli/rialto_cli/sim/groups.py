"""Which events each service's group takes, as the services' `main.py` say. A group has its service's name."""

from collections.abc import Mapping

from rialto_common.events.common import PAYMENTS, SETTLEMENTS
from rialto_common.events.payments import PaymentCreated, PaymentCreatedV2, SettlementRequested
from rialto_gateway.payments import handlers as gateway
from rialto_ledger.entrypoints.consumer import HANDLED_TYPES

CONSUMED: Mapping[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "gateway": (gateway.TOPICS, gateway.TYPES),
    "fraud": ((PAYMENTS,), frozenset({PaymentCreated.type, PaymentCreatedV2.type})),
    "compliance": ((PAYMENTS,), frozenset({PaymentCreated.type, PaymentCreatedV2.type})),
    "ledger": ((PAYMENTS, SETTLEMENTS), HANDLED_TYPES),
    "chain_bridge": ((PAYMENTS,), frozenset({SettlementRequested.type})),
}
"""The topics and the event types."""
