"""Fraud or compliance gives no sign of life: nothing is waved through, and what came late still counts."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from .conftest import ASSESSMENT_DEADLINE_SECONDS
from .running import Rialto
from .shop import Shop, uuid_of


def line_of(payment: dict[str, Any], event: str) -> dict[str, Any]:
    """The only line of a timeline with this event."""
    (line,) = (line for line in payment["timeline"] if line["event"] == event)
    return dict(line)


@pytest.mark.parametrize(("silent", "verdict"), [("fraud", "fraud.assessed"), ("compliance", "compliance.screened")])
def test_payments_wait_then_stand_in_review_and_late_verdicts_release_them(
    rialto: Rialto, shop: Shop, silent: str, verdict: str
) -> None:
    wallet = shop.wallet(10_000)
    with rialto.frozen(silent) as pid:
        ids = [shop.pay(wallet, 100) for _ in range(4)]
        for payment_id in ids:
            payment = shop.get(payment_id)
            assert payment["status"] in ("created", "review")
            # Whatever else may be: neither the other assessor's yes nor the time may let it pass.
            payment = shop.until(payment_id, "review")
            assert payment["status_reason"] == "assessment_missing"
            waited = datetime.fromisoformat(line_of(payment, "deadline.passed")["at"]) - datetime.fromisoformat(
                payment["created_at"]
            )
            assert waited >= timedelta(seconds=ASSESSMENT_DEADLINE_SECONDS)
            assert {line["status"] for line in payment["timeline"]} == {"created", "review"}
        assert rialto.rows("SELECT 1 FROM ledger.holds WHERE payment_id = ANY (%s)", [[*map(uuid_of, ids)]]) == []
        assert shop.balances(wallet) == (10_000, 10_000)
        # A person need not wait for it: one is declined, one approved.
        declined, approved, *left = ids
        assert shop.review(declined, "decline")["status"] == "declined"
        shop.review(approved, "approve")
        shop.until(approved, "settled")
        assert [shop.get(payment_id)["status"] for payment_id in left] == ["review"] * len(left)

    for payment_id in left:
        payment = shop.until(payment_id, "settled")
        assert datetime.fromisoformat(line_of(payment, verdict)["at"]) > datetime.fromisoformat(
            line_of(payment, "deadline.passed")["at"]
        )
    assert shop.get(declined)["status"] == "declined", "the late verdict does not undo a person's decision"
    assert shop.balances(wallet) == (9_700, 9_700)
    assert rialto.pids()[silent] == pid, "only a process that ended is started again, not one that is silent"


def test_the_books_hold_after_the_silence(rialto: Rialto) -> None:
    rialto.check_books()
