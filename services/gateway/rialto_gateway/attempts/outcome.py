"""What an attempt's outcome means for its payment. Pure."""

from rialto_gateway.attempts.attempt import Attempt
from rialto_gateway.connectors.port import Answer, Declined
from rialto_gateway.payments.facts import (
    AcquirerAuthorised,
    AcquirerCaptured,
    AcquirerIncremented,
    AcquirerRefunded,
    AcquirerRefusedAuthorisation,
    AcquirerRefusedCapture,
    AcquirerRefusedIncrement,
    AcquirerRefusedRefund,
    AcquirerRefusedVoid,
    AcquirerVoided,
    ActionNeeded,
    AttemptRef,
    Fact,
    OutcomeUnknown,
)


def fact_of(before: Attempt, after: Attempt, answer: Answer, *, elsewhere: bool) -> Fact | None:
    """Return what to tell the payment; None where the change is none of its business.

    Args: elsewhere: another acquirer may be asked, and there is one.
    """
    if after.state == before.state and after.state != "requires_action":
        return None
    attempt = AttemptRef(
        after.id,
        after.step,
        after.connector or "none",
        after.amount_minor,
        after.subject_id,
        was_unknown=before.state == "unknown",
    )
    reference, code = after.connector_reference or "", after.code or "unknown"
    match after.state:
        case "unknown":
            return OutcomeUnknown(attempt, code)
        case "requires_action":
            return ActionNeeded(attempt, reference, after.url or "") if after.step == "authorise" else None
        case "succeeded":
            return _succeeded(attempt, after, reference)
        case "failed":
            return _failed(attempt, after, code, is_decline=isinstance(answer, Declined), elsewhere=elsewhere)
        case _:
            return None


def _succeeded(attempt: AttemptRef, after: Attempt, reference: str) -> Fact:
    match after.step:
        case "authorise":
            return AcquirerAuthorised(attempt, reference)
        case "increment":
            return AcquirerIncremented(attempt)
        case "capture":
            return AcquirerCaptured(attempt, after.ordinal, after.final, after.asked_at)
        case "void":
            return AcquirerVoided(attempt, after.authorisation or "")
        case "refund":
            return AcquirerRefunded(attempt, after.asked_at)


def _failed(attempt: AttemptRef, after: Attempt, code: str, *, is_decline: bool, elsewhere: bool) -> Fact:
    match after.step:
        case "authorise":
            return AcquirerRefusedAuthorisation(attempt, code, is_decline, elsewhere)
        case "increment":
            return AcquirerRefusedIncrement(attempt, code)
        case "capture":
            return AcquirerRefusedCapture(attempt, code)
        case "void":
            return AcquirerRefusedVoid(attempt, after.authorisation or "", code)
        case "refund":
            return AcquirerRefusedRefund(attempt, code)
