"""Whatever this version of the package has no method for."""

from collections.abc import Mapping
from typing import Any, Literal

from rialto._call import Call, fields, query


def request(
    method: Literal["GET", "POST", "PATCH", "DELETE"],
    path: str,
    *,
    body: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    wait: float | None = None,
    idempotency_key: str | None = None,
) -> Call[Any]:
    """Ask anything, such as `request("GET", "/v1/payments")`, with the retries, key and errors of any other call.

    Returns: the answer's JSON as it is.
    Raises: ValueError: not a path of the API.
    """
    if not path.startswith("/v1/"):
        raise ValueError("a path of the API begins with /v1/")
    asked = query(**(params or {}))
    return Call(method, path, _as_it_is, fields(**(body or {})), asked, idempotency_key, wait)


def _as_it_is(answer: Any) -> Any:
    return answer
