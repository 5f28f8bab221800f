"""Settling with the simulated acquirer: what it owes comes to nothing, each of its mistakes is told and put right."""

import json
from typing import Any

from .running import Rialto, eventually
from .shop import Shop, done, new_name
from .test_acquirer_faults import AMOUNT, charge

DIFFERENCES = "/v1/connectors/sim/settlement_differences"


def captured(shop: Shop, token: str = "tok_approve") -> str:
    """Have a card charged; return the reference of its capture."""
    payment_id = charge(shop, token)

    def found() -> str:
        payment = shop.get(payment_id)
        return next((each["id"] for each in payment["attempts"] if _is_booked(payment, each)), "")

    return eventually(found, f"{payment_id} is captured")


def _is_booked(payment: dict[str, Any], attempt: dict[str, Any]) -> bool:
    return payment["status"] in ("captured", "settled") and attempt["step"] == "capture"


def settle(rialto: Rialto, *mistakes: str) -> tuple[int, list[dict[str, Any]]]:
    """`rialto acquirer settle`: its exit status, and what the gateway made of each file."""
    result = rialto.run("acquirer", "settle", "--json", *(each for name in mistakes for each in ("--mistake", name)))
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout)


def owed(rialto: Rialto) -> int:
    """What the acquirer owes by the ledger."""
    [row] = rialto.rows(
        "SELECT coalesce(sum(debits_minor - credits_minor), 0) AS owed FROM ledger.accounts"
        " WHERE code = 'acquirer:sim:receivable'"
    )
    return int(row["owed"])


def until_owed(rialto: Rialto, amount_minor: int) -> None:
    """Wait until the ledger has booked what was settled."""
    eventually(lambda: owed(rialto) == amount_minor, f"the acquirer owes {amount_minor}, and not {owed(rialto)}")


def test_what_the_acquirer_owes_comes_to_nothing(rialto: Rialto, shop: Shop) -> None:
    for token in ("tok_approve", "tok_capture_reset_after"):
        captured(shop, token)
    status, files = settle(rialto)
    assert (status, sum(each["differing"] for each in files)) == (0, 0)
    assert sum(each["cleared"] for each in files) >= 2
    until_owed(rialto, 0)
    assert settle(rialto) == (0, [])


def test_mistakes_are_told_and_put_right(rialto: Rialto, shop: Shop) -> None:
    references = [captured(shop) for _ in range(3)]
    status, [made] = settle(rialto, "missing_line", "wrong_amount", "unknown_line", "duplicate_line")
    assert (status, made["cleared"], made["differing"]) == (1, 1, 3)
    assert open_differences(shop) == ["amount_differs", "duplicate", "unknown_reference"]
    until_owed(rialto, 2 * AMOUNT)
    status, files = settle(rialto)
    assert (status, [each["cleared"] for each in files]) == (0, [2])
    until_owed(rialto, 0)
    assert open_differences(shop) == ["duplicate", "unknown_reference"], "the next file has put right what it could"
    for each in done(shop.client.get(DIFFERENCES, headers=shop.admin))["data"]:
        assert (each["reference"] in references) == (each["reason"] == "duplicate")
        key = {"Idempotency-Key": new_name("resolve")}
        path = f"{DIFFERENCES}/{each['id']}/resolve"
        done(shop.client.post(path, json={"note": "the acquirer's mistake"}, headers=shop.admin | key))
    assert open_differences(shop) == []
    rialto.check_books()


def open_differences(shop: Shop) -> list[str]:
    """Return the reasons of the differences that are open."""
    data = done(shop.client.get(f"{DIFFERENCES}?limit=100", headers=shop.admin))["data"]
    return sorted(each["reason"] for each in data)
