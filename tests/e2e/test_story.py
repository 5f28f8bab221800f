"""A payment's whole way, as its merchant, the operator, the books and the chain see it."""

import json
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from .chain import TOKEN_UNITS_PER_CENT, Chain, Paid
from .receiver import Received, Receiver
from .running import Rialto, eventually
from .shop import Shop, done, keyed, uuid_of

LISTED_NAME = "Zorvanth Quexelbraum"
"""fx-001 of the compliance service's fixture list."""


def entries(rialto: Rialto, payment_id: str) -> dict[str, list[tuple[str, str, int, str]]]:
    """A payment's journal entries: kind → lines of (account, side, amount, currency)."""
    found: dict[str, list[tuple[str, str, int, str]]] = {}
    for row in rialto.rows(
        """
        SELECT e.kind, a.code, p.side, p.amount_minor, p.currency
        FROM ledger.journal_entries AS e
        JOIN ledger.postings AS p ON p.entry_id = e.id
        JOIN ledger.accounts AS a ON a.id = p.account_id
        WHERE e.payment_id = %s ORDER BY e.recorded_at, e.id, p.line
        """,
        [uuid_of(payment_id)],
    ):
        found.setdefault(row["kind"], []).append((row["code"], row["side"], int(row["amount_minor"]), row["currency"]))
    return found


def booked(shop: Shop, wallet: str, captured: list[int]) -> dict[str, list[tuple[str, str, int, str]]]:
    """What the journal holds of a settled payment with these captures."""
    payable, token = f"merchant:{shop.id}:payable", sum(captured) * TOKEN_UNITS_PER_CENT
    return {
        "capture": [
            line
            for amount in captured
            for line in (
                (f"customer:{wallet}:wallet", "debit", amount, "USD"),
                (payable, "credit", amount, "USD"),
            )
        ],
        "chain_settlement": [
            (payable, "debit", sum(captured), "USD"),
            ("fx:USD/RUSD:position", "credit", sum(captured), "USD"),
            ("fx:USD/RUSD:position", "debit", token, "RUSD"),
            ("chain:31337:RUSD:treasury", "credit", token, "RUSD"),
        ],
    }


def settled_on_chain(rialto: Rialto, shop: Shop, payment: dict[str, Any], amount_minor: int) -> None:
    """The chain paid the merchant, once, in the transaction that the payment names."""
    chain, settlement, units = Chain(rialto), payment["settlement"], amount_minor * TOKEN_UNITS_PER_CENT
    paid = Paid(uuid_of(payment["id"]), shop.address, units, settlement["tx_hash"], settlement["block_number"])
    assert chain.paid(uuid_of(payment["id"])) == [paid]
    assert (settlement["token"], settlement["token_amount"]) == ("RUSD", str(units))
    assert chain.balance(shop.address) == units


def steps(payment: dict[str, Any]) -> list[tuple[str, str]]:
    """A timeline without the two verdicts, which may come in either order."""
    lines = [(line["event"], line["status"]) for line in payment["timeline"]]
    assert {event for event, _ in lines[1:3]} == {"fraud.assessed", "compliance.screened"}
    return [lines[0], *lines[3:]]


def test_an_automatic_capture_goes_all_the_way(rialto: Rialto, shop: Shop) -> None:
    wallet = shop.wallet(10_000)
    payment = shop.until(shop.pay(wallet, 1_250), "settled")

    assert steps(payment) == [
        ("payment.created", "created"),
        ("hold.placed", "authorised"),
        ("hold.captured", "captured"),
        ("settlement.submitted", "captured"),
        ("settlement.confirmed", "settled"),
    ]
    times = [line["at"] for line in payment["timeline"]]
    assert times == sorted(times)
    assert (payment["amount_captured_minor"], payment["amount_capturable_minor"]) == ("1250", "0")
    assert [(c["amount_minor"], c["final"], c["status"]) for c in payment["captures"]] == [("1250", True, "succeeded")]
    assert payment["deadline_at"] is None
    assert shop.balances(wallet) == (8_750, 8_750)
    eventually(lambda: "chain_settlement" in entries(rialto, payment["id"]), "the ledger booked the settlement")
    assert entries(rialto, payment["id"]) == booked(shop, wallet, [1_250])
    settled_on_chain(rialto, shop, payment, 1_250)


