"""Why a command on a payment is refused.

Conflict
├── PaymentNotCapturable      its state, or a void under way, leaves nothing to capture
├── PaymentNotVoidable        its state, or a capture under way, leaves nothing to void
├── PaymentNotRefundable      nothing is captured that is not refunded already
└── PaymentNotInReview        only a payment in review can be decided
InvalidRequest
├── CaptureAboveAuthorised    more than is left of the authorisation
├── RefundAboveCaptured       more than is left of what was captured
├── MethodNotAvailable        this platform takes no payments by this method, in this mode
├── IdempotencyKeyMissing     a POST that makes or changes something needs an Idempotency-Key
├── CurrencyNotSupported      a currency we know, but do not settle
├── WalletCurrencyMismatch    the wallet is in another currency
└── OccurredAtInLiveMode      only test mode may date a payment
NotFound
├── PaymentNotFound
├── RefundNotFound
└── WalletNotFound
"""

from rialto_common.errors import Conflict, InvalidRequest, NotFound


class PaymentNotCapturable(Conflict):
    """Nothing is left to capture, or a void is under way."""

    code = "payment_not_capturable"


class PaymentNotVoidable(Conflict):
    """Nothing is left to void, or a capture is under way."""

    code = "payment_not_voidable"


class PaymentNotRefundable(Conflict):
    """Nothing is captured that is not refunded already, or being refunded."""

    code = "payment_not_refundable"


class PaymentNotInReview(Conflict):
    """Only a payment in review can be decided."""

    code = "payment_not_in_review"


class CaptureAboveAuthorised(InvalidRequest):
    """More than is left of the authorisation."""

    code = "capture_above_authorised"


class RefundAboveCaptured(InvalidRequest):
    """More than is left of what was captured."""

    code = "refund_above_captured"


class MethodNotAvailable(InvalidRequest):
    """This platform takes no payments by this method, in this mode."""

    code = "payment_method_not_available"


class IdempotencyKeyMissing(InvalidRequest):
    """A POST that makes or changes something needs an Idempotency-Key."""

    code = "idempotency_key_required"


class CurrencyNotSupported(InvalidRequest):
    """A currency we know, but do not settle."""

    code = "currency_not_supported"


class WalletCurrencyMismatch(InvalidRequest):
    """The wallet is in another currency than the payment."""

    code = "wallet_currency_mismatch"


class OccurredAtInLiveMode(InvalidRequest):
    """Only test mode may say when a payment occurred."""

    code = "occurred_at_in_live_mode"


class PaymentNotFound(NotFound):
    """No such payment for this key."""

    code = "payment_not_found"


class RefundNotFound(NotFound):
    """No such refund for this key."""

    code = "refund_not_found"


class WalletNotFound(NotFound):
    """No such wallet for this key."""

    code = "wallet_not_found"
