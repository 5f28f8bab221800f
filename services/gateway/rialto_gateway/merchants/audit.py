"""The audit log: every administrative act, written in the transaction that does it, and never a secret."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from rialto_common import problems
from rialto_common.database import Connection
from rialto_common.runtime import Runtime
from rialto_gateway.merchants.keys import QUERIES, Principal

Act = Literal[
    "merchant.created",
    "api_key.created",
    "api_key.rolled",
    "api_key.revoked",
    "payout_settings.changed",
    "pricing.changed",
]


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Writes entries; the role can change none."""

    runtime: Runtime

    async def write(
        self,
        connection: Connection,
        caller: Principal,
        act: Act,
        target: str,
        *,
        merchant_id: UUID,
        mode: str | None = None,
    ) -> None:
        """Add an entry: who did what to which object, at which request."""
        await connection.execute(
            QUERIES["add_audit"],
            self.runtime.ids.mint(),
            self.runtime.now(),
            caller.actor,
            act,
            target,
            merchant_id,
            mode,
            problems.REQUEST_ID.get(),
        )
