"""Checks I1-I5, I7 and I8 on what is durable, by arithmetic of its own: nothing that decides is asked whether it did well.

What it reads are rows, events and the chain's payouts. New events and entries are taken in once; totals are kept beside
the services' own and compared with them. Some promises hold at every instant (`at_rest` False); others only once nothing
is in flight, as when every event has been handled.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import orjson

from rialto_cli.sim.customers import Memory
from rialto_cli.sim.groups import CONSUMED
from rialto_cli.sim.world import World
from rialto_common import ids
from rialto_common.events.envelope import Event

FINAL = frozenset({"settled", "declined", "voided", "expired", "failed"})
STATES_WITH_REASON = frozenset({"review", "unknown"})
DEBIT_NORMAL = frozenset({"asset", "expense"})
GRACE = timedelta(seconds=30)
"""How long after its deadline a payment may wait for a sweep that a failing database delays."""

UNITS_A_MINOR = 10_000
"""The token has six decimals, the currency two."""


@dataclass
class _Told:
    """What the log has said so far."""

    contents: dict[tuple[str, UUID], bytes] = field(default_factory=dict)
    last: dict[tuple[str, str, str], int] = field(default_factory=dict)
    numbers: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Sequences of the gateway's events by key, but for the first."""

    asked: dict[str, int] = field(default_factory=dict)
    """Amounts of captures asked for, by capture."""

    answered: dict[str, str] = field(default_factory=dict)
    """What the ledger said to captures: `captured` or `refused`."""

    entries: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    holds: dict[str, int] = field(default_factory=dict)
    verdicts: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class _Booked:
    """What the journal adds up to."""

    debits: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    credits: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    captured: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    capture_ids: dict[str, UUID] = field(default_factory=dict)
    settled: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    """By payment: settlements minus reversals; 0 or 1."""

    settled_minor: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))


