"""Events that cannot be handled: set aside with their key while all others go on, and healed in order."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rialto_common.runtime import SystemRuntime

from .running import Rialto, eventually
from .shop import Shop, new_name, uuid_of

UNREADABLE = {"step": "void", "code": 404}


def publish(rialto: Rialto, *, topic: str, source: str, kind: str, key: str, shard: int, data: dict[str, Any]) -> None:
    """Put an event on the bus as no service of ours would."""
    runtime = SystemRuntime()
    now = runtime.now()
    arrays = [[topic], [runtime.ids.mint()], [source], [kind], [key], [shard], [now], [99], [key], [None], [None]]
    with rialto.superuser() as connection:
        connection.execute(
            "SELECT bus.append(%s, %s::TEXT[], %s::UUID[], %s::TEXT[], %s::TEXT[], %s::TEXT[], %s::SMALLINT[],"
            " %s::TIMESTAMPTZ[], %s::BIGINT[], %s::TEXT[], %s::TEXT[], %s::TEXT[], %s::TEXT[])",
            [now, *arrays, [json.dumps(data)]],
        )


def parked(rialto: Rialto, key: str) -> list[dict[str, Any]]:
    """What `rialto dlq list` says about a key: a row for each service that set it aside."""
    return [row for row in rialto.json_of("dlq", "list") if row["key"] == key]


def shown(rialto: Rialto, key: str) -> list[dict[str, Any]]:
    """What `rialto dlq show` has under a key, in order."""
    (found,) = rialto.json_of("dlq", "show", key)
    events: list[dict[str, Any]] = found["events"]
    return events


def replay(rialto: Rialto, key: str) -> None:
    """`rialto dlq replay`, and return when the service has done it or has found it as bad as before."""
    assert rialto.json_of("dlq", "replay", key) == {"gateway": 1}
    query = "SELECT 1 FROM gateway.parked_keys WHERE key = %s AND replay_requested"
    eventually(lambda: not rialto.rows(query, [key]), "the replay has been tried")


@contextmanager
def a_bug(rialto: Rialto, description: str) -> Iterator[None]:
    """A rule that makes the gateway fail for good at any verdict on payments of this description, and on no other."""
    with rialto.superuser() as connection:
        connection.execute(
            "ALTER TABLE gateway.payments ADD CONSTRAINT a_bug CHECK ("
            f"description IS DISTINCT FROM '{description}' OR (fraud IS NULL AND compliance IS NULL)) NOT VALID"
        )
        try:
            yield
        finally:
            connection.execute("ALTER TABLE gateway.payments DROP CONSTRAINT a_bug")


def test_an_unreadable_event_is_parked_with_its_key_until_it_is_mended(rialto: Rialto, shop: Shop) -> None:
    wallet = shop.wallet(2_000_000)
    payment_id = shop.pay(wallet, 1_000_000)
    shop.until(payment_id, "review")
    publish(
        rialto,
        topic="rialto.ledger.v1",
        source="rialto.ledger",
        kind="rialto.posting.refused.v1",
        key=payment_id,
        shard=shop.shard,
        data=UNREADABLE,
    )
    (row,) = eventually(lambda: parked(rialto, payment_id), "the event is parked")
    assert (row["service"], row["consumer_group"]) == ("gateway", "gateway")
    assert "event_malformed" in str(row)

    # All others flow, those of the same merchant and partition too.
    shop.until(shop.pay(wallet, 100), "settled")

    # What comes later for the same key waits behind it.
    shop.review(payment_id, "approve")
    eventually(lambda: len(shown(rialto, payment_id)) == 2, "the ledger's answer waits behind the poison")
    poison, behind = shown(rialto, payment_id)
    assert (poison["type"], behind["type"]) == ("rialto.posting.refused.v1", "rialto.hold.placed.v1")
    assert "event_malformed" in poison["error"]
    assert json.loads(poison["data"]) == UNREADABLE
    assert behind["error"] is None
    assert shop.get(payment_id)["status"] == "approved"

    # Handled again with its cause still there, it stays where it is.
    replay(rialto, payment_id)
    assert [event["event_id"] for event in shown(rialto, payment_id)] == [poison["event_id"], behind["event_id"]]

    mended = UNREADABLE | {
        "payment_id": payment_id,
        "merchant_id": shop.id,
        "mode": "test",
        "code": "of_no_consequence",
        "detail": "written by a person",
    }
    with rialto.superuser() as connection:
        connection.execute(
            "UPDATE gateway.dead_letters SET data = %s WHERE event_id = %s", [json.dumps(mended), poison["event_id"]]
        )
    replay(rialto, payment_id)
    assert parked(rialto, payment_id) == []
    shop.until(payment_id, "settled")
    assert shop.balances(wallet) == (999_900, 999_900)


def test_once_the_cause_is_mended_a_replay_heals_the_key_in_order(rialto: Rialto, shop: Shop) -> None:
    wallet, description = shop.wallet(100_000), new_name("poison")
    with a_bug(rialto, description):
        # In one batch with others: only the poison may suffer.
        ids = [shop.pay(wallet, 100, description=description if nth == 5 else None) for nth in range(10)]
        poisoned = ids.pop(5)
        for other in ids:
            shop.until(other, "settled")
        eventually(lambda: parked(rialto, poisoned), "the first verdict is parked")
        eventually(lambda: len(shown(rialto, poisoned)) == 2, "the second verdict waits behind it")
        first, second = shown(rialto, poisoned)
        assert "a_bug" in first["error"]
        assert second["error"] is None
        assert shop.balances(wallet) == (99_100, 99_100)
        assert rialto.rows("SELECT 1 FROM ledger.holds WHERE payment_id = %s", [uuid_of(poisoned)]) == []
    replay(rialto, poisoned)
    assert parked(rialto, poisoned) == []
    payment = shop.until(poisoned, "settled")
    verdicts = [line["cause"] for line in payment["timeline"] if line["event"].endswith((".assessed", ".screened"))]
    assert verdicts == [first["event_id"], second["event_id"]]
    assert shop.balances(wallet) == (99_000, 99_000)


def test_the_books_hold_after_the_poison(rialto: Rialto) -> None:
    rialto.check_books()
