"""Why a command on a payment is refused.

Conflict
├── PaymentNotCapturable      its state, or a void under way, leaves nothing to capture
├── PaymentNotIncrementable   its state, or what was asked for before, allows no more to be authorised
├── IncrementUnderWay         the one before it has no outcome yet
├── PaymentNotVoidable        its state, or a capture under way, leaves nothing to void
├── PaymentNotRefundable      nothing is captured that is not refunded already
└── PaymentNotInReview        only a payment in review can be decided
InvalidRequest
├── CaptureAboveAuthorised    more than is left of the authorisation
├── IncrementNotAbove         no more than is authorised already
├── IncrementAboveLimit       more than may be added without the payment being assessed anew
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


class PaymentNotIncrementable(Conflict):
    """Only a payment that is authorised for manual capture, with nothing voided and something left, can be raised."""

    code = "payment_not_incrementable"


class IncrementUnderWay(Conflict):
    """The increment asked for before has no outcome yet; how much can be captured is not known before it has."""

    code = "increment_under_way"


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


class IncrementNotAbove(InvalidRequest):
    """No more than is authorised already; an increment names the new total, and not what is to be added."""

    code = "increment_not_above_amount"


class IncrementAboveLimit(InvalidRequest):
    """More than may be added to a payment without it being assessed anew."""

    code = "increment_above_limit"


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