class Checker:
    """Looks at one world again and again."""

    def __init__(self, world: World, memory: Memory) -> None:
        self._world = world
        self._memory = memory
        self._told = _Told()
        self._booked = _Booked()
        self._events_seen = 0
        self._entries_seen = 0
        self._handled_to: dict[tuple[str, str, int], int] = defaultdict(int)
        self.calm_since: Any = None
        self.looks = 0

    def look(self, *, at_rest: bool, at_end: bool = False) -> list[str]:
        """Return what is wrong now, each with the invariant's number."""
        self.looks += 1
        found = [*self._memory.violations, *self._new_events(), *self._new_entries()]
        found += self._accounts()
        found += self._payments()
        found += self._chain()
        found += self._handled()
        if at_rest:
            found += self._agreement()
        if at_end:
            found += self._end()
        return found

    # I8: the log ----------------------------------------------------------------------------------------------------

    def _new_events(self) -> Iterator[str]:
        log = self._world.bus.log
        for event in islice(log, self._events_seen, None):
            yield from self._take(event)
        self._events_seen = len(log)

    def _take(self, event: Event) -> Iterator[str]:
        told, identity = self._told, (event.source, event.id)
        content = event.type.encode() + b"\0" + event.key.encode() + b"\0" + event.data
        if identity in told.contents:
            may_be_told_again = event.type in (
                "rialto.hold.voided.v1",
                "rialto.posting.refused.v1",
                "rialto.deposit.confirmed.v1",
            )
            if told.contents[identity] != content or not may_be_told_again:
                yield f"I8: {event.type} of {event.key} was published twice under one id"
            return
        told.contents[identity] = content
        if event.type != "rialto.posting.refused.v1":
            place = (event.topic, event.source, event.key)
            if event.sequence <= told.last.get(place, 0):
                yield f"I8: {event.type} of {event.key} has sequence {event.sequence} after {told.last[place]}"
            told.last[place] = event.sequence
        self._note(event)

    def _note(self, event: Event) -> None:
        told, name = self._told, event.type
        if event.source == "rialto.gateway" and name != "rialto.payment.created.v1":
            told.numbers[event.key].append(event.sequence)
        if name in ("rialto.fraud.assessed.v1", "rialto.compliance.screened.v1"):
            told.verdicts[event.source, event.key] += 1
            return
        if name not in _READ:
            return
        data = orjson.loads(event.data)
        if name == "rialto.capture.requested.v1":
            told.asked[data["capture_id"]] = int(data["amount_minor"])
        elif name == "rialto.hold.captured.v1":
            told.answered[data["capture_id"]] = "captured"
        elif name == "rialto.posting.refused.v1":
            if data["step"] == "capture":
                told.answered.setdefault(data["capture_id"], "refused")
        elif name == "rialto.journal_entry.posted.v1":
            told.entries[data["entry_id"]] += 1
        else:
            told.holds[data["hold_id"]] = int(data["amount_minor"])

    def _handled(self) -> Iterator[str]:
        """Every event that a group has read past is in its inbox, if it is one that it handles."""
        world = self._world
        for group, (topics, types) in CONSUMED.items():
            inbox, reached = world.stores.inboxes[group].handled, world.bus.groups[group].reached
            for topic in topics:
                for partition in range(world.bus.partitions):
                    place = (group, topic, partition)
                    log, end = world.bus.logs[topic, partition], reached[topic, partition]
                    for event in log[self._handled_to[place] : end]:
                        if event.type in types and (event.source, event.id) not in inbox:
                            yield f"I8: {group} went past {event.type} of {event.key} without handling it"
                    self._handled_to[place] = max(end, self._handled_to[place])
            if world.stores.inboxes[group].parked:
                for (_, key), letters in world.stores.inboxes[group].parked.items():
                    yield f"I8: {group} has set events of {key} aside: {letters[0].error}"

    # I1, I2, I5: the books ------------------------------------------------------------------------------------------

    def _new_entries(self) -> Iterator[str]:
        entries = self._world.stores.ledger.books.entries
        for entry in islice(entries.values(), self._entries_seen, None):
            balance: dict[str, int] = defaultdict(int)
            for posting in entry.postings:
                amount, is_debit = posting.amount_minor, posting.side.value == "debit"
                if amount <= 0:
                    yield f"I1: entry {entry.id} posts {amount}"
                balance[posting.currency] += amount if is_debit else -amount
                (self._booked.debits if is_debit else self._booked.credits)[posting.account_id] += amount
            if any(balance.values()):
                yield f"I1: entry {entry.id} does not balance: {dict(balance)}"
            yield from self._attribute(entry)
        self._entries_seen = len(entries)

    def _attribute(self, entry: Any) -> Iterator[str]:
        booked, payment_id = self._booked, entry.payment_id
        if entry.kind == "capture":
            capture_id = entry.metadata["capture_id"]
            if capture_id in booked.capture_ids:
                yield f"I4: capture {capture_id} is booked twice, by {entry.id} and {booked.capture_ids[capture_id]}"
            booked.capture_ids[capture_id] = entry.id
            booked.captured[payment_id] += entry.postings[0].amount_minor
        elif entry.kind in ("chain_settlement", "chain_settlement_reversal"):
            sign = 1 if entry.kind == "chain_settlement" else -1
            booked.settled[payment_id] += sign
            booked.settled_minor[payment_id] += sign * entry.postings[0].amount_minor
            if booked.settled[payment_id] not in (0, 1):
                yield f"I4: payment {payment_id} is settled {booked.settled[payment_id]} times in the ledger"

    def _accounts(self) -> Iterator[str]:
        books, booked = self._world.stores.ledger.books, self._booked
        held: dict[UUID, int] = defaultdict(int)
        for hold in books.holds.values():
            rest = hold.amount_minor - hold.captured_minor - hold.released_minor
            if hold.status.value == "pending":
                if hold.account_id is not None:
                    held[hold.account_id] += rest
            elif hold.status.value != "refused" and rest != 0:
                yield f"I2: hold {hold.id} is {hold.status.value} and {rest} of it is neither captured nor released"
            if hold.captured_minor != booked.captured[hold.payment_id]:
                yield f"I2: hold {hold.id} says {hold.captured_minor} captured, {booked.captured[hold.payment_id]} is booked"
        totals: dict[tuple[str, str], int] = defaultdict(int)
        for account in books.accounts.values():
            debits, credits_ = booked.debits[account.id], booked.credits[account.id]
            if (account.debits_minor, account.credits_minor) != (debits, credits_):
                yield f"I2: account {account.spec.code} has other totals than its postings"
            if account.held_minor != held[account.id]:
                yield f"I2: account {account.spec.code} has {account.held_minor} held, its holds say {held[account.id]}"
            ledger_balance = debits - credits_ if account.spec.type.value in DEBIT_NORMAL else credits_ - debits
            least = account.spec.minimum_available_minor
            if least is not None and ledger_balance - held[account.id] < least:
                yield f"I2: account {account.spec.code} is {ledger_balance - held[account.id]}, below its limit {least}"
            totals[account.spec.mode, account.spec.currency] += account.debits_minor - account.credits_minor
        for (mode, currency), total in totals.items():
            if total != 0:
                yield f"I5: the {mode} accounts in {currency} add up to {total}"

    # I3, I4: the payments -------------------------------------------------------------------------------------------

    def _payments(self) -> Iterator[str]:
        store = self._world.stores.gateway
        for (merchant_id, key), payment_id in self._memory.accepted.items():
            if store.by_key.get((merchant_id, "test", key)) != payment_id or payment_id not in store.payments:
                yield f"I3: payment {payment_id} was answered and is lost"
        for payment in store.payments.values():
            yield from self._payment(payment)

    def _payment(self, payment: Any) -> Iterator[str]:
        store, name = self._world.stores.gateway, ids.to_text("pay", payment.id)
        is_final = payment.state in FINAL
        if is_final != (payment.deadline_at is None) or is_final == (payment.id in store.deadlines):
            yield f"I3: {name} is {payment.state} with deadline {payment.deadline_at}"
        if payment.state in STATES_WITH_REASON and not payment.reason:
            yield f"I3: {name} is {payment.state} without a reason"
        if not is_final and self.calm_since is not None:
            late = self._world.loop.now() - max(payment.deadline_at, self.calm_since)
            if late > GRACE:
                yield f"I3: {name} is {payment.state} although its deadline {payment.deadline_at} has passed"
        lines = store.timelines.get(payment.id, {})
        numbers = sorted([*lines, *self._told.numbers[name]])
        if numbers != list(range(1, payment.sequence + 1)):
            yield f"I8: {name} has come to {payment.sequence}, its timeline and events are numbered {numbers}"
        causes = [line.line.cause for line in lines.values() if line.line.cause is not None]
        if len(causes) != len(set(causes)):
            yield f"I8: {name} has taken an event in twice"
        if lines and lines[max(lines)].line.state != payment.state:
            yield f"I3: {name} is {payment.state}, its timeline says {lines[max(lines)].line.state}"
        booked = self._booked.captured[payment.id]
        if booked > payment.amount_minor:
            yield f"I4: {name} of {payment.amount_minor} has {booked} captured"

    def _chain(self) -> Iterator[str]:
        state = self._world.chain.state
        for payment, payout in state.payouts.items():
            if state.paid[payment] != payout.amount:
                yield f"I4: payment {payment} was paid {state.paid[payment]} on chain instead of {payout.amount}"
            booked = self._booked.captured[UUID(payment)]
            if payout.amount != booked * UNITS_A_MINOR:
                yield f"I4: payment {payment} was paid {payout.amount} on chain with {booked} captured"
        if state.treasury + sum(state.paid.values()) != state.supply:
            yield f"I4: the treasury has {state.treasury} after {sum(state.paid.values())} of {state.supply} was paid"

    # I7, I8: once nothing is in flight ------------------------------------------------------------------------------

    def _agreement(self) -> Iterator[str]:
        world, told = self._world, self._told
        for payment in world.stores.gateway.payments.values():
            name, booked = ids.to_text("pay", payment.id), self._booked.captured[payment.id]
            if payment.amount_captured_minor != booked:
                yield f"I7: {name} has {payment.amount_captured_minor} captured, the ledger has booked {booked}"
            recorded = world.stores.gateway.captures.get(payment.id, {}).values()
            succeeded = sum(capture.amount_minor for capture in recorded if capture.state == "succeeded")
            if succeeded != booked:
                yield f"I7: the captures of {name} come to {succeeded}, the ledger has booked {booked}"
            for capture in recorded:
                if capture.state == "pending":
                    yield f"I8: capture {capture.ordinal} of {name} is pending with nothing on the way"
            for source in ("rialto.fraud", "rialto.compliance"):
                if told.verdicts[source, name] != 1:
                    yield f"I8: {source} has told {told.verdicts[source, name]} verdicts on {name}"
        for capture_id in told.asked:
            if capture_id not in told.answered:
                yield f"I8: the ledger has not answered capture {capture_id}"
            elif (told.answered[capture_id] == "captured") != (capture_id in self._booked.capture_ids):
                yield f"I8: capture {capture_id} was told as {told.answered[capture_id]}, the journal says otherwise"
        for entry in world.stores.ledger.books.entries:
            if told.entries[ids.to_text("je", entry)] != 1:
                yield f"I8: entry {entry} was told {told.entries[ids.to_text('je', entry)]} times"
        for hold in world.stores.ledger.books.holds.values():
            placed = hold.account_id is not None and hold.status.value != "refused"
            if told.holds.get(ids.to_text("hold", hold.id)) != (hold.amount_minor if placed else None):
                yield f"I8: hold {hold.id} of {hold.amount_minor} was not told as it is"

    def _end(self) -> Iterator[str]:
        """At the end of a history that has calmed down: final, or with a reason to wait."""
        for payment in self._world.stores.gateway.payments.values():
            if payment.state not in FINAL and not (payment.state == "captured" and payment.reason):
                yield f"I3: {ids.to_text('pay', payment.id)} came to rest as {payment.state}"
            settled = self._booked.settled[payment.id]
            if (payment.state == "settled") != (settled == 1):
                yield f"I7: {ids.to_text('pay', payment.id)} is {payment.state}, and settled {settled} times in the ledger"
            if settled and self._booked.settled_minor[payment.id] != payment.amount_captured_minor:
                yield f"I7: {ids.to_text('pay', payment.id)} was settled with another amount than was captured"


_READ = frozenset(
    {
        "rialto.capture.requested.v1",
        "rialto.hold.captured.v1",
        "rialto.hold.placed.v1",
        "rialto.posting.refused.v1",
        "rialto.journal_entry.posted.v1",
    }
)
