"""Events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from rialto._call import Call, ListCall, path, query
from rialto.models import Event


def retrieve(
    event_id: str, *, expand: Sequence[Literal["payment", "payment.captures", "payment.timeline"]] = ()
) -> Call[Event]:
    """Return an event; `expand` shows its payment as it is now."""
    return Call("GET", path("events", event_id), Event.model_validate, query=query(expand_=expand))


def list_(
    *,
    type: str | Sequence[str] | None = None,
    object_id: str | None = None,
    created_since: datetime | None = None,
    created_until: datetime | None = None,
    expand: Sequence[Literal["data.payment"]] = (),
    limit: int | None = None,
    cursor: str | None = None,
) -> ListCall[Event]:
    """List events, newest first. `type` is a name, several, or all of a kind as `payment.*`."""
    asked = query(
        type=type,
        object_id=object_id,
        created_since=created_since,
        created_until=created_until,
        expand_=expand,
        limit=limit,
        cursor=cursor,
    )
    return ListCall(path("events"), Event.model_validate, asked)
