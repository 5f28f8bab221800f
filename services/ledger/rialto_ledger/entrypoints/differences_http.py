"""Differences between the books and what others report: for the operator alone."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rialto_common import ids
from rialto_common.control.totals import Total
from rialto_common.errors import Conflict, NotFound
from rialto_common.runtime import Runtime
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.adapters.control import PostgresDifferences
from rialto_ledger.domain.control import Difference, DifferenceState
from rialto_ledger.entrypoints.access import authenticator, mode_of, require_operator
from rialto_ledger.entrypoints.bodies import read_id

PREFIX = "dif"


class DifferenceNotFound(NotFound):
    """No such difference in this mode."""

    code = "difference_not_found"


class DifferenceResolved(Conflict):
    """The two agree again: there is nothing to explain."""

    code = "difference_resolved"


class TotalBody(BaseModel):
    """An amount in minor units, in how many movements."""

    amount_minor: str
    count: int

    @classmethod
    def of(cls, total: Total) -> "TotalBody":
        """Return a total as the API shows it."""
        return cls(amount_minor=str(total.amount_minor), count=total.count)


class DifferenceBody(BaseModel):
    """A difference; `theirs` is null where nothing was reported."""

    id: str
    merchant_id: str
    mode: str
    currency: str
    day: str
    kind: str
    source: str
    ours: TotalBody
    theirs: TotalBody | None
    reason: str
    state: str
    first_seen_at: AwareDatetime
    last_seen_at: AwareDatetime
    age_seconds: int
    note: str | None
    explained_by: str | None

    @classmethod
    def of(cls, difference: Difference, now: datetime) -> "DifferenceBody":
        """Return a difference as the API shows it; its age ends when it is resolved."""
        ended = difference.last_seen_at if difference.state is DifferenceState.RESOLVED else now
        return cls(
            id=ids.to_text(PREFIX, difference.id),
            merchant_id=ids.to_text("mer", difference.key.merchant_id),
            mode=difference.key.mode,
            currency=difference.key.currency,
            day=difference.key.day.isoformat(),
            kind=difference.kind,
            source=difference.source,
            ours=TotalBody.of(difference.ours),
            theirs=None if difference.theirs is None else TotalBody.of(difference.theirs),
            reason=difference.reason,
            state=difference.state,
            first_seen_at=difference.first_seen_at,
            last_seen_at=difference.last_seen_at,
            age_seconds=int((ended - difference.first_seen_at).total_seconds()),
            note=difference.note,
            explained_by=difference.explained_by,
        )


class DifferencePage(BaseModel):
    """Differences, the longest standing first."""

    data: list[DifferenceBody]
    has_more: bool


class Explanation(BaseModel):
    """Why the two differ, for whoever looks next."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field(min_length=1, max_length=1000)


class DifferenceDesk:
    """Does what the routes ask."""

    def __init__(self, differences: PostgresDifferences, runtime: Runtime) -> None:
        self._differences = differences
        self._runtime = runtime

    async def list(self, state: str, limit: int, caller: Caller) -> DifferencePage:
        """Return the differences of the caller's mode. Raises: OperatorOnly."""
        require_operator(caller)
        wanted = None if state == "all" else DifferenceState(state)
        found = await self._differences.all(mode_of(caller), wanted, limit + 1)
        now = self._runtime.now()
        page = [DifferenceBody.of(each, now) for each in found[:limit]]
        return DifferencePage(data=page, has_more=len(found) > limit)

    async def explain(self, difference_id: UUID, note: str, caller: Caller) -> DifferenceBody:
        """Keep a note. Raises: OperatorOnly, DifferenceNotFound, DifferenceResolved."""
        require_operator(caller)
        explained = await self._differences.explain(difference_id, mode_of(caller), note, caller.service)
        difference = await self._differences.one(difference_id, mode_of(caller))
        if difference is None:
            raise DifferenceNotFound(f"there is no difference {ids.to_text(PREFIX, difference_id)} in this mode")
        if not explained:
            raise DifferenceResolved("the totals agree again, so there is nothing to explain")
        return DifferenceBody.of(difference, self._runtime.now())


def router(desk: DifferenceDesk, tokens: ServiceTokens) -> APIRouter:
    """Return the routes of differences."""
    routes = APIRouter(prefix="/v1/differences", tags=["reconciliation"])
    Authenticated = Annotated[Caller, Depends(authenticator(tokens))]

    @routes.get("")
    async def list_differences(
        caller: Authenticated,
        state: Literal["open", "explained", "resolved", "all"] = "open",
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> DifferencePage:
        """Return where the ledger's totals of a closed day are not those of the service that moves the same money."""
        return await desk.list(state, limit, caller)

    @routes.post("/{difference_id}/explain")
    async def explain_difference(difference_id: str, body: Explanation, caller: Authenticated) -> DifferenceBody:
        """Say why the two differ. It is open again as soon as one of the totals changes."""
        return await desk.explain(read_id(difference_id, PREFIX), body.note, caller)

    return routes
