"""What the chain says against what the ledger and the gateway say: I6, and the chain's part of I4.

The head of the chain is read before the snapshot of the database is taken, and everything is compared at blocks below
it. A transaction is recorded in the database before it is sent, so whatever stands in those blocks is known to the
snapshot: booked, or with a row that says why it is not booked yet.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rialto_cli.audit.book import Books
from rialto_cli.audit.chain import Block, ChainUnreadable, Node, Payout, Transfer
from rialto_cli.audit.snapshot import Snapshot

CONFIRMATIONS = 3
"""How many blocks lie on top of the one at which balances are compared."""

UNDER_WAY = frozenset({"pending", "mined"})
"""States of a transaction that the chain-bridge does not count yet."""

_CONFIRMED = "rialto.settlement.confirmed.v1"
_REORGED = "rialto.settlement.reorged.v1"
_DEPOSITED = "rialto.deposit.confirmed.v1"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the snapshot knows of one chain's treasury."""

    entries: list[dict[str, Any]]
    payouts: dict[str, dict[str, Any]]
    unread: dict[str, list[dict[str, Any]]]
    mints: dict[str, str]

    def asked_to_pay(self) -> set[str]:
        """Return the payments that the chain was asked to pay, or that the ledger says it has paid."""
        asked = {payment_id for payment_id, payout in self.payouts.items() if payout["has_intent"]}
        return asked | {entry["payment_id"] for entry in self.entries if entry["kind"] == "chain_settlement"}


@dataclass(frozen=True, slots=True)
class Chain:
    """What the chain tells: `paid` and `moved` are everything up to its head; `at` is the block of the comparison.

    `paid` also has what the contract remembers to have paid without an event that tells of it: a node that was killed
    can come back with its last block's effects and without its log.
    """

    at: Block
    paid: list[Payout]
    moved: list[Transfer]
    balance: int


