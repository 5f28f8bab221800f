"""Whatever contradicts what a client was told is named."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from rialto_cli.audit.chain import Block, Node, Payout
from rialto_cli.torture.book import Asked, Book, Captured
from rialto_cli.torture.verdict import Facts, Held, paid_by, weigh

PAYEE = "0xAb"
PAYMENT = Held("pay_1", "key-1", "settled", 1_000, 1_000, 1_000, PAYEE)
PAYOUT = Payout("pay_1", "0xab", 10_000_000, "0x1", 7)


def book() -> Book:
    """Two payments, one captured by hand and one voided, all as it should be."""
    told = Book()
    told.payments["key-1"] = Asked("key-1", "shop", "wal_1", 1_000, manual=True, payment_id="pay_1")
    told.payments["key-2"] = Asked("key-2", "shop", "wal_1", 500, manual=True, payment_id="pay_2")
    told.payments["key-3"] = Asked("key-3", "shop", "wal_1", 500, manual=False)
    told.captures[("pay_1", "c")] = Captured("pay_1", "c", 1_000, succeeded=True)
    told.top_ups["wal_1"] = 5_000
    told.webhooks["msg_1"] = 1
    return told


def facts() -> Facts:
    """What the database and the chain say of them."""
    voided = Held("pay_2", "key-2", "voided", 500, 0, 0, PAYEE)
    return Facts([PAYMENT, voided], {"wal_1": 4_000}, [PAYOUT], frozenset({"msg_1"}))


def with_payment(changed: Held) -> Facts:
    """The facts with another first payment."""
    whole = facts()
    return replace(whole, payments=[changed, *whole.payments[1:]])


def test_what_agrees_is_not_complained_about() -> None:
    assert weigh(book(), facts()) == []


def test_a_refund_is_in_the_wallet() -> None:
    refunded = with_payment(replace(PAYMENT, refunded_minor=100, given_back_minor=100))
    assert weigh(book(), replace(refunded, wallets={"wal_1": 4_100})) == []


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (replace(facts(), payments=facts().payments[:1]), "pay_2 was answered 2xx, and is not there"),
        (with_payment(replace(PAYMENT, key="other")), "not what was asked for"),
        (with_payment(replace(PAYMENT, amount_minor=999)), "not what was asked for"),
        (with_payment(replace(PAYMENT, state="captured")), "has not ended"),
        (with_payment(replace(PAYMENT, booked_minor=0)), "the ledger 0"),
        (with_payment(replace(PAYMENT, refunded_minor=100)), "refunded 100; the ledger 0"),
        (with_payment(replace(PAYMENT, refunded_minor=100, given_back_minor=100)), "wal_1 holds 4000"),
        (replace(facts(), payouts=[]), "was paid [] on chain"),
        (replace(facts(), payouts=[PAYOUT, PAYOUT]), "was paid"),
        (replace(facts(), payouts=[replace(PAYOUT, amount=1)]), "was paid"),
        (replace(facts(), payouts=[replace(PAYOUT, payee="0xcd")]), "was paid"),
        (replace(facts(), payouts=[PAYOUT, replace(PAYOUT, payment_id="pay_9")]), "is no payment"),
        (replace(facts(), wallets={"wal_1": 3_000}), "wal_1 holds 3000"),
        (replace(facts(), delivered=frozenset({"msg_1", "msg_2"})), "msg_2 counts as delivered"),
    ],
)
def test_each_contradiction_is_named(found: Facts, says: str) -> None:
    assert any(says in wrong for wrong in weigh(book(), found)), weigh(book(), found)


def _captured_more(told: Book) -> None:
    told.captures[("pay_2", "d")] = Captured("pay_2", "d", 500, succeeded=True)


def _answered_twice(told: Book) -> None:
    told.answered(told.payments["key-1"], "pay_7", 1.0)


@pytest.mark.parametrize(("spoil", "says"), [(_captured_more, "saw 500 of pay_2"), (_answered_twice, "and then pay_7")])
def test_what_clients_believe_must_be_so(spoil: Callable[[Book], None], says: str) -> None:
    told = book()
    spoil(told)
    assert any(says in wrong for wrong in weigh(told, facts()))


def test_a_payout_that_a_killed_node_has_kept_without_its_event_counts() -> None:
    class Forgetful(Node):
        """It tells of one of two payouts; the contract knows of both."""

        def newest_block(self) -> Block:
            return Block(9, "0x9")

        def payouts(self, contract: str, last_block: int) -> list[Payout]:
            return [PAYOUT]

        def remembered(self, contract: str, payment_ids: Sequence[str], block: int) -> dict[str, Payout]:
            kept = {"pay_1": PAYOUT, "pay_4": replace(PAYOUT, payment_id="pay_4", tx_hash=None)}
            return {each: kept[each] for each in payment_ids if each in kept}

    paid = paid_by(Forgetful("http://127.0.0.1:9"), "0xc0", {"pay_1", "pay_4", "pay_5"})
    assert [payout.payment_id for payout in paid] == ["pay_1", "pay_4"]
