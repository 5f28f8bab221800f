"""What all objects have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr


@dataclass(frozen=True, slots=True)
class Response:
    """The HTTP answer that an object came in; `body` is its JSON as it was sent."""

    status: int
    headers: Mapping[str, str]
    tries: int
    idempotency_key: str | None
    body: Any = field(repr=False)

    @property
    def request_id(self) -> str | None:
        """Names the request in Rialto's logs."""
        return self.headers.get("request-id")

    @property
    def replayed(self) -> bool:
        """Whether the key's first answer was given again."""
        return self.headers.get("idempotency-replayed") == "true"


class ApiObject(BaseModel):
    """What all objects have in common."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)

    _response: Response | None = PrivateAttr(default=None)

    @property
    def response(self) -> Response | None:
        """The answer this object came in; None of one within another."""
        return self._response

    @property
    def request_id(self) -> str | None:
        """The request that answered with this object."""
        return None if self._response is None else self._response.request_id
