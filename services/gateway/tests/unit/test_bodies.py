"""What is taken as it comes, and what is made of it."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from rialto_gateway.payments.bodies import CreatePayment

GOOD: dict[str, Any] = {
    "amount_minor": "1250",
    "currency": "USD",
    "payment_method": {"type": "wallet", "wallet_id": "wal_01kb6w1m8xf0gbb7n5d8jq2c4r"},
    "payer": {"name": "Ada Example"},
}


def read(**fields: Any) -> CreatePayment:
    return CreatePayment.model_validate_json(orjson.dumps(GOOD | fields))


@pytest.mark.parametrize(
    ("sent", "read_as"), [("1250", 1250), (1250, 1250), ("007", 7), ("9" * 38, 10**38 - 1), ("0" * 37 + "1", 1)]
)
def test_an_amount_is_digits_in_a_string_or_an_integer(sent: object, read_as: int) -> None:
    assert read(amount_minor=sent).amount_minor == read_as


def test_two_ways_of_writing_one_request_are_one_request() -> None:
    one = read(amount_minor=1250, currency=" USD ", occurred_at="2026-01-01T12:00:00+02:00")
    assert one.model_dump_json() == read(amount_minor="01250", occurred_at="2026-01-01T10:00:00Z").model_dump_json()


def test_an_instant_is_kept_in_utc() -> None:
    occurred_at = read(occurred_at="2026-01-01T00:30:00+02:00").occurred_at
    assert occurred_at == datetime(2025, 12, 31, 22, 30, tzinfo=UTC)
    assert occurred_at is not None
    assert occurred_at.tzinfo is UTC


def test_names_of_people_everywhere_are_taken() -> None:
    for name in ("José Ñandú", "李小龍", "Ólafur Ragnar Grímsson", "O'Brien-Smith", "Ada 🙂", "נתן"):
        payer = read(payer={"name": name}).payer
        assert payer is not None
        assert payer.name == name
