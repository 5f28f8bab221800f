"""What a person types is understood, or answered with what is wrong with it."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_cli.errors import OperatorError
from rialto_cli.events.port import Entry, Place, Want
from rialto_cli.events.selection import EVERY_TOPIC, id_of, model_of, short, span_of, topics_of, types_of, want_of
from rialto_common import ids
from rialto_common.events import MODELS
from rialto_common.events.asyncapi import examples
from rialto_common.events.common import LEDGER, PAYMENTS
from rialto_common.events.payments import PaymentCreated
from rialto_common.testing import START, root_of

PAYMENT, MERCHANT = ids.to_text("pay", root_of(1)), ids.to_text("mer", root_of(2))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.type)
def test_every_type_has_a_short_name_of_its_own(model: type[PaymentCreated]) -> None:
    assert types_of([short(model.type)]) == types_of([model.type]) == frozenset({model.type})
    assert model_of(short(model.type)) is model


def test_types_may_be_named_by_patterns_and_in_capitals() -> None:
    kinds = ("placed", "captured", "increased", "increase_refused", "voided", "expired")
    holds = frozenset(f"rialto.hold.{name}.v1" for name in kinds)
    assert types_of(["hold.*"]) == holds
    assert types_of(["HOLD.*", "payment.created"]) == holds | {"rialto.payment.created.v1"}
    assert types_of(["*"]) == frozenset(model.type for model in MODELS)
    assert types_of([]) is None


def test_a_type_that_is_none_is_answered_with_the_nearest() -> None:
    with pytest.raises(OperatorError, match=r"There is no event type payment.creatd: perhaps payment.created is meant"):
        types_of(["payment.creatd"])
    with pytest.raises(OperatorError, match="nothing here is called so"):
        types_of(["zzzzzz"])
    with pytest.raises(OperatorError, match=r"hold\.\* is more than one event type: it fits hold.captured, "):
        model_of("hold.*")


def test_topics_may_be_named_in_short() -> None:
    assert topics_of([]) == EVERY_TOPIC
    assert topics_of(["payments", PAYMENTS, "Ledger", "ledger.dlq"]) == (PAYMENTS, LEDGER, LEDGER + ".dlq")
    with pytest.raises(OperatorError, match="There is no topic ledgr: perhaps ledger is meant"):
        topics_of(["ledgr"])


@given(st.integers(0, 2**128 - 1))
def test_an_id_is_read_with_its_prefix_without_it_and_as_a_uuid(number: int) -> None:
    text = ids.to_text("pay", UUID(int=number))
    assert id_of("pay", f" {text}\n") == id_of("pay", text.removeprefix("pay_")) == id_of("pay", str(UUID(int=number)))
    assert id_of("pay", text) == text


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (MERCHANT, "it is the id of a merchant"),
        ("abc_" + PAYMENT[4:], "it begins with abc_ and not pay_"),
        (PAYMENT[:-1], "it has 25 characters after the prefix, and must have 26"),
        (PAYMENT[4:-1], "it has 25 characters after the prefix, and must have 26"),
        (PAYMENT + "0", "it has 27 characters after the prefix, and must have 26"),
        (PAYMENT[:-2] + "oU", "an id has no U o: only digits and small letters, without i, l, o and u"),
        ("pay_" + "z" * 26, "it is too large for an id"),
        ("", "it has 0 characters after the prefix, and must have 26"),
        ("pay_", "it has 0 characters after the prefix, and must have 26"),
    ],
)
def test_what_is_no_payment_is_answered_with_what_is_wrong(given: str, why: str) -> None:
    with pytest.raises(OperatorError) as caught:
        id_of("pay", given)
    assert caught.value.why == why
    assert caught.value.what.endswith("is not the id of a payment")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), (" 5M ", 300)]
)
def test_a_span_of_time_is_read(text: str, seconds: int) -> None:
    assert span_of(text) == timedelta(seconds=seconds)


def test_a_span_longer_than_any_log_is_shortened() -> None:
    assert span_of("999999999d") == timedelta(days=3650)


@pytest.mark.parametrize("text", ["", "10", "m", "5x", "-5m", "1.5h", "5 m", "m5", "10minutes"])
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="is not a span of time"):
        span_of(text)


def test_a_merchant_is_asked_for_with_its_shard() -> None:
    want = want_of(["payment.*"], None, MERCHANT)
    assert (want.merchant, want.shard) == (MERCHANT, ids.shard_of(root_of(2)))
    assert want_of([], None, None) == Want()


def test_what_is_no_event_is_shown_only_to_who_asks_for_everything() -> None:
    strange = Entry(Place(PAYMENTS, 0), 1, START, None, "no key")
    assert Want().takes(strange)
    assert not Want(story=PAYMENT).takes(strange)
    assert not Want(types=frozenset(examples())).takes(strange)
