"""What a call can end with instead of an answer.

    RialtoError
    ├── ConnectionFailed                no answer came; `may_have_arrived` says whether the outcome is unknown
    ├── UnexpectedAnswer                an answer that is not the API's, such as a proxy's page
    ├── ApiError                        the API refused; `code` says why and never changes
    │   ├── InvalidRequestError         400 and its like: `param` names the field; the same again cannot succeed
    │   ├── AuthenticationError         401
    │   ├── ForbiddenError              403: the key does not reach this far
    │   ├── NotFoundError               404
    │   ├── ConflictError               409: the object's state does not allow it
    │   │   └── RequestInProgressError  the first request under this idempotency key is still under way
    │   ├── IdempotencyKeyReusedError   422: the key was used for another request
    │   ├── RateLimitedError            429
    │   └── ServerError                 5xx
    └── WebhookVerificationError        a message that must not be believed

A declined payment is no error: it is an answer, with `status` "declined" and a `decline_code`.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin


class RialtoError(Exception):
    """The root of all; `idempotency_key` is that of the call, under which it may safely be made again."""

    idempotency_key: str | None = None


class ConnectionFailed(RialtoError):
    """No answer came, for as long as it was tried."""

    def __init__(
        self, reason: str, *, tries: int, seconds: float, may_have_arrived: bool, idempotency_key: str | None
    ) -> None:
        what = f"no answer after {tries} {'try' if tries == 1 else 'tries'} in {seconds:.1f} s ({reason})"
        if may_have_arrived and idempotency_key is not None:
            what += f"; it may have been done: make the same call again with idempotency_key={idempotency_key!r}"
        super().__init__(what)
        self.tries = tries
        self.may_have_arrived = may_have_arrived
        self.idempotency_key = idempotency_key


class UnexpectedAnswer(RialtoError):
    """Something answered that does not speak this API."""

    def __init__(self, status: int, what: str, *, request_id: str | None, idempotency_key: str | None) -> None:
        super().__init__(f"HTTP {status}: {what}; is base_url that of a Rialto gateway?")
        self.status = status
        self.request_id = request_id
        self.idempotency_key = idempotency_key


class ApiError(RialtoError):
    """A problem (RFC 9457) that the API answered with."""

    def __init__(
        self,
        status: int,
        problem: Mapping[str, Any],
        *,
        base_url: str,
        request_id: str | None,
        idempotency_key: str | None = None,
    ) -> None:
        self.status = status
        self.code = str(problem.get("code") or f"http_{status}")
        self.detail = str(problem.get("detail") or problem.get("title") or self.code)
        self.param: str | None = problem.get("param")
        self.decline_code: str | None = problem.get("decline_code")
        self.retryable = problem.get("retryable") is True
        self.request_id = problem.get("request_id") or request_id
        where = problem.get("doc_url") or problem.get("type")
        self.doc_url = urljoin(base_url, where) if isinstance(where, str) else None
        self.problem = dict(problem)
        self.idempotency_key = idempotency_key
        super().__init__(f"{self.detail} ({self.code}{f', request {self.request_id}' if self.request_id else ''})")


class InvalidRequestError(ApiError):
    """The request is wrong as it is."""


class AuthenticationError(ApiError):
    """No key, or one that is unknown, expired or revoked."""


class ForbiddenError(ApiError):
    """The key does not reach this far."""


class NotFoundError(ApiError):
    """No such object for this key."""


class ConflictError(ApiError):
    """The object's state does not allow it."""


class RequestInProgressError(ConflictError):
    """The first request under this idempotency key was still under way for as long as it was tried."""


class IdempotencyKeyReusedError(ApiError):
    """The idempotency key was used for another request."""


class RateLimitedError(ApiError):
    """More requests than this key may send, for as long as it was tried."""


class ServerError(ApiError):
    """Something broke, or a part was away for as long as it was tried; the same call under its key is safe."""


class WebhookVerificationError(RialtoError):
    """A message that must not be believed; `reason` is one of the words in `rialto.webhooks`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


_BY_STATUS: Mapping[int, type[ApiError]] = {
    401: AuthenticationError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: IdempotencyKeyReusedError,
    429: RateLimitedError,
}


def kind_of(status: int, code: object) -> type[ApiError]:
    """Return the class of a refusal."""
    if code == "request_in_progress":
        return RequestInProgressError
    if status >= 500:
        return ServerError
    return _BY_STATUS.get(status, InvalidRequestError if status >= 400 else ApiError)
