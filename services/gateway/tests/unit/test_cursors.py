"""Cursors and `expand[]`: what was not given out is refused."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common.errors import CursorInvalid
from rialto_gateway.cursors import NEWEST, Cursors, Place
from rialto_gateway.expand import MOST_PATHS, OF_PAYMENT, OF_PAYMENTS, ExpandInvalid, read_expand
from rialto_gateway.merchants.keys import KeyNotAllowed, Principal

EVERYTHING = Principal(UUID(int=1), "test", "0x")
CURSORS = Cursors(bytes(range(32)))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SINCE = st.timedeltas(timedelta(), timedelta(days=80_000))
PLACES = st.builds(Place, SINCE.map(lambda since: EPOCH + since), st.uuids())


@given(PLACES)
def test_a_cursor_leads_back_to_its_place(place: Place) -> None:
    assert CURSORS.read(CURSORS.write(place, "events/a"), "events/a") == place


@given(PLACES, st.integers(0, 35), st.integers(1, 255))
def test_a_cursor_that_was_altered_or_is_anothers_is_refused(place: Place, nth: int, change: int) -> None:
    text = CURSORS.write(place, "events/a")
    raw = bytearray(urlsafe_b64decode(text))
    raw[nth] ^= change
    for forged, context in ((urlsafe_b64encode(raw).decode(), "events/a"), (text, "events/b")):
        with pytest.raises(CursorInvalid):
            CURSORS.read(forged, context)
    with pytest.raises(CursorInvalid):
        Cursors(bytes(32)).read(text, "events/a")


@pytest.mark.parametrize("text", ["", "x", "====", "é", "AAAA", "A" * 47, "A" * 48, "\x00", "A" * 10_000])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorInvalid):
        CURSORS.read(text, "events/a")


def test_without_a_cursor_the_list_begins_with_the_newest() -> None:
    assert CURSORS.read(None, "events/a") == NEWEST


@pytest.mark.parametrize("path", ["", "payment.", "data.payment.merchant", "data", "payment[]", "data.payment " * 20])
def test_a_path_that_is_not_offered_is_refused_by_its_code(path: str) -> None:
    with pytest.raises(ExpandInvalid) as refusal:
        read_expand([path], {"data.payment": "payments"}, EVERYTHING)
    assert refusal.value.code == "expand_invalid"
    assert len(refusal.value.detail) < 200


def test_what_is_offered_is_expanded_and_only_so_much_at_once() -> None:
    assert read_expand(["a", "a"], {"a": "payments", "b": "payouts"}, EVERYTHING) == {"a"}
    with pytest.raises(ExpandInvalid):
        read_expand(["a"] * (MOST_PATHS + 1), {"a": "payments"}, EVERYTHING)


@pytest.mark.parametrize("path", sorted(OF_PAYMENT))
def test_a_restricted_key_expands_what_its_scopes_reach_and_nothing_else(path: str) -> None:
    def key(*scopes: str) -> Principal:
        return Principal(UUID(int=1), "test", "0x", "restricted", frozenset(scopes))

    resource = OF_PAYMENT[path]
    assert read_expand([path], OF_PAYMENT, key(f"{resource}:read")) == {path}
    assert read_expand([f"data.{path}"], OF_PAYMENTS, key(f"{resource}:write")) == {f"data.{path}"}
    with pytest.raises(KeyNotAllowed, match=f"{resource}:read"):
        read_expand([path], OF_PAYMENT, key("payments:read", "events:read"))