def test_a_payment_with_a_price_is_settled_on_chain_less_the_fees_of_its_captures(rialto: Rialto, shop: Shop) -> None:
    shop.price({"method": "wallet", "currency": "USD", "bps": 290, "fixed_minor": "30"})
    wallet = shop.wallet(10_000)
    payment = shop.until(shop.pay(wallet, 5_000, capture_method="manual"), "authorised")
    shop.price()
    shop.capture(payment["id"], amount_minor="1500")
    shop.capture(payment["id"], amount_minor="2000", final=True)
    payment = shop.until(payment["id"], "settled")
    fees = [int(line["amount_minor"]) for line in payment["fees"]["lines"]]
    assert (fees, payment["fee_minor"], payment["fees"]["total_minor"]) == ([74, 58], "132", "132")
    assert shop.balances(wallet) == (6_500, 6_500)
    settled_on_chain(rialto, shop, payment, 3_500 - 132)
    eventually(lambda: "chain_settlement" in entries(rialto, payment["id"]), "the ledger booked the settlement")
    payable, books = f"merchant:{shop.id}:payable", entries(rialto, payment["id"])
    assert [line for line in books["capture"] if line[0] == "fees:income"] == [
        ("fees:income", "credit", fee, "USD") for fee in fees
    ]
    assert (payable, "debit", 3_500 - 132, "USD") in books["chain_settlement"]
    assert {each["total_minor"] for each in shop.client.get("/v1/balance").json()["data"]} == {"0"}
    rialto.check_books()


def test_every_line_of_a_timeline_names_the_event_that_caused_it(rialto: Rialto, shop: Shop) -> None:
    payment = shop.until(shop.pay(shop.wallet(500), 500), "settled")
    log = rialto.rows(
        "SELECT event_id::TEXT AS id, type, causation_id, correlation_id FROM bus.log WHERE key = %s", [payment["id"]]
    )
    types = {row["id"]: row["type"] for row in log}
    for line in payment["timeline"][1:]:
        assert types[line["cause"]] == f"rialto.{line['event']}.v1"
    assert {row["correlation_id"] for row in log} == {payment["id"]}
    assert [row["type"] for row in log if row["causation_id"] is None] == ["rialto.payment.created.v1"]
    assert {row["causation_id"] for row in log} - {None} <= set(types)


def test_a_manual_capture_waits_for_the_merchant(rialto: Rialto, shop: Shop) -> None:
    wallet = shop.wallet(10_000)
    payment = shop.until(shop.pay(wallet, 4_000, capture_method="manual"), "authorised")
    assert payment["amount_capturable_minor"] == "4000"
    assert shop.balances(wallet) == (10_000, 6_000)
    assert entries(rialto, payment["id"]) == {}

    assert shop.capture(payment["id"])["amount_captured_minor"] == "4000"
    payment = shop.until(payment["id"], "settled")
    assert shop.balances(wallet) == (6_000, 6_000)
    settled_on_chain(rialto, shop, payment, 4_000)


def test_partial_captures_are_settled_together_and_the_rest_is_given_back(rialto: Rialto, shop: Shop) -> None:
    wallet = shop.wallet(10_000)
    payment = shop.until(shop.pay(wallet, 5_000, capture_method="manual"), "authorised")
    first = shop.capture(payment["id"], amount_minor="1500")
    assert (first["status"], first["amount_captured_minor"]) == ("authorised", "1500")
    assert (first["amount_capturable_minor"], shop.balances(wallet)) == ("3500", (8_500, 5_000))

    refused = shop.client.post(
        f"/v1/payments/{payment['id']}/capture", json={"amount_minor": "3501"}, headers=keyed("above")
    )
    assert (refused.status_code, refused.json()["param"]) == (400, "amount_minor"), refused.text

    shop.capture(payment["id"], amount_minor="2000", final=True)
    payment = shop.until(payment["id"], "settled")
    assert shop.balances(wallet) == (6_500, 6_500)
    assert payment["amount_captured_minor"] == "3500"
    eventually(lambda: "chain_settlement" in entries(rialto, payment["id"]), "the ledger booked the settlement")
    assert entries(rialto, payment["id"]) == booked(shop, wallet, [1_500, 2_000])
    settled_on_chain(rialto, shop, payment, 3_500)


def test_a_void_gives_the_money_back_and_settles_nothing(rialto: Rialto, shop: Shop) -> None:
    wallet = shop.wallet(3_000)
    payment = shop.until(shop.pay(wallet, 3_000, capture_method="manual"), "authorised")
    assert shop.balances(wallet) == (3_000, 0)
    assert shop.void(payment["id"])["status"] == "voided"
    assert shop.balances(wallet) == (3_000, 3_000)
    refused = shop.client.post(f"/v1/payments/{payment['id']}/capture", json={}, headers=keyed("late"))
    assert refused.status_code == 409, refused.text
    assert entries(rialto, payment["id"]) == {}
    assert Chain(rialto).paid(uuid_of(payment["id"])) == []


