"""Dated versions: an answer goes back through the changes since a version, and what was kept from where it stands."""

from typing import Any

import orjson
import pytest

from rialto_gateway import versions
from rialto_gateway.answers import json_answer
from rialto_gateway.versions import AsShown, Change, VersionUnknown, down, known
from rialto_gateway.webhooks.messages import in_version

OLD, LATER, LAST = versions.LATEST, "2027-01-01", "2027-06-01"


def renamed(before: str, after: str, version: str) -> Change:
    """A version that gave a payment's field another name."""

    def down(answer: dict[str, Any]) -> dict[str, Any]:
        return {before if name == after else name: value for name, value in answer.items()}

    return Change(version, "payment", down, dict)


@pytest.fixture(autouse=True)
def _changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two more versions: `state` became `phase`, then `status`."""
    changes = (*versions.CHANGES, renamed("state", "phase", LATER), renamed("phase", "status", LAST))
    monkeypatch.setattr(versions, "CHANGES", changes)
    monkeypatch.setattr(versions, "VERSIONS", (*versions.VERSIONS, LATER, LAST))
    monkeypatch.setattr(versions, "LATEST", LAST)


PAYMENT = {"object": "payment", "id": "pay_1", "status": "captured"}


def test_an_answer_is_brought_down_change_by_change_and_so_is_what_is_within_it() -> None:
    assert down(PAYMENT, LAST) == PAYMENT
    assert down(PAYMENT, LATER) == {"object": "payment", "id": "pay_1", "phase": "captured"}
    older = {"object": "payment", "id": "pay_1", "state": "captured"}
    assert down(PAYMENT, OLD) == older
    assert down({"object": "list", "data": [{"object": "refund", "payment": PAYMENT}]}, OLD) == {
        "object": "list",
        "data": [{"object": "refund", "payment": older}],
    }


def test_what_was_kept_in_an_older_version_is_brought_down_from_there_and_never_up() -> None:
    kept = {"object": "payment", "id": "pay_1", "phase": "captured"}
    assert down(kept, OLD, LATER) == {"object": "payment", "id": "pay_1", "state": "captured"}
    assert down(kept, LATER, LATER) == down(kept, LAST, LATER) == kept


def test_what_is_as_it_is_to_be_shown_is_left_alone() -> None:
    token = versions.CURRENT.set(OLD)
    try:
        shown = json_answer({"object": "event", "data": AsShown(PAYMENT), "payment": PAYMENT}).body
    finally:
        versions.CURRENT.reset(token)
    assert orjson.loads(shown) == {"object": "event", "data": PAYMENT, "payment": down(PAYMENT, OLD)}


def test_a_message_is_the_same_bytes_every_time_and_untouched_in_its_own_version() -> None:
    body = orjson.dumps({"type": "payment.captured", "timestamp": "2026-03-01T00:00:00Z", "data": PAYMENT}).decode()
    assert in_version(body, LAST, LAST) == body
    first, again = in_version(body, OLD, LAST), in_version(body, OLD, LAST)
    assert first == again == body.replace('"status"', '"state"')
    assert in_version(first, LAST, OLD) == first


def test_a_version_that_is_not_known_is_refused_by_where_it_was_named() -> None:
    assert known(LATER) == LATER
    with pytest.raises(VersionUnknown) as refusal:
        known("2025-01-01", "api_version")
    assert (refusal.value.code, refusal.value.param) == ("version_unknown", "api_version")
