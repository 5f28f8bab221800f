"""`expand[]`: objects beside or in place of their ids, where an endpoint offers it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from fastapi import Query

from rialto_common.errors import InvalidRequest
from rialto_gateway.merchants.keys import Principal

MOST_PATHS = 10


TO_PAYMENT = {"payment": "payments"}
"""What a refund or a dispute offers."""

OF_PAYMENT = {
    "customer": "customers",
    "disputes": "disputes",
    "payment_method.mandate": "mandates",
    "payment_method.payment_method": "payment_methods",
    "payout": "payouts",
    "refunds": "refunds",
}
"""What one payment offers; its timeline and captures come with it anyway."""

OF_PAYMENTS = {f"data.{path}": resource for path, resource in OF_PAYMENT.items()} | {
    "data.captures": "payments",
    "data.timeline": "payments",
}
"""What a list of payments offers."""


class Expansions(Protocol):
    """Finds what is to be shown beside a payment's ids, and the payment that others name."""

    async def add(self, wanted: frozenset[str], payments: Sequence[dict[str, Any]], caller: Principal) -> None:
        """Add what is wanted, by its path, to each of these payments of the caller: one query a path.

        Raises: Forbidden: the operator asks for what only merchants are shown.
        """
        ...

    async def payment(self, payment_id: UUID, caller: Principal) -> dict[str, Any] | None:
        """Return a payment as lists show it; None where there is none for this caller."""
        ...


class ExpandInvalid(InvalidRequest):
    """Not a path that this endpoint can expand."""

    code = "expand_invalid"


def expand_query(offered: Mapping[str, str]) -> Any:
    """Return the parameter of an endpoint that offers these paths; they are checked in `read_expand`."""
    paths = {"type": "string", "enum": sorted(offered)}
    return Query(
        alias="expand[]",
        description="paths to objects that are to be shown themselves",
        json_schema_extra={"items": paths, "maxItems": MOST_PATHS},
    )


def read_expand(paths: Sequence[str], offered: Mapping[str, str], caller: Principal) -> frozenset[str]:
    """Return what is to be expanded. What is offered is written out, so that no path leads any deeper.

    `offered`: path → the resource (the first word of its own endpoint's path) that must be open to the caller.
    Raises: ExpandInvalid: a path that is not offered, or more than MOST_PATHS. KeyNotAllowed: a restricted key that
    does not reach what it asks for.
    """
    if len(paths) > MOST_PATHS:
        raise ExpandInvalid(f"at most {MOST_PATHS} paths can be expanded at once", param="expand[]")
    for path in paths:
        if path not in offered:
            raise ExpandInvalid(
                f"'{path[:60]}' cannot be expanded here; {', '.join(sorted(offered))} can", param="expand[]"
            )
    for path in paths:
        caller.check_reach("GET", f"/v1/{offered[path]}")
    return frozenset(paths)