class Treasury:
    """Compares one deployment's treasury. `head` is the chain's, from before the snapshot."""

    def __init__(self, node: Node, head: Block, books: Books) -> None:
        self._node = node
        self._head = head
        self._i4, self._i6 = books["I4"], books["I6"]

    def compare(self, snapshot: Snapshot) -> None:
        """Note what differs.

        Raises: ChainUnreadable: the node is away, behind, or took blocks back meanwhile; begin again.
        """
        served = self._node.chain_id()
        entries = snapshot.facts("treasury_entries")
        for deployment in snapshot.facts("deployments"):
            if deployment["chain_id"] == served:
                facts = _facts(snapshot, [e for e in entries if e["chain_id"] == str(served)])
                self._compare(deployment, facts, self._read(deployment, facts))
        strangers = [entry for entry in entries if entry["chain_id"] != str(served)]
        for entry in strangers:
            says = "the ledger has booked on the treasury of a chain that the node does not serve"
            self._i6.add("unknown_chain", says, {"entry_id": entry["entry_id"]}, f"chain {served}", entry["account"])

    def _read(self, deployment: Mapping[str, Any], facts: Facts) -> Chain:
        """Read the chain, and make sure that its confirmed block is the same after as before.

        Raises: ChainUnreadable.
        """
        token, treasury = deployment["token_address"], deployment["settlement_address"]
        number = max(0, self._head.number - CONFIRMATIONS)
        at, newest = self._node.block(number), self._node.newest_block()
        if at is None or newest.number < self._head.number:
            raise ChainUnreadable(f"the node has gone back behind block {self._head.number}")
        told = self._node.payouts(treasury, newest.number)
        untold = sorted(facts.asked_to_pay() - {payout.payment_id for payout in told})
        remembered = self._node.remembered(treasury, untold, newest.number)
        remembered |= self._node.remembered(treasury, list(remembered), number)
        chain = Chain(
            at,
            [*told, *remembered.values()],
            self._node.transfers(token, treasury, newest.number),
            self._node.token_balance(token, treasury, number),
        )
        if self._node.block(number) != at or self._node.block(self._head.number) != self._head:
            raise ChainUnreadable("the chain was reorganised while it was being read")
        return chain

    def _compare(self, deployment: Mapping[str, Any], facts: Facts, chain: Chain) -> None:
        known = [payout for payout in chain.paid if payout.block_number <= self._head.number]
        self._i4.checked += len(known)
        self._paid_once(known)
        self._paid_as_captured(known, facts)
        standing = {
            entry["payment_id"]: entry
            for entry in facts.entries
            if entry["kind"] == "chain_settlement" and not entry["is_reversed"]
        }
        paid = {payout.payment_id: payout for payout in chain.paid}
        at = chain.at.number
        early = [payout for payout in known if payout.block_number <= at and payout.payment_id not in standing]
        unbooked = self._booked(early, facts)
        late = self._on_chain(standing, paid, facts, at)
        self._settled_is_paid(facts, paid)
        deposited = self._deposits(facts, chain, at)
        self._left_only_as_paid(chain, at)
        booked = sum(int(entry["amount"]) for entry in facts.entries)
        expected = booked - unbooked + late + deposited
        if chain.balance != expected:
            self._i6.add(
                "balance_differs",
                "the treasury's balance on chain is not what the ledger says, less what is on its way between them",
                {"block_number": at, "token": deployment["token"], "treasury": deployment["settlement_address"]},
                expected,
                chain.balance,
                heals=self._i6.violations > 0 and self._i6.heals,
            )
        self._i6.checked += len(facts.entries) + sum(1 for payout in known if payout.block_number <= at)
        self._i6.details |= {
            "block": {"number": at, "hash": chain.at.hash},
            "chain_balance": str(chain.balance),
            "ledger_balance": str(booked),
            "in_flight": {
                "paid_not_booked": str(unbooked),
                "booked_above_block": str(late),
                "deposits": str(deposited),
            },
        }

    def _paid_once(self, known: Iterable[Payout]) -> None:
        for payment_id, times in Counter(payout.payment_id for payout in known).items():
            if times > 1:
                says = "a payment was paid on chain more than once"
                self._i4.add("paid_twice", says, {"payment_id": payment_id}, "one Settled event", f"{times} events")

    def _paid_as_captured(self, known: Iterable[Payout], facts: Facts) -> None:
        for payout in known:
            ids = {"payment_id": payout.payment_id, "tx_hash": payout.tx_hash}
            asked = facts.payouts.get(payout.payment_id)
            found = f"{payout.amount} to {payout.payee}"
            if asked is None or not asked["has_intent"]:
                says = "a payment was paid on chain that nobody asked to settle"
                self._i4.add("paid_unasked", says, ids, "no Settled event", found)
            elif (payout.amount, payout.payee) != (int(asked["amount"]), asked["payee"]):
                says = "a payment was paid on chain otherwise than it was captured"
                self._i4.add("paid_otherwise", says, ids, f"{int(asked['amount'])} to {asked['payee']}", found)

    def _booked(self, early: Iterable[Payout], facts: Facts) -> int:
        """Every payment on chain is in the ledger, or a row says that it is on its way; return the sum of those."""
        unbooked = 0
        for payout in early:
            asked = facts.payouts.get(payout.payment_id)
            on_its_way = _has(facts, payout.payment_id, _CONFIRMED) or (
                asked is not None
                and asked["has_intent"]
                and asked["failure_code"] is None
                and asked["transaction_state"] in (UNDER_WAY | {None})
            )
            if on_its_way:
                unbooked += payout.amount
            else:
                self._i6.add(
                    "paid_not_booked",
                    "the chain has paid a payment and the ledger has no settlement of it that stands",
                    {"payment_id": payout.payment_id, "tx_hash": payout.tx_hash, "block_number": payout.block_number},
                    f"an entry of {payout.amount}",
                    "no entry, and nothing on its way",
                )
        return unbooked

    def _on_chain(
        self, standing: Mapping[str, dict[str, Any]], paid: Mapping[str, Payout], facts: Facts, at: int
    ) -> int:
        """Every settlement in the ledger is on chain, or is being taken back.

        Return the sum of those that the chain does not have at the block of the comparison.
        """
        late = 0
        for payment_id, entry in standing.items():
            payout, booked = paid.get(payment_id), -int(entry["amount"])
            ids = {"entry_id": entry["entry_id"], "payment_id": payment_id, "tx_hash": entry["tx_hash"]}
            if payout is None:
                if _has(facts, payment_id, _REORGED):
                    late += booked
                else:
                    self._not_paid(ids, booked, entry)
                continue
            if payout.block_number > at:
                late += booked
            if payout.amount != booked:
                says = "the ledger has booked another amount than the chain has paid"
                self._i6.add("booked_otherwise", says, ids, payout.amount, booked)
        return late

    def _not_paid(self, ids: Mapping[str, Any], booked: int, entry: Mapping[str, Any]) -> None:
        if entry["block_number"] is not None and entry["block_hash"] is not None:
            block = self._node.block(int(entry["block_number"]))
            if block is None or block.hash != entry["block_hash"]:
                says = "the chain took back the block of a settlement, and the ledger has not heard of it yet"
                self._i6.add("taken_back", says, ids, f"block {entry['block_hash']}", block, heals=True)
                return
        says = "the ledger has booked a settlement that is not on chain"
        self._i6.add("booked_not_paid", says, ids, f"a Settled event of {booked}", "none")

    def _settled_is_paid(self, facts: Facts, paid: Mapping[str, Payout]) -> None:
        """What the gateway calls settled is on chain, or its transaction is being sent again."""
        for payment_id, asked in facts.payouts.items():
            resent = asked["transaction_state"] in UNDER_WAY or _has(facts, payment_id, _REORGED)
            if asked["state"] == "settled" and payment_id not in paid and not resent:
                self._i6.add(
                    "settled_not_paid",
                    "a payment is settled for the gateway and the chain has not paid it",
                    {"payment_id": payment_id},
                    f"a Settled event of {int(asked['amount'] or 0)}",
                    "none",
                    heals=asked["transaction_state"] == "confirmed" and self._i6.violations > 0 and self._i6.heals,
                )

    def _deposits(self, facts: Facts, chain: Chain, at: int) -> int:
        """Match deposits by transaction and amount; return by how much those on their way raise the chain's balance."""
        booked = {
            (entry["tx_hash"], int(entry["amount"])): entry for entry in facts.entries if entry["kind"] == "deposit"
        }
        came = {(moved.tx_hash, moved.amount): moved for moved in chain.moved if moved.amount > 0}
        difference = 0
        for key, moved in came.items():
            if moved.block_number > at:
                difference -= moved.amount if key in booked else 0
            elif key not in booked:
                on_its_way = facts.mints.get(moved.tx_hash) in UNDER_WAY or any(
                    event["type"] == _DEPOSITED and event["tx_hash"] == moved.tx_hash
                    for events in facts.unread.values()
                    for event in events
                )
                if on_its_way:
                    difference += moved.amount
                else:
                    says = "tokens came into the treasury and the ledger has no deposit of them"
                    ids = {"tx_hash": moved.tx_hash, "from": moved.other, "block_number": moved.block_number}
                    self._i6.add("deposit_not_booked", says, ids, f"an entry of {moved.amount}", "none")
        for key, entry in booked.items():
            if key not in came:
                # Told once and for all: after a reorganisation the bridge sends the same mint again.
                if facts.mints.get(entry["tx_hash"]) in UNDER_WAY:
                    difference -= int(entry["amount"])
                    continue
                says = "the ledger has booked a deposit that is not on chain"
                ids = {"entry_id": entry["entry_id"], "tx_hash": entry["tx_hash"]}
                ours = entry["tx_hash"] in facts.mints  # then the chain has taken it back, and the bridge will notice
                found = "taken back by the chain" if ours else "none"
                self._i6.add("deposit_not_on_chain", says, ids, f"a transfer of {entry['amount']}", found, heals=ours)
        return difference

    def _left_only_as_paid(self, chain: Chain, at: int) -> None:
        """Tokens leave the treasury only in transactions that pay as much."""
        left: Counter[str] = Counter()
        for moved in chain.moved:
            if moved.amount < 0 and moved.block_number <= at:
                left[moved.tx_hash] -= moved.amount
        for payout in chain.paid:
            if payout.block_number <= at and payout.tx_hash is not None:
                left[payout.tx_hash] -= payout.amount
        for tx_hash, difference in left.items():
            if difference != 0:
                says = "tokens left the treasury otherwise than by paying payments"
                self._i6.add("left_unpaid", says, {"tx_hash": tx_hash}, "as much as was paid", f"{difference} more")


def _facts(snapshot: Snapshot, entries: list[dict[str, Any]]) -> Facts:
    unread: dict[str, list[dict[str, Any]]] = {}
    for event in snapshot.facts("chain_events_unread"):
        unread.setdefault(event["key"], []).append(event)
    return Facts(
        entries=entries,
        payouts={row["payment_id"]: row for row in snapshot.facts("payouts")},
        unread=unread,
        mints={row["tx_hash"]: row["state"] for row in snapshot.facts("mints")},
    )


def _has(facts: Facts, key: str, event_type: str) -> bool:
    return any(event["type"] == event_type for event in facts.unread.get(key, ()))
