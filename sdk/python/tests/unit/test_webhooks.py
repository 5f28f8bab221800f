"""Verifying webhooks, judged by the reference library of Standard Webhooks."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

import rialto
from rialto import webhooks

NOW = 1_772_323_200
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "type": "payment.captured",
    "timestamp": "2026-03-01T00:00:00Z",
    "data": {"id": "pay_1", "object": "payment", "status": "captured", "amount_minor": "1250", "sequence": 3},
}
BODY = json.dumps(EVENT).encode()

keys = st.binary(min_size=1, max_size=64)
texts = st.text(st.characters(codec="utf-8"), max_size=200)
ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=40)


def secret_of(key: bytes) -> str:
    """Return a secret as it is written."""
    return "whsec_" + base64.b64encode(key).decode()


SECRET, NEXT = secret_of(b"the one before"), secret_of(b"the one after")


def reason(body: bytes, headers: dict[str, str], secrets: Any = SECRET, **options: Any) -> str:
    """Return why a message is not believed."""
    with pytest.raises(rialto.WebhookVerificationError) as caught:
        webhooks.verify(body, headers, secrets, **{"now": NOW, **options})
    return caught.value.reason


def headers(secret: str = SECRET, body: bytes = BODY, timestamp: int = NOW) -> dict[str, str]:
    """Return a message's headers."""
    return webhooks.sign(body, secret, message_id="msg_1", timestamp=timestamp)


@given(key=keys, text=texts, message_id=ids)
def test_the_reference_library_believes_what_we_sign(key: bytes, text: str, message_id: str) -> None:
    secret, now = secret_of(key), int(datetime.now(UTC).timestamp())
    signed = webhooks.sign(json.dumps(text), secret, message_id=message_id, timestamp=now)
    assert Webhook(secret).verify(json.dumps(text), signed) == text


@given(key=keys, message_id=ids)
def test_we_believe_what_the_reference_library_signs(key: bytes, message_id: str) -> None:
    secret, at = secret_of(key), datetime.fromtimestamp(NOW, UTC)
    signature = Webhook(secret).sign(message_id, at, BODY.decode())
    told = {"Webhook-Id": message_id, "Webhook-Timestamp": str(NOW), "Webhook-Signature": signature}
    event = webhooks.verify(BODY, told, secret, now=NOW)
    assert (event.id, event.type, event.data.amount_minor, event.data.sequence) == (
        "evt_1",
        "payment.captured",
        1250,
        3,
    )
    assert event.created_at == datetime(2026, 3, 1, tzinfo=UTC)


@given(place=st.integers(0, len(BODY) - 1), flip=st.integers(1, 255))
def test_no_byte_can_be_changed(place: int, flip: int) -> None:
    changed = bytearray(BODY)
    changed[place] ^= flip
    assert reason(bytes(changed), headers()) == "signature_mismatch"


def test_the_reference_library_refuses_it_too() -> None:
    now = int(datetime.now(UTC).timestamp())
    with pytest.raises(WebhookVerificationError):
        Webhook(NEXT).verify(BODY, headers(timestamp=now))


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_id_and_time_are_signed(name: str) -> None:
    assert reason(BODY, headers() | {name: "1772323201"}) == "signature_mismatch"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_no_header_may_be_missing(name: str) -> None:
    assert reason(BODY, {key: value for key, value in headers().items() if key != name}) == "header_missing"
    assert reason(BODY, headers() | {name: ""}) == "header_missing"


def test_while_a_secret_is_exchanged_either_side_may_have_both() -> None:
    for signer in (SECRET, NEXT):
        assert webhooks.verify(BODY, headers(signer), [NEXT, SECRET], now=NOW).id == "evt_1"
    both = f"{headers(NEXT)['webhook-signature']} {headers()['webhook-signature']}"
    for known in (SECRET, NEXT):
        assert webhooks.verify(BODY, headers() | {"webhook-signature": both}, known, now=NOW).id == "evt_1"
    assert reason(BODY, headers(NEXT)) == "signature_mismatch"


@pytest.mark.parametrize("signature", ["v1", "v1,", "v1a,AAAA", "v2,{}", ",{}", "{}", "v1,ä", "v1 {}", "\ud800"])
def test_other_schemes_and_broken_signatures_are_not_believed(signature: str) -> None:
    good = headers()["webhook-signature"].removeprefix("v1,")
    assert reason(BODY, headers() | {"webhook-signature": signature.format(good)}) == "signature_mismatch"


def test_a_message_is_believed_for_as_long_as_the_tolerance() -> None:
    for timestamp in (NOW - 300, NOW, NOW + 300):
        assert webhooks.verify(BODY, headers(timestamp=timestamp), SECRET, now=NOW).id == "evt_1"
    assert reason(BODY, headers(timestamp=NOW - 301)) == "too_old"
    assert reason(BODY, headers(timestamp=NOW + 301)) == "too_new"
    assert reason(BODY, headers(timestamp=NOW - 11), tolerance_seconds=10) == "too_old"
    assert reason(BODY, headers(), now=None) in ("too_old", "too_new")


@pytest.mark.parametrize("timestamp", ["soon", "-5", "1e3", "1772323200.5", "\u0661\u0667", "9" * 13])
def test_a_time_is_whole_seconds(timestamp: str) -> None:
    assert reason(BODY, headers() | {"webhook-timestamp": timestamp}) == "timestamp_invalid"


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"type": "payment.captured"}', b"\xff"])
def test_what_is_signed_and_no_event_is_said_to_be_that(body: bytes) -> None:
    assert reason(body, headers(body=body)) == "body_malformed"


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!", "not base64 at all"])
def test_a_secret_that_is_none_is_the_callers_mistake(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        webhooks.verify(BODY, headers(), secret)


def test_no_secret_opens_nothing() -> None:
    with pytest.raises(ValueError, match="no secret"):
        webhooks.verify(BODY, headers(), [])


def test_a_made_up_message_is_marked_as_one() -> None:
    body = json.dumps(EVENT | {"test": True}).encode()
    assert webhooks.verify(body, headers(body=body), SECRET, now=NOW).test
