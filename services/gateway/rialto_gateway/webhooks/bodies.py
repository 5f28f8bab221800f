"""What callers send about webhook endpoints."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, field_validator

from rialto_gateway import versions
from rialto_gateway.payments.bodies import plausible
from rialto_gateway.requests import Body
from rialto_gateway.webhooks.messages import MESSAGES, patterns

Url = Annotated[str, Field(max_length=2048, examples=["https://shop.example/webhooks/rialto"])]
Events = Annotated[
    list[str],
    Field(
        max_length=50,
        examples=[["payment.settled", "payment.declined"]],
        description="names, or all of a kind of object as `payment.*`; none means all",
    ),
]
ApiVersion = Annotated[
    str,
    Field(
        max_length=20,
        examples=[versions.LATEST],
        json_schema_extra={"enum": list(versions.VERSIONS)},
        description="the dated version of the API that messages are sent in",
    ),
]
DAY_SECONDS = 86_400


def known_events(value: list[str]) -> list[str]:
    """Return the events asked for, each once.

    Raises: ValueError: one that there is not.
    """
    for event in value:
        if event not in patterns():
            raise ValueError(f"'{event[:40]}' is not one of {', '.join(patterns())}")
    return sorted(set(value))


class CreateWebhookEndpoint(Body):
    """An endpoint; without `events` it hears of all, without `api_version` in the version of the request."""

    url: Url
    events: Events = Field(default_factory=list)
    api_version: ApiVersion | None = None

    _known = field_validator("events")(known_events)


class UpdateWebhookEndpoint(Body):
    """What is to change; what is left out stays."""

    url: Url | None = None
    events: Events | None = None
    api_version: ApiVersion | None = None
    enabled: Annotated[bool | None, Field(description="a disabled endpoint is told nothing new; what waits, waits")] = (
        None
    )

    @field_validator("events")
    @classmethod
    def _known(cls, value: list[str] | None) -> list[str] | None:
        return None if value is None else known_events(value)


class RotateSecret(Body):
    """A new signing secret; for so long the one before signs as well."""

    overlap_seconds: Annotated[
        int, Field(ge=0, le=7 * DAY_SECONDS, description="0 where the secret before is no secret any more")
    ] = DAY_SECONDS


class RedeliverRange(Body):
    """Deliveries of one state that were made within a range of time, the oldest first."""

    status: Literal["given_up", "delivered"] = "given_up"
    created_since: AwareDatetime
    created_until: AwareDatetime | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000

    _plausible = field_validator("created_since")(plausible)

    @field_validator("created_until")
    @classmethod
    def _plausible_until(cls, value: AwareDatetime | None) -> AwareDatetime | None:
        return None if value is None else plausible(value)


class SendTest(Body):
    """A made-up message of a type. On purpose sent twice under one id, or before an earlier one of its object."""

    type: Annotated[str, Field(examples=["payment.captured"])]
    duplicate: bool = False
    out_of_order: bool = False

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in MESSAGES.values():
            raise ValueError(f"'{value[:40]}' is not one of {', '.join(sorted(MESSAGES.values()))}")
        return value
