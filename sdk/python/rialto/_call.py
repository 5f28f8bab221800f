"""A call, described: what to ask, and how to read the answer. Nothing here sends anything.

Both clients carry out the same descriptions, so that each is written once (`rialto/calls`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, Generic, TypedDict, TypeVar
from urllib.parse import quote

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Unset(Enum):
    """Says that a field is left as it is, where None would take its value away."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One request and what it returns.

    `wait_seconds` asks for the decision in the answer. `gone_is_done`: where an earlier try may have arrived, that
    there is nothing (404) means that it did what was asked.
    """

    method: str
    path: str
    read: Callable[[Any], T_co]
    body: Mapping[str, Any] | None = None
    query: Query = ()
    idempotency_key: str | None = None
    wait_seconds: float | None = None
    gone_is_done: bool = False


@dataclass(frozen=True, slots=True)
class ListCall(Generic[T_co]):
    """A list to go through. `first_only`: parameters that a cursor carries itself."""

    path: str
    read_item: Callable[[Any], T_co]
    query: Query = ()
    first_only: frozenset[str] = field(default_factory=frozenset)


class Person(TypedDict, total=False):
    """A payer or payee; `name` is required. `country` is ISO 3166-1 alpha-2, `date_of_birth` YYYY-MM-DD."""

    name: str
    country: str
    email: str
    phone: str
    date_of_birth: str
    address_line: str
    city: str
    postal_code: str


def path(*segments: str) -> str:
    """Return a path below `/v1`.

    Raises: ValueError: an empty id, which would name another thing.
    """
    if not all(segments):
        raise ValueError("an id is empty")
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


def fields(**values: Any) -> dict[str, Any]:
    """Return the fields that are set (None is not), as the API reads them."""
    return {name: _plain(value) for name, value in values.items() if value is not None}


def changes(**values: Any) -> dict[str, Any]:
    """Return the fields that change; None takes a value away."""
    return {name: _plain(value) for name, value in values.items() if value is not UNSET}


def query(**values: Any) -> Query:
    """Return the parameters that are set; of a list, one each. A trailing underscore stands for `[]`."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        many = isinstance(value, Sequence) and not isinstance(value, str)
        for each in value if many else [value]:
            if each is not None:
                found.append((f"{name[:-1]}[]" if name.endswith("_") else name, str(_plain(each))))
    return tuple(found)


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value) if abs(value) > 2**53 else value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; say which, such as datetime.now(UTC)")
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value
