"""What each consumer group handles, written down here once more: the audit must not learn it from the code it audits.

A test compares this with what the services really subscribe to.
"""

from collections.abc import Mapping

_PAYMENTS = "rialto.payments.v1"
_SETTLEMENTS = "rialto.settlements.v1"

HANDLED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "gateway": {
        "rialto.fraud.v1": ("fraud.assessed",),
        "rialto.compliance.v1": ("compliance.screened",),
        "rialto.ledger.v1": (
            *("hold.placed", "hold.captured", "hold.voided", "hold.expired", "posting.refused"),
            *("hold.increased", "hold.increase_refused"),
            *("capture.booked", "refund.booked", "refund.refused"),
        ),
        _SETTLEMENTS: ("settlement.submitted", "settlement.confirmed", "settlement.reorged", "settlement.failed"),
    },
    "ledger": {
        _PAYMENTS: (
            *("payment.approved", "capture.requested", "void.requested", "payment_totals.reported"),
            "increment.requested",
            *("refund.requested", "refund.succeeded", "refund.failed", "attempt.unknown", "attempt.resolved"),
            "acquirer.settled",
            *("dispute.opened", "dispute.won", "dispute.lost"),
        ),
        _SETTLEMENTS: (
            "settlement.confirmed",
            "settlement.reorged",
            "deposit.confirmed",
            "settlement_totals.reported",
        ),
    },
    "fraud": {_PAYMENTS: ("payment.created", "payment.created.v2")},
    "compliance": {_PAYMENTS: ("payment.created", "payment.created.v2")},
    "chain_bridge": {_PAYMENTS: ("settlement.requested",)},
}


TOPICS: tuple[str, ...] = tuple(
    f"rialto.{name}.v1{suffix}"
    for name in ("payments", "fraud", "compliance", "ledger", "settlements")
    for suffix in ("", ".dlq")
)
"""Every topic: what there is of them on Kafka is looked at before the database says which it has."""


def rows() -> list[tuple[str, str, str]]:
    """Return (group, topic, type) for each."""
    return [
        (group, topic, f"rialto.{name}" if name.endswith(".v2") else f"rialto.{name}.v1")
        for group, topics in HANDLED.items()
        for topic, names in topics.items()
        for name in names
    ]


EXPONENTS: Mapping[str, int] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI"), 0),
    **dict.fromkeys(("VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
    "USDC": 6,
    "RUSD": 6,
    "BTC": 8,
    "ETH": 18,
}
"""Decimals of the minor unit where they are not two: ISO 4217, and the registered tokens."""
