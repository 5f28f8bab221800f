"""The envelope: what `compose` derives, what `read` accepts, and how amounts and ids look in JSON."""

import re
from typing import Any, ClassVar
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rialto_common import ids
from rialto_common.errors import InvalidField, MalformedEvent
from rialto_common.events import Event, EventData, compose
from rialto_common.events.common import PaymentId
from rialto_common.events.envelope import MinorUnits, MinorUnitsOrZero, child_traceparent
from rialto_common.money import MAX_MINOR
from rialto_common.testing import START, root_of

PAYMENT = root_of(1)
MERCHANT = root_of(2)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Paid(EventData):
    type: ClassVar[str] = "rialto.test.paid.v1"
    topic: ClassVar[str] = "rialto.test.v1"

    payment_id: PaymentId
    amount_minor: MinorUnits
    fee_minor: MinorUnitsOrZero = 0


def paid(**changes: Any) -> Event:
    data = Paid(payment_id=PAYMENT, amount_minor=1250)
    options: dict[str, Any] = {"source": "rialto.test", "root": PAYMENT, "key": "pay_x", "shard": 7, "time": START}
    return compose(data, **{**options, "sequence": 3, **changes})


@pytest.mark.parametrize("value", [1250, "1250"])
def test_an_amount_comes_in_as_a_number_or_text_and_goes_out_as_text(value: object) -> None:
    read = Paid.model_validate_json(orjson.dumps({"payment_id": ids.to_text("pay", PAYMENT), "amount_minor": value}))
    assert read.amount_minor == 1250
    assert orjson.loads(read.model_dump_json())["amount_minor"] == "1250"


@given(st.integers(1, MAX_MINOR), st.integers(0, MAX_MINOR))
def test_the_largest_amounts_survive_json(amount: int, fee: int) -> None:
    data = Paid(payment_id=PAYMENT, amount_minor=amount, fee_minor=fee)
    assert Paid.model_validate_json(data.model_dump_json()) == data


@pytest.mark.parametrize("value", [0, "0", -1, "-1", 12.5, 12.0, True, None, "12.5", "١٢", MAX_MINOR + 1, "", [], {}])
def test_an_amount_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Paid(payment_id=PAYMENT, amount_minor=value)
    context = caught.value.errors()[0]["ctx"]["error"]
    assert isinstance(context, InvalidField)
    assert context.code == "amount_invalid"


@pytest.mark.parametrize("value", [0.0, False, -1, "-0", "", None, 1.0])
def test_zero_is_allowed_where_said_but_only_as_a_whole_number(value: Any) -> None:
    assert Paid(payment_id=PAYMENT, amount_minor=1, fee_minor=0).fee_minor == 0
    assert Paid.model_validate({"payment_id": PAYMENT, "amount_minor": 1, "fee_minor": "0"}).fee_minor == 0
    with pytest.raises(ValidationError):
        Paid(payment_id=PAYMENT, amount_minor=1, fee_minor=value)


def test_an_id_is_text_in_json_and_of_its_own_kind() -> None:
    text = ids.to_text("pay", PAYMENT)
    assert orjson.loads(Paid(payment_id=PAYMENT, amount_minor=1).model_dump_json())["payment_id"] == text
    for wrong in ("mer" + text[3:], str(PAYMENT), text.upper(), "", 7, None):
        with pytest.raises(ValidationError):
            Paid.model_validate({"payment_id": wrong, "amount_minor": 1})


def test_composing_the_same_fact_again_makes_the_same_event() -> None:
    assert paid() == paid()
    assert paid().id == ids.derive(PAYMENT, "rialto.test.paid.v1")
    assert paid(ordinal=1).id != paid().id
    assert paid().topic == "rialto.test.v1"


def test_an_event_without_a_cause_starts_a_correlation() -> None:
    event = paid()
    assert (event.correlation_id, event.causation_id) == ("pay_x", None)
    assert event.traceparent == f"00-{PAYMENT.hex}-{event.id.hex[16:]}-01"


def test_an_event_with_a_cause_carries_the_correlation_and_the_trace_on() -> None:
    first = paid(traceparent=TRACE)
    second = paid(cause=first._replace(correlation_id="the-start", key="another"), ordinal=1)
    assert first.traceparent == f"00-4bf92f3577b34da6a3ce929d0e0e4736-{first.id.hex[16:]}-01"
    assert (second.correlation_id, second.causation_id) == ("the-start", str(first.id))
    assert second.traceparent == f"00-4bf92f3577b34da6a3ce929d0e0e4736-{second.id.hex[16:]}-01"


W3C = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "garbage",
        "4111111111111111" * 4,
        TRACE.upper(),
        TRACE + "-more",
        TRACE[:-1] + "\n",
        TRACE.replace("4bf9", "Ada "),
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
    ],
)
def test_a_trace_that_is_not_one_is_replaced(parent: str) -> None:
    assert child_traceparent(parent, PAYMENT, MERCHANT) == child_traceparent(None, PAYMENT, MERCHANT)


@given(
    st.one_of(st.text(min_size=55, max_size=55), st.none(), st.just(TRACE)), st.uuids(version=4), st.uuids(version=4)
)
def test_whatever_comes_in_a_w3c_trace_goes_out(parent: str | None, root: UUID, span: UUID) -> None:
    assert W3C.fullmatch(child_traceparent(parent, root, span))


def test_an_unsampled_trace_stays_so() -> None:
    assert child_traceparent(TRACE[:-2] + "00", PAYMENT, MERCHANT).endswith("-00")


def test_reading_gives_back_what_was_composed() -> None:
    data = Paid(payment_id=PAYMENT, amount_minor=1250, fee_minor=3)
    assert (
        compose(data, source="rialto.test", root=PAYMENT, key="pay_x", shard=7, time=START, sequence=1).read(Paid)
        == data
    )


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"null", b"[]", b'"x"', b"\xff", b"{}", b'{"payment_id": "pay_1", "amount_minor": "swordfish"}'],
)
def test_a_payload_that_does_not_fit_is_malformed_and_its_values_are_not_told(data: bytes) -> None:
    with pytest.raises(MalformedEvent) as caught:
        paid()._replace(data=data).read(Paid)
    assert "swordfish" not in caught.value.detail
    assert "rialto.test.paid.v1" in caught.value.detail
    assert caught.value.retryable is False