def test_voiding_the_rest_after_a_capture_settles_what_was_captured(rialto: Rialto, shop: Shop) -> None:
    wallet = shop.wallet(3_000)
    payment = shop.until(shop.pay(wallet, 3_000, capture_method="manual"), "authorised")
    shop.capture(payment["id"], amount_minor="1000")
    shop.void(payment["id"])
    payment = shop.until(payment["id"], "settled")
    assert shop.balances(wallet) == (2_000, 2_000)
    settled_on_chain(rialto, shop, payment, 1_000)


def test_a_wallet_that_is_short_of_money_declines(rialto: Rialto, shop: Shop) -> None:
    wallet = shop.wallet(999)
    payment = shop.until(shop.pay(wallet, 1_000), "declined")
    assert payment["decline_code"] == "insufficient_funds"
    assert shop.balances(wallet) == (999, 999)
    assert entries(rialto, payment["id"]) == {}


def test_a_listed_name_is_declined_before_anything_is_held(rialto: Rialto, shop: Shop) -> None:
    wallet = shop.wallet(1_000)
    payment = shop.until(shop.pay(wallet, 1_000, name=LISTED_NAME), "declined")
    assert payment["decline_code"] == "sanctions_hit"
    (screening,) = rialto.rows(
        "SELECT outcome, hits FROM compliance.screenings WHERE payment_id = %s", [uuid_of(payment["id"])]
    )
    assert screening["outcome"] == "block"
    assert [hit["entity_id"] for hit in screening["hits"]] == ["fx-001"]
    assert shop.balances(wallet) == (1_000, 1_000)
    assert rialto.rows("SELECT 1 FROM ledger.holds WHERE payment_id = %s", [uuid_of(payment["id"])]) == []


def test_a_listed_payee_is_declined_too(shop: Shop) -> None:
    payment = shop.until(shop.pay(shop.wallet(1_000), 1_000, payee={"name": LISTED_NAME}), "declined")
    assert payment["decline_code"] == "sanctions_hit"


def test_a_large_amount_waits_for_the_operator_who_approves(rialto: Rialto, shop: Shop) -> None:
    wallet = shop.wallet(2_000_000)
    payment = shop.until(shop.pay(wallet, 1_000_000), "review")
    assert "compliance_review" in payment["status_reason"]
    assert payment["deadline_at"] is not None
    assert shop.balances(wallet) == (2_000_000, 2_000_000)
    path = f"/v1/payments/{payment['id']}/review"
    as_merchant = shop.client.post(path, json={"decision": "approve"}, headers=keyed("review"))
    assert as_merchant.status_code == 403, as_merchant.text

    shop.review(payment["id"], "approve")
    payment = shop.until(payment["id"], "settled")
    assert "payment.review_closed" in [line["event"] for line in payment["timeline"]]
    assert shop.balances(wallet) == (1_000_000, 1_000_000)
    settled_on_chain(rialto, shop, payment, 1_000_000)


def test_a_review_that_the_operator_declines_moves_nothing(shop: Shop) -> None:
    wallet = shop.wallet(2_000_000)
    payment = shop.until(shop.pay(wallet, 1_000_000), "review")
    assert shop.review(payment["id"], "decline")["decline_code"] == "review_declined"
    assert shop.balances(wallet) == (2_000_000, 2_000_000)


def test_webhooks_tell_the_whole_story_in_messages_that_verify(shop: Shop) -> None:
    with Receiver(refuse_first=1) as receiver:
        endpoint = done(
            shop.client.post("/v1/webhook_endpoints", json={"url": receiver.url}, headers=keyed("endpoint"))
        )
        payment_id = shop.pay(shop.wallet(700), 700)
        shop.until(payment_id, "settled")
        eventually(lambda: len(receiver.taken) >= 3, "three messages, the refused one among them")
    webhook = Webhook(endpoint["secret"])
    messages = [_verified(webhook, received) for received in receiver.taken]
    assert {message["data"]["id"] for message in messages} == {payment_id}
    by_sequence = sorted(messages, key=lambda message: int(message["data"]["sequence"]))
    assert [message["type"] for message in by_sequence] == ["payment.authorised", "payment.captured", "payment.settled"]
    (refused,) = receiver.refused
    again = [each for each in receiver.taken if each.headers["webhook-id"] == refused.headers["webhook-id"]]
    assert [each.body for each in again] == [refused.body]

    forged = Received(receiver.taken[0].headers, receiver.taken[0].body.replace(b'"700"', b'"7000"'))
    assert forged.body != receiver.taken[0].body
    with pytest.raises(WebhookVerificationError):
        webhook.verify(forged.body, forged.headers)


def _verified(webhook: Webhook, received: Received) -> dict[str, Any]:
    webhook.verify(received.body, received.headers)
    return dict(json.loads(received.body))


def test_the_books_hold_after_all_of_this(rialto: Rialto) -> None:
    rialto.check_books()
