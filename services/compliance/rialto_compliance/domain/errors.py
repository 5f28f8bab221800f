"""The errors of this service.

PaymentError
├── ListUnreadable            a list file cannot be used; the service does not start without its lists
└── NotFound
    └── ScreeningNotFound     that payment has not been screened, or not for this merchant
"""

from __future__ import annotations

from rialto_common.errors import NotFound, PaymentError


class ListUnreadable(PaymentError):
    """A list file cannot be used."""

    code = "list_unreadable"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"the list file {path} cannot be used: {reason}")
        self.path = path
        self.reason = reason


class ScreeningNotFound(NotFound):
    """No screening of that payment for this caller."""

    code = "screening_not_found"
