"""Wrongs on the chain itself, on a chain that is put back afterwards."""

import json
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from rialto_cli.audit import books
from rialto_cli.audit.book import Books
from rialto_cli.audit.chain import SETTLED, ChainUnreadable, Node, Payout
from rialto_cli.audit.snapshot import Snapshot
from rialto_cli.testing import AnvilNode

from .conftest import Scene

BLOCKS = 5


class Chain:
    """The scene's chain, for doing what nobody should."""

    def __init__(self, scene: Scene) -> None:
        self._url = scene.anvil.url
        with psycopg.connect(scene.database.dsn("auditor")) as connection:
            row = connection.execute(
                "SELECT token_address, settlement_address FROM chain_bridge.deployments"
            ).fetchone()
        assert row is not None
        self.token, self.treasury = row

    def ask(self, method: str, *params: object) -> Any:
        """Ask the node."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.load(response)
        assert "error" not in answer, answer
        return answer["result"]

    def move(self, holder: str, to: str, amount: int) -> str:
        """Move a holder's tokens as if we had its key; return the transaction's hash, once it is deep in the chain."""
        self.ask("anvil_impersonateAccount", holder)
        self.ask("anvil_setBalance", holder, hex(10**20))
        data = "0xa9059cbb" + to[2:].rjust(64, "0") + f"{amount:064x}"  # transfer(address,uint256)
        sent = str(self.ask("eth_sendTransaction", {"from": holder, "to": self.token, "data": data, "gas": hex(10**6)}))
        self.ask("anvil_mine", hex(BLOCKS))
        return sent


@pytest.fixture
def chain(scene: Scene) -> Iterator[Chain]:
    """The scene's chain, put back at the end."""
    chain = Chain(scene)
    before = chain.ask("evm_snapshot")
    yield chain
    assert chain.ask("evm_revert", before)
    chain.ask("anvil_mine", hex(BLOCKS))


def audit(scene: Scene) -> Books:
    """Return the books of the scene as they are now."""
    return books.run(scene.database.dsn("auditor"), scene.anvil.url, settle_seconds=0)


def test_tokens_taken_out_of_the_treasury_are_named(scene: Scene, chain: Chain) -> None:
    taken = chain.move(chain.treasury, f"0x{7:040x}", 12345)
    book = audit(scene)["I6"]
    assert set(book.by_check) == {"left_unpaid", "balance_differs"}
    [left] = [example for example in book.examples if example["check"] == "left_unpaid"]
    assert (left["ids"]["tx_hash"], left["found"]) == (taken, "12345 more")
    [differs] = [example for example in book.examples if example["check"] == "balance_differs"]
    assert int(differs["expected"]) - int(differs["found"]) == 12345


def test_tokens_that_nobody_booked_are_named(scene: Scene, chain: Chain) -> None:
    taken = chain.move(chain.treasury, f"0x{7:040x}", 500)
    given = chain.move(f"0x{7:040x}", chain.treasury, 500)
    book = audit(scene)["I6"]
    assert set(book.by_check) == {"left_unpaid", "deposit_not_booked"}, "the balance is right, and yet both are wrong"
    assert {example["ids"]["tx_hash"] for example in book.examples} == {taken, given}


def test_a_payment_paid_twice_on_chain_is_named(scene: Scene) -> None:
    class Forgetful(Node):
        """A node whose contract has forgotten what it had paid, and paid the first payment again."""

        def payouts(self, contract: str, last_block: int) -> list[Payout]:
            """Return what was paid, and the first of it twice."""
            paid = super().payouts(contract, last_block)
            return [*paid, paid[0]]

    book = audit_by(Forgetful(scene.anvil.url), scene)["I4"]
    assert book.by_check == {"paid_twice": 1}
    assert book.examples[0]["ids"]["payment_id"] in scene.payments.values()


class Amnesiac(Node):
    """A node that was killed, and came back with what one transaction had done and without its log."""

    def _logs(self, address: str, topics: list[str | None], last_block: int) -> list[dict[str, Any]]:
        logs = super()._logs(address, topics, last_block)
        if topics == [SETTLED]:
            self.lost = logs[0]["transactionHash"]
        return [log for log in logs if log["transactionHash"] != self.lost]


def audit_by(node: Node, scene: Scene) -> Books:
    """Return the books of the scene as a node tells them."""
    head = node.newest_block()
    with Snapshot(scene.database.dsn("auditor")) as snapshot:
        return books.compare(snapshot, node, head)


def test_the_contract_is_asked_about_payments_of_which_no_event_tells(scene: Scene) -> None:
    whole, with_loss = audit_by(Node(scene.anvil.url), scene), audit_by(Amnesiac(scene.anvil.url), scene)
    assert (with_loss["I6"].by_check, with_loss["I4"].by_check) == ({}, {})
    assert [with_loss[name].checked for name in ("I4", "I6")] == [whole[name].checked for name in ("I4", "I6")]


def test_what_the_contract_remembers_otherwise_is_named(scene: Scene) -> None:
    class Confused(Amnesiac):
        """A node whose contract remembers another amount, too."""

        def remembered(self, contract: str, payment_ids: Sequence[str], block: int) -> dict[str, Payout]:
            """Return what was paid, and 1 more each."""
            paid = super().remembered(contract, payment_ids, block)
            return {each: replace(payout, amount=payout.amount + 1) for each, payout in paid.items()}

    found = audit_by(Confused(scene.anvil.url), scene)
    lost = found["I4"].by_check["paid_otherwise"]
    assert lost > 0
    assert found["I6"].by_check == {"booked_otherwise": lost}


def test_a_chain_that_starts_anew_is_named_as_one_that_took_back(
    scene: Scene, anvil_factory: Callable[[], AnvilNode]
) -> None:
    empty = anvil_factory()
    book = audit_with(scene, empty.url)["I6"]
    assert book.by_check["taken_back"] == 7
    assert not book.holds


def audit_with(scene: Scene, url: str) -> Books:
    """Return the books of the scene's database and another chain."""
    return books.run(scene.database.dsn("auditor"), url, settle_seconds=0)


def test_a_head_that_the_chain_has_lost_makes_it_begin_again(scene: Scene, chain: Chain) -> None:
    node = Node(scene.anvil.url)
    chain.ask("anvil_mine", hex(BLOCKS))
    head = node.newest_block()
    chain.ask("anvil_reorg", 2, [])
    with Snapshot(scene.database.dsn("auditor")) as snapshot, pytest.raises(ChainUnreadable):
        books.compare(snapshot, node, head)


def test_a_node_that_does_not_answer_is_no_verdict(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "PATIENCE_SECONDS", 0)
    with pytest.raises(books.AuditFailed, match="the chain cannot be read"):
        books.run(scene.database.dsn("auditor"), "http://127.0.0.1:9", settle_seconds=0)


def test_a_database_that_does_not_answer_is_no_verdict(scene: Scene) -> None:
    with pytest.raises(books.AuditFailed, match="the database cannot be read"):
        books.run("postgresql://127.0.0.1:9/rialto", scene.anvil.url)
