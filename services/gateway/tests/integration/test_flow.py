"""A payment's way through its states, by events on the bus, with the real ledger."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from rialto_common.events import settlements

from .platform_in_process import Died, Merchant, Platform, facts_of, settlement_of


async def test_a_payment_goes_all_the_way(platform: Platform, merchant: Merchant) -> None:
    payment = await platform.pay(merchant)
    assert payment["status"] == "created"
    await platform.hear(platform.assessed(payment), platform.screened(payment))
    assert (await platform.get(merchant, payment["id"]))["status"] == "approved"
    await platform.ask_ledger()
    authorised = await platform.get(merchant, payment["id"])
    assert (authorised["status"], authorised["captures"][0]["status"]) == ("authorised", "pending")
    await platform.ask_ledger()
    captured = await platform.get(merchant, payment["id"])
    assert (captured["status"], captured["amount_captured_minor"]) == ("captured", "1250")
    await platform.hear(platform.confirmed(payment))
    settled = await platform.get(merchant, payment["id"])
    assert (settled["status"], settled["deadline_at"]) == ("settled", None)
    assert settled["captures"][0]["status"] == "succeeded"
    assert settled["settlement"]["id"] == settlement_of(payment)
    assert [line["status"] for line in settled["timeline"]] == [
        "created", "created", "approved", "authorised", "captured", "settled"
    ]  # fmt: skip
    wallet = (await platform.call("GET", f"/v1/wallets/{merchant.wallet_id}", key=merchant.test_key)).json()
    assert wallet["ledger_balance_minor"] == wallet["available_balance_minor"] == "998750"


async def test_every_event_twice_and_the_other_services_in_other_orders_end_the_same(
    platform: Platform, merchant: Merchant
) -> None:
    one, other = [await platform.pay(merchant) for _ in range(2)]
    for payment, verdicts in (
        (one, [platform.assessed(one), platform.screened(one)]),
        (other, [platform.screened(other), platform.assessed(other)]),
    ):
        await platform.hear(*verdicts, *verdicts)
        await platform.hear(*verdicts[::-1])
        assert (await platform.get(merchant, payment["id"]))["status"] == "approved"
    for _ in range(2):
        await platform.ask_ledger()
        await platform.gateway.bus.rewind("gateway", ["rialto.fraud.v1", "rialto.compliance.v1", "rialto.ledger.v1"])
        platform.runtime.ahead += timedelta(seconds=3)  # when a member claims its partitions again
        await platform.gateway.steps["consumer-gateway"]()
    ends = [await platform.get(merchant, payment["id"]) for payment in (one, other)]
    assert [(end["status"], end["amount_captured_minor"]) for end in ends] == [("captured", "1250")] * 2
    assert [len(end["timeline"]) for end in ends] == [5, 5]


async def test_too_little_money_declines_with_the_ledgers_reason(platform: Platform, merchant: Merchant) -> None:
    payment = await platform.pay(merchant, amount_minor=2_000_000)
    await platform.decide(payment)
    declined = await platform.get(merchant, payment["id"])
    assert (declined["status"], declined["decline_code"]) == ("declined", "insufficient_funds")


async def test_parts_are_captured_and_the_rest_given_back(platform: Platform, merchant: Merchant) -> None:
    payment = await platform.pay(merchant, capture_method="manual")
    await platform.decide(payment)
    path = f"/v1/payments/{payment['id']}"
    for amount in ("300", "200"):
        answer = await platform.call("POST", f"{path}/capture", {"amount_minor": amount}, key=merchant.test_key)
        assert answer.status_code == 200, answer.text
    refused = await platform.call("POST", f"{path}/void", key=merchant.test_key)
    assert (refused.status_code, refused.json()["code"]) == (409, "payment_not_voidable")
    await platform.ask_ledger()
    assert (await platform.get(merchant, payment["id"]))["amount_capturable_minor"] == "750"
    assert (await platform.call("POST", f"{path}/void", key=merchant.test_key)).status_code == 200
    assert (await platform.call("POST", f"{path}/void", key=merchant.test_key)).status_code == 200
    await platform.ask_ledger()
    captured = await platform.get(merchant, payment["id"])
    assert (captured["status"], captured["amount_captured_minor"]) == ("captured", "500")
    wallet = (await platform.call("GET", f"/v1/wallets/{merchant.wallet_id}", key=merchant.test_key)).json()
    assert wallet["ledger_balance_minor"] == wallet["available_balance_minor"] == "999500"


async def test_a_silent_assessment_leads_to_review_and_a_late_one_out_of_it(
    platform: Platform, merchant: Merchant
) -> None:
    payment = await platform.pay(merchant)
    await platform.hear(platform.assessed(payment))
    await platform.sweep()
    assert (await platform.get(merchant, payment["id"]))["status"] == "created"
    platform.runtime.ahead = timedelta(seconds=31)
    await platform.sweep()
    review = await platform.get(merchant, payment["id"])
    assert (review["status"], review["status_reason"]) == ("review", "assessment_missing")
    await platform.hear(platform.screened(payment))
    assert (await platform.get(merchant, payment["id"]))["status"] == "approved"


async def test_a_review_is_decided_by_the_operator_once(platform: Platform, merchant: Merchant) -> None:
    payment = await platform.pay(merchant)
    await platform.hear(platform.assessed(payment, "review"), platform.screened(payment))
    path = f"/v1/payments/{payment['id']}/review"
    assert (await platform.call("POST", path, {"decision": "approve"}, key=merchant.test_key)).status_code == 403
    approved = await platform.call("POST", path, {"decision": "approve"})
    assert (approved.status_code, approved.json()["status"]) == (200, "approved")
    again = await platform.call("POST", path, {"decision": "decline"})
    assert (again.status_code, again.json()["code"]) == (409, "payment_not_in_review")


async def test_a_silent_ledger_leads_to_unknown_and_its_answer_to_failed(
    platform: Platform, merchant: Merchant
) -> None:
    payment = await platform.pay(merchant)
    await platform.hear(platform.assessed(payment), platform.screened(payment))
    platform.runtime.ahead = timedelta(seconds=61)
    await platform.sweep()
    assert (await platform.get(merchant, payment["id"]))["status"] == "unknown"
    await platform.ask_ledger()  # places the hold, then releases it
    failed = await platform.get(merchant, payment["id"])
    assert (failed["status"], failed["status_reason"]) == ("failed", "ledger_did_not_answer")
    wallet = (await platform.call("GET", f"/v1/wallets/{merchant.wallet_id}", key=merchant.test_key)).json()
    assert wallet["available_balance_minor"] == "1000000"


async def test_an_authorisation_nobody_captures_expires_and_its_money_is_free(
    platform: Platform, merchant: Merchant
) -> None:
    payment = await platform.pay(merchant, capture_method="manual")
    await platform.decide(payment)
    platform.runtime.ahead = timedelta(days=7, minutes=2)
    await platform.sweep()
    await platform.ask_ledger()
    expired = await platform.get(merchant, payment["id"])
    assert (expired["status"], expired["amount_capturable_minor"]) == ("expired", "0")
    late = await platform.call("POST", f"/v1/payments/{payment['id']}/capture", key=merchant.test_key)
    assert (late.status_code, late.json()["code"]) == (409, "payment_not_capturable")


async def test_a_settlement_that_is_overdue_is_asked_for_again_and_then_settles(
    platform: Platform, merchant: Merchant, superuser: "asyncpg.Connection[Any]"
) -> None:
    payment = await platform.pay(merchant)
    await platform.decide(payment)
    await platform.ask_ledger()
    fields = facts_of(payment) | {"settlement_id": settlement_of(payment), "code": "token_paused", "detail": ""}
    await platform.hear(platform.say("chain_bridge", settlements.SettlementFailed.model_validate(fields)))
    platform.runtime.ahead = timedelta(minutes=11)
    await platform.sweep()
    await platform.sweep()
    waiting = await platform.get(merchant, payment["id"])
    assert (waiting["status"], waiting["status_reason"]) == ("captured", "token_paused")
    asked = await superuser.fetch("SELECT event_id FROM bus.log WHERE type = 'rialto.settlement.requested.v1'")
    assert len({row["event_id"] for row in asked}) == len(asked) == 2
    await platform.hear(platform.confirmed(payment))
    assert (await platform.get(merchant, payment["id"]))["status"] == "settled"


async def test_deadlines_and_verdicts_at_the_same_moment_make_one_decision(
    platform: Platform, merchant: Merchant, superuser: "asyncpg.Connection[Any]"
) -> None:
    payments = [await platform.pay(merchant, amount_minor=100 + n) for n in range(20)]
    platform.runtime.ahead = timedelta(seconds=31)
    await platform.publish(*(event for p in payments for event in (platform.assessed(p), platform.screened(p))))
    await asyncio.gather(platform.gateway.steps["consumer-gateway"](), platform.sweep(), platform.sweep())
    await platform.gateway.steps["consumer-gateway"]()
    states = {(await platform.get(merchant, payment["id"]))["status"] for payment in payments}
    assert states == {"approved"}
    approvals = await superuser.fetch("SELECT key FROM bus.log WHERE type = 'rialto.payment.approved.v1'")
    assert sorted(row["key"] for row in approvals) == sorted(payment["id"] for payment in payments)


async def test_a_payment_that_cannot_move_on_holds_up_no_other(
    platform: Platform, merchant: Merchant, superuser: "asyncpg.Connection[Any]"
) -> None:
    stuck, *others = [await platform.pay(merchant, description=text) for text in ("stuck", "a", "b")]
    bug = "CHECK (description <> 'stuck' OR state = 'created') NOT VALID"
    await superuser.execute(f"ALTER TABLE gateway.payments ADD CONSTRAINT a_bug {bug}")
    platform.runtime.ahead = timedelta(seconds=31)
    await platform.sweep()
    states = [(await platform.get(merchant, payment["id"]))["status"] for payment in (stuck, *others)]
    assert states == ["created", "review", "review"]

    await superuser.execute("ALTER TABLE gateway.payments DROP CONSTRAINT a_bug")
    platform.runtime.ahead = timedelta(seconds=62)
    await platform.sweep()
    assert (await platform.get(merchant, stuck["id"]))["status"] == "review"


async def test_a_poison_event_parks_its_payment_and_no_other(
    platform: Platform, merchant: Merchant, superuser: "asyncpg.Connection[Any]"
) -> None:
    one, other = [await platform.pay(merchant) for _ in range(2)]
    poison = platform.assessed(one)._replace(data=b'{"payment_id":"nonsense"}')
    await platform.hear(poison, platform.assessed(other), platform.screened(other))
    await platform.hear(platform.screened(one))
    assert (await platform.get(merchant, one["id"]))["status"] == "created"
    assert (await platform.get(merchant, other["id"]))["status"] == "approved"
    parked = await superuser.fetch("SELECT key, error FROM gateway.dead_letters ORDER BY sequence")
    assert [row["key"] for row in parked] == [one["id"]] * 2
    assert parked[0]["error"].startswith("event_malformed")


async def test_an_event_about_no_payment_of_ours_is_set_aside(
    platform: Platform, merchant: Merchant, superuser: "asyncpg.Connection[Any]"
) -> None:
    payment = await platform.pay(merchant)
    nobody = payment | {"id": "pay_" + payment["id"][4:-4] + "0000"}
    await platform.hear(platform.assessed(nobody))
    assert await superuser.fetchval("SELECT error FROM gateway.dead_letters") is not None


@pytest.mark.parametrize("outcome", ["block", "review"])
async def test_the_other_verdicts_are_told_to_the_merchant(
    platform: Platform, merchant: Merchant, outcome: str
) -> None:
    payment = await platform.pay(merchant)
    await platform.hear(platform.screened(payment, outcome), platform.assessed(payment))
    end = await platform.get(merchant, payment["id"])
    told = (end["status"], end["decline_code"], end["status_reason"])
    blocked, held = ("declined", "sanctions_hit", None), ("review", None, "compliance_review")
    assert told == (blocked if outcome == "block" else held)


async def raise_to(platform: Platform, merchant: Merchant, payment: dict[str, Any], amount: str, **headers: str) -> Any:
    path = f"/v1/payments/{payment['id']}/increments"
    return await platform.call("POST", path, {"amount_minor": amount}, key=merchant.test_key, **headers)


async def test_a_tab_is_raised_captured_in_full_and_says_how_it_came_about(
    platform: Platform, merchant: Merchant
) -> None:
    payment = await platform.pay(merchant, capture_method="manual")
    await platform.decide(payment)
    key = platform.new_key()
    first, again = [await raise_to(platform, merchant, payment, "1800", Idempotency_Key=key) for _ in range(2)]
    assert (first.status_code, first.json(), again.headers["idempotency-replayed"]) == (200, again.json(), "true")
    assert (first.json()["amount_minor"], first.json()["increments"][0]["status"]) == ("1250", "pending")
    other = await raise_to(platform, merchant, payment, "1850")
    assert (other.status_code, other.json()["code"]) == (409, "increment_under_way")
    await platform.ask_ledger()
    raised = await platform.get(merchant, payment["id"])
    assert (raised["status"], raised["amount_minor"], raised["amount_capturable_minor"]) == (
        "authorised",
        "1800",
        "1800",
    )
    [increment] = raised["increments"]
    assert increment["id"].startswith("inc_")
    assert (increment["amount_before_minor"], increment["amount_minor"], increment["status"]) == (
        "1250",
        "1800",
        "succeeded",
    )
    assert raised["timeline"][-1]["event"] == "hold.increased"
    assert raised["timeline"][-1]["cause"] is not None
    wallet = (await platform.call("GET", f"/v1/wallets/{merchant.wallet_id}", key=merchant.test_key)).json()
    assert wallet["available_balance_minor"] == "998200"
    for amount, status, code in (
        ("1800", 400, "increment_not_above_amount"),
        ("1876", 400, "increment_above_limit"),
    ):
        refused = await raise_to(platform, merchant, payment, amount)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    path = f"/v1/payments/{payment['id']}/capture"
    assert (await platform.call("POST", path, key=merchant.test_key)).status_code == 200
    closed = await raise_to(platform, merchant, payment, "1850")
    assert (closed.status_code, closed.json()["code"]) == (409, "payment_not_incrementable")
    await platform.ask_ledger()
    captured = await platform.get(merchant, payment["id"])
    assert (captured["status"], captured["amount_captured_minor"]) == ("captured", "1800")


async def test_an_increment_that_the_wallet_cannot_pay_leaves_the_authorisation_as_it_was(
    platform: Platform, merchant: Merchant
) -> None:
    payment = await platform.pay(merchant, capture_method="manual", amount_minor=900_000)
    await platform.decide(payment)
    assert (await raise_to(platform, merchant, payment, "999999")).status_code == 200
    waiting = await platform.call(
        "POST", f"/v1/payments/{payment['id']}/capture", {"amount_minor": "100"}, key=merchant.test_key
    )
    assert waiting.status_code == 200, "a part of what is certain is captured behind it"
    unnamed = await platform.call("POST", f"/v1/payments/{payment['id']}/capture", key=merchant.test_key)
    assert (unnamed.status_code, unnamed.json()["code"]) == (409, "increment_under_way")
    await platform.ask_ledger()
    raised = await platform.get(merchant, payment["id"])
    assert (raised["amount_minor"], raised["amount_captured_minor"]) == ("999999", "100")
    small, other = [await platform.pay(merchant, capture_method="manual", amount_minor=amount) for amount in (1, 1)]
    await platform.decide(small)
    assert (await platform.get(merchant, small["id"]))["status"] == "authorised"
    await platform.decide(other)
    assert (await platform.get(merchant, other["id"]))["status"] == "declined"
    path = f"/v1/payments/{payment['id']}"
    assert (await platform.call("POST", f"{path}/void", key=merchant.test_key)).status_code == 200
    await platform.ask_ledger()
    assert (await platform.get(merchant, payment["id"]))["amount_captured_minor"] == "100"


async def test_the_ledgers_refusal_of_an_increment_is_its_failure(platform: Platform, merchant: Merchant) -> None:
    payment = await platform.pay(merchant, capture_method="manual", amount_minor=700_000)
    await platform.decide(payment)
    rest = await platform.pay(merchant, capture_method="manual", amount_minor=299_000)
    await platform.decide(rest)
    assert (await raise_to(platform, merchant, payment, "702000")).status_code == 200
    await platform.ask_ledger()
    left = await platform.get(merchant, payment["id"])
    assert (left["status"], left["amount_minor"], left["amount_capturable_minor"]) == ("authorised", "700000", "700000")
    assert (left["increments"][0]["status"], left["increments"][0]["failure_code"]) == ("failed", "insufficient_funds")
    assert (await raise_to(platform, merchant, payment, "701000")).status_code == 200
    await platform.ask_ledger()
    assert (await platform.get(merchant, payment["id"]))["amount_minor"] == "701000"


@pytest.mark.parametrize("point", ["gateway.increment.before_commit", "gateway.increment.after_commit"])
async def test_an_increment_that_dies_at_any_point_is_made_once_by_its_retry(
    platform: Platform, merchant: Merchant, point: str
) -> None:
    payment = await platform.pay(merchant, capture_method="manual")
    await platform.decide(payment)
    platform.runtime.dies_at = point
    with pytest.raises(Died):
        await raise_to(platform, merchant, payment, "1800", Idempotency_Key="one")
    platform.runtime.ahead += timedelta(seconds=120)  # past the lease of the request that died
    again = await raise_to(platform, merchant, payment, "1800", Idempotency_Key="one")
    assert again.status_code == 200, again.text
    await platform.ask_ledger()
    raised = await platform.get(merchant, payment["id"])
    assert (raised["amount_minor"], len(raised["increments"])) == ("1800", 1)
