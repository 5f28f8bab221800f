"""The Prefer header (RFC 7240)."""

import pytest

from rialto_gateway.payments.wait import MAX_WAIT_SECONDS, wait_of


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait=5", 5),
        ("Wait=5", 5),
        ("wait = 5", 5),
        ('wait="5"', 5),
        ("respond-async, wait=10", 10),
        ("wait=10; foo=bar", 10),
        ("wait=3,handling=lenient", 3),
        ("wait=0", 0),
        ("wait=31", MAX_WAIT_SECONDS),
        ("wait=99999", MAX_WAIT_SECONDS),
        ("wait=-5", 0),
        ("wait=5.5", 0),
        ("wait=5s", 0),
        ("wait=", 0),
        ("wait", 0),
        ("await=5", 0),
        ('wait="5', 0),
        ("wait=" + "9" * 500, 0),
    ],
)
def test_the_wait_is_read_and_bounded(header: str | None, seconds: float) -> None:
    assert wait_of(header) == seconds
