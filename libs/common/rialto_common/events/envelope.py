"""The envelope: CloudEvents 1.0 in binary mode, attributes beside a JSON payload.

An `Event` is what travels. Its `id` is derived from its root (mostly the payment), so that emitting it again after a
crash makes the same event, and consumers drop it by `source` and `id`. `sequence` grows per source and key.
Extensions: `correlationid` (the root), `causationid` (the event that led to this one), `traceparent` (W3C), `sequence`,
`shard`.
"""

import builtins
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import core_schema

from rialto_common import ids
from rialto_common.errors import InvalidAmount, InvalidField, InvalidId, MalformedEvent
from rialto_common.money import parse_minor

_TRACEPARENT = re.compile(r"00-(?P<trace_id>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})")


def _read_minor(value: object) -> int:
    try:
        return parse_minor(value)
    except InvalidAmount as error:
        raise InvalidField(error) from error


def _read_minor_or_zero(value: object) -> int:
    zero = (isinstance(value, int) and not isinstance(value, bool) and value == 0) or value == "0"
    return 0 if zero else _read_minor(value)


MinorUnits = Annotated[
    int,
    BeforeValidator(_read_minor),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,38}$", "description": "whole minor units"}),
]
"""An amount greater than zero: an int in Python, a string in JSON."""


MinorUnitsOrZero = Annotated[
    int,
    BeforeValidator(_read_minor_or_zero),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,38}$", "description": "whole minor units, may be 0"}),
]


def _read_signed_minor(value: object) -> int:
    if isinstance(value, str) and value.startswith("-"):
        return -_read_minor(value[1:])
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        return -_read_minor(-value)
    return _read_minor_or_zero(value)


SignedMinorUnits = Annotated[
    int,
    BeforeValidator(_read_signed_minor),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^-?[0-9]{1,38}$", "description": "whole minor units, signed"}),
]


@dataclass(frozen=True, slots=True)
class TextId:
    """Marks a UUID field as an id of one kind: `Annotated[UUID, TextId("pay")]` is `pay_…` in JSON."""

    prefix: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self._write, return_schema=core_schema.str_schema()
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.prefix}_[0-9a-hjkmnp-tv-z]{{26}}$"}

    def _read(self, value: object) -> UUID:
        if isinstance(value, UUID):
            return value
        try:
            return ids.from_text(self.prefix, str(value))
        except InvalidId as error:
            raise InvalidField(error) from error

    def _write(self, value: UUID) -> str:
        return ids.to_text(self.prefix, value)


class EventData(BaseModel):
    """The payload of one event type. Unknown fields are ignored: a newer producer may add some."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    type: ClassVar[str]
    topic: ClassVar[str]


Data = TypeVar("Data", bound=EventData)


class Event(NamedTuple):
    """One fact on the bus: CloudEvents attributes plus the payload's JSON bytes.

    `key` orders: events of one key arrive in the order in which they were published. `shard` chooses the partition.
    """

    id: UUID
    source: str
    type: str
    topic: str
    key: str
    shard: int
    time: datetime
    sequence: int
    correlation_id: str
    causation_id: str | None
    traceparent: str | None
    data: bytes

    def read(self, model: builtins.type[Data]) -> Data:
        """Return the payload as a model.

        Raises: MalformedEvent: the payload does not fit the model.
        """
        try:
            return model.model_validate_json(self.data)
        except (ValidationError, ValueError) as error:
            fields = (
                sorted({".".join(str(part) for part in item["loc"]) for item in error.errors()})
                if isinstance(error, ValidationError)
                else []
            )
            raise MalformedEvent(f"event {self.id} is not a readable {self.type}: {', '.join(fields)}") from error


def compose(
    data: EventData,
    *,
    source: str,
    root: UUID,
    key: str,
    shard: int,
    time: datetime,
    sequence: int,
    ordinal: int = 0,
    cause: Event | None = None,
    traceparent: str | None = None,
) -> Event:
    """Return the event that announces `data`.

    Its id is derived from (root, type, ordinal): give `ordinal` where one root emits a type more than once. With a
    `cause`, correlation and trace go on; otherwise they start at the root.
    """
    return compose_written(
        type(data),
        data.__pydantic_serializer__.to_json(data),
        source=source,
        root=root,
        key=key,
        shard=shard,
        time=time,
        sequence=sequence,
        ordinal=ordinal,
        cause=cause,
        traceparent=traceparent,
    )


def compose_written(
    kind: type[EventData],
    data: bytes,
    *,
    source: str,
    root: UUID,
    key: str,
    shard: int,
    time: datetime,
    sequence: int,
    ordinal: int = 0,
    cause: Event | None = None,
    traceparent: str | None = None,
) -> Event:
    """Return the event of a kind whose payload is written already, by someone who writes hundreds at a time."""
    event_id = ids.derive(root, kind.type, ordinal)
    parent = cause.traceparent if cause is not None else traceparent
    return Event(
        id=event_id,
        source=source,
        type=kind.type,
        topic=kind.topic,
        key=key,
        shard=shard,
        time=time,
        sequence=sequence,
        correlation_id=cause.correlation_id if cause is not None else key,
        causation_id=str(cause.id) if cause is not None else None,
        traceparent=child_traceparent(parent, root, event_id),
        data=data,
    )


def child_traceparent(parent: str | None, root: UUID, span: UUID) -> str:
    """Return a W3C traceparent: the parent's trace (or one named after the root), and a span named after the event."""
    trace_id, flags = root.hex, "01"
    # Checked, as the first one comes from outside and must not carry anything else onto the bus.
    if parent is not None and (match := _TRACEPARENT.fullmatch(parent)):
        trace_id, flags = match["trace_id"], match["flags"]
    return f"00-{trace_id}-{span.hex[16:]}-{flags}"
