"""What the fraud service refuses.

PaymentError
├── NotFound
│   └── AssessmentNotFound       no assessment of this payment for this merchant and mode
└── ModelInputInvalid            a payment the model cannot read: wrong width, NaN, infinity (parked)
Exception
└── ModelUnusable                the model on disk is not the one its manifest describes (not ready)
"""

from rialto_common.errors import NotFound, PaymentError


class AssessmentNotFound(NotFound):
    """No assessment of this payment, as far as this caller may know."""

    code = "assessment_not_found"


class ModelInputInvalid(PaymentError):
    """The model cannot read this payment, and no retry will change that."""

    code = "model_input_invalid"


class ModelUnusable(Exception):
    """The model file and its manifest disagree; the service must not score with it."""
