"""The root of every error Rialto raises on purpose.

    PaymentError                     a command that is refused; `code` is stable, `retryable` says whether to try again
    ├── InvalidRequest               the caller's input is wrong; `param` names the field
    │   ├── InvalidAmount            not a positive whole number of minor units within 38 digits
    │   ├── UnknownCurrency          neither ISO 4217 nor a registered token
    │   └── InvalidId                not an id of the expected kind
    ├── Unauthenticated              no or bad credentials
    ├── Forbidden                    good credentials that do not reach this far
    ├── NotFound                     no such object for this caller
    ├── Conflict                     the object's state does not allow it
    ├── IdempotencyKeyReused         same key, other content
    ├── TooManyRequests              more than allowed; later (retryable)
    ├── ServiceUnavailable           a part that is needed is away; try again (retryable)
    │   ├── BusUnavailable           Kafka does not answer
    │   └── BusBacklogFull           too many events already wait for Kafka; no new work is taken in
    ├── CommitUnknown                the commit's answer was lost; ask by identity before acting again (retryable)
    ├── MalformedEvent               an event that no retry can make readable
    └── EventTooLarge                an event larger than any bus must carry
    InvariantViolated                a bug: money or state would become wrong; pages someone

HTTP statuses live in `problems.py`, never here.
"""

from typing import ClassVar


class PaymentError(Exception):
    """A refusal with a stable `code`; its arguments are facts, its text a sentence for people."""

    code: ClassVar[str] = "payment_error"
    retryable: ClassVar[bool] = False
    retry_after_seconds: int = 1
    decline_code: str | None = None
    """Why an issuer or our own rules declined, where that is what the refusal is about."""

    def __init__(self, detail: str, *, param: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.param = param

    @property
    def stable_code(self) -> str:
        """The code to tell the caller; where this repeats an earlier refusal, that one's."""
        return self.code


class InvalidRequest(PaymentError):
    """The caller's input is wrong; sending it again cannot help."""

    code = "invalid_request"


class InvalidField(ValueError):
    """Carries a refusal's stable code out of a pydantic validator, which must raise ValueErrors."""

    def __init__(self, refusal: InvalidRequest) -> None:
        super().__init__(refusal.detail)
        self.code = refusal.code


class CursorInvalid(InvalidRequest):
    """Cursors are taken from `next_cursor` and sent back as they are."""

    code = "cursor_invalid"


class InvalidAmount(InvalidRequest):
    """Not a positive whole number of minor units within 38 digits."""

    code = "amount_invalid"


class UnknownCurrency(InvalidRequest):
    """Neither an ISO 4217 currency in use nor a registered token."""

    code = "currency_unknown"


class InvalidId(InvalidRequest):
    """Not an id of the expected kind."""

    code = "id_invalid"


class Unauthenticated(PaymentError):
    """No credentials, or ones that are not valid."""

    code = "unauthenticated"


class Forbidden(PaymentError):
    """Valid credentials that do not allow this."""

    code = "forbidden"


class NotFound(PaymentError):
    """No such object, as far as this caller may know."""

    code = "not_found"


class Conflict(PaymentError):
    """The object's present state does not allow the command."""

    code = "conflict"


class IdempotencyKeyReused(PaymentError):
    """The same idempotency key arrived with other content."""

    code = "idempotency_key_reused"


class TooManyRequests(PaymentError):
    """More requests than allowed; send it again after Retry-After seconds."""

    code = "rate_limited"
    retryable = True

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class ServiceUnavailable(PaymentError):
    """A part that is needed does not answer; the same request again, by the same key, is safe."""

    code = "service_unavailable"
    retryable = True


class BusUnavailable(ServiceUnavailable):
    """Kafka does not answer; what was to be done with it is tried again."""

    code = "bus_unavailable"


class BusBacklogFull(ServiceUnavailable):
    """Too many events wait for Kafka already: what was accepted is kept, new work is refused until it is back."""

    code = "bus_backlog_full"


class CommitUnknown(PaymentError):
    """The commit was sent and its answer lost: it may or may not have happened."""

    code = "commit_unknown"
    retryable = True


class MalformedEvent(PaymentError):
    """An event that no retry can make readable; it is parked."""

    code = "event_malformed"


class EventTooLarge(PaymentError):
    """An event larger than any bus must carry; it is refused before anything is written."""

    code = "event_too_large"


class InvariantViolated(Exception):
    """A promise about money or state would be broken; always a bug, never the caller's fault."""
