"""Checks I1-I5, I7 and I8 on what is durable, by arithmetic of its own: nothing that decides is asked about itself.

What it reads are rows, events and the chain's payouts. New events and entries are taken in once; totals are kept beside
the services' own and compared with them. Some promises hold at every instant; others only at rest, when every event has
been handled.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson

from rialto_cli.sim.card_invariants import OPEN, CardChecker
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
    refunded: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    capture_ids: dict[str, UUID] = field(default_factory=dict)
    settled: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    """By payment: settlements minus reversals; 0 or 1."""

    settled_minor: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    held: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    totals: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """Debits minus credits of all accounts, by mode and currency."""


@dataclass
class _Agreed:
    """How far services were found to agree."""

    payments: "_Seen[Any]" = field(default_factory=lambda: _Seen())
    captures: int = 0
    entries: int = 0
    holds: int = 0
    verdicts: int = 0


Row = TypeVar("Row")


@dataclass
class _Seen(Generic[Row]):
    """Rows as they were at the last look: rows are never changed, only replaced, so what is the same needs no look."""

    rows: list[Row | None] = field(default_factory=list)

    def changes(self, table: Mapping[UUID, Row]) -> list[tuple[Row | None, Row]]:
        """Return the rows that are new or other than before, each after what it was."""
        seen = self.rows
        seen.extend([None] * (len(table) - len(seen)))
        changed = []
        for nth, row in enumerate(table.values()):
            if row is not seen[nth]:
                changed.append((seen[nth], row))
                seen[nth] = row
        return changed


class Checker:
    """Looks at one world again and again."""

    def __init__(self, world: World, memory: Memory) -> None:
        self._world = world
        self._memory = memory
        self._told = _Told()
        self._booked = _Booked()
        self._events_seen = 0
        self._entries_seen = 0
        self._chain_seen = -1
        self._answers_seen = 0
        self._handled_to: dict[tuple[str, str, int], int] = defaultdict(int)
        self._payments_seen: _Seen[Any] = _Seen()
        self._accounts_seen: _Seen[Any] = _Seen()
        self._holds_seen: _Seen[Any] = _Seen()
        self._agreed = _Agreed()
        self._cards = CardChecker(world)
        self.calm_since: datetime | None = None
        self.looks = 0

    def look(self, *, at_rest: bool, at_end: bool = False) -> list[str]:
        """Return what is wrong now, each with the invariant's number. At the end, everything is looked at once more."""
        self.looks += 1
        if at_end:
            self._payments_seen, self._agreed = _Seen(), _Agreed()
            self._answers_seen = 0
        found = [*self._memory.violations, *self._new_events(), *self._new_entries()]
        found += self._holds()
        found += self._accounts()
        found += self._payments()
        found += self._cards.look()
        if self._chain_seen != self._world.chain.version:
            self._chain_seen = self._world.chain.version
            found += self._chain()
        found += self._handled()
        if at_rest:
            found += self._agreement()
        if at_end:
            found += self._end()
            found += self._cards.end(self._booked.refunded)
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
        if event.type not in ("rialto.posting.refused.v1", "rialto.hold.increase_refused.v1"):
            place = (event.topic, event.source, event.key)
            if event.sequence <= told.last.get(place, 0):
                yield f"I8: {event.type} of {event.key} has sequence {event.sequence} after {told.last[place]}"
            told.last[place] = event.sequence
        self._note(event)

    def _note(self, event: Event) -> None:
        told, name = self._told, event.type
        if event.source == "rialto.gateway" and not name.startswith("rialto.payment.created."):
            told.numbers[event.key].append(event.sequence)
        if name in ("rialto.fraud.assessed.v1", "rialto.compliance.screened.v1"):
            told.verdicts[event.source, event.key] += 1
            return  # a second one has an id of its own only if it is about something else: see _agreement
        if name not in _READ:
            return
        data = orjson.loads(event.data)
        if name == "rialto.capture.requested.v1":
            told.asked[data["capture_id"]] = int(data["amount_minor"])
        elif name in ("rialto.hold.captured.v1", "rialto.capture.booked.v1"):
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
        for group, (_, types) in CONSUMED.items():
            inbox = world.stores.inboxes[group]
            for (topic, partition), end in world.bus.groups[group].reached.items():
                place = (group, topic, partition)
                start = self._handled_to[place]
                if end <= start:
                    continue
                for event in world.bus.logs[topic, partition][start:end]:
                    if event.type in types and (event.source, event.id) not in inbox.handled:
                        yield f"I8: {group} went past {event.type} of {event.key} without handling it"
                self._handled_to[place] = end
            for (_, key), letters in inbox.parked.items():
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
        elif entry.kind == "refund":
            booked.refunded[payment_id] += entry.postings[0].amount_minor
        elif entry.kind in ("chain_settlement", "chain_settlement_reversal"):
            sign = 1 if entry.kind == "chain_settlement" else -1
            booked.settled[payment_id] += sign
            booked.settled_minor[payment_id] += sign * entry.postings[0].amount_minor
            if booked.settled[payment_id] not in (0, 1):
                yield f"I4: payment {payment_id} is settled {booked.settled[payment_id]} times in the ledger"

    def _holds(self) -> Iterator[str]:
        booked = self._booked
        for before, hold in self._holds_seen.changes(self._world.stores.ledger.books.holds):
            if hold.account_id is not None:
                booked.held[hold.account_id] += _reserved(hold) - _reserved(before)
            rest = hold.amount_minor - hold.captured_minor - hold.released_minor
            if rest < 0 or (rest > 0 and hold.status.value not in ("pending", "refused")):
                yield f"I2: hold {hold.id} is {hold.status.value} and {rest} of it is neither captured nor released"
            if hold.captured_minor != booked.captured[hold.payment_id]:
                told, is_booked = hold.captured_minor, booked.captured[hold.payment_id]
                yield f"I2: hold {hold.id} has {told} captured, the journal {is_booked}"

    def _accounts(self) -> Iterator[str]:
        booked = self._booked
        changes = self._accounts_seen.changes(self._world.stores.ledger.books.accounts)
        for before, account in changes:
            debits, credits_, held = booked.debits[account.id], booked.credits[account.id], booked.held[account.id]
            if (account.debits_minor, account.credits_minor) != (debits, credits_):
                yield f"I2: account {account.spec.code} has other totals than its postings"
            if account.held_minor != held:
                yield f"I2: account {account.spec.code} has {account.held_minor} held, its holds say {held}"
            ledger_balance = debits - credits_ if account.spec.type.value in DEBIT_NORMAL else credits_ - debits
            least = account.spec.minimum_available_minor
            if least is not None and ledger_balance - held < least:
                yield f"I2: account {account.spec.code} is at {ledger_balance - held}, below its limit {least}"
            group = (account.spec.mode, account.spec.currency)
            booked.totals[group] += account.debits_minor - account.credits_minor
            if before is not None:
                booked.totals[group] -= before.debits_minor - before.credits_minor
        if changes:
            for (mode, currency), total in booked.totals.items():
                if total != 0:
                    yield f"I5: the {mode} accounts in {currency} add up to {total}"

    # I3, I4: the payments -------------------------------------------------------------------------------------------

    def _payments(self) -> Iterator[str]:
        store, accepted = self._world.stores.gateway, self._memory.accepted
        for (merchant_id, key), payment_id in islice(accepted.items(), self._answers_seen, None):
            if store.by_key.get((merchant_id, "test", key)) != payment_id or payment_id not in store.payments:
                yield f"I3: payment {payment_id} was answered and is lost"
        self._answers_seen = len(accepted)
        for _, payment in self._payments_seen.changes(store.payments):
            yield from self._payment(payment)
        if self.calm_since is not None and store.deadlines:
            payment_id, due_at = min(store.deadlines.items(), key=lambda item: item[1])
            if self._world.loop.now() - max(due_at, self.calm_since) > GRACE:
                state = store.payments[payment_id].state
                yield f"I3: payment {payment_id} is {state} although its deadline {due_at} has passed"

    def _payment(self, payment: Any) -> Iterator[str]:
        store, name = self._world.stores.gateway, ids.to_text("pay", payment.id)
        is_final = payment.state in FINAL
        if is_final != (payment.deadline_at is None) or is_final == (payment.id in store.deadlines):
            yield f"I3: {name} is {payment.state} with deadline {payment.deadline_at}"
        if payment.state in STATES_WITH_REASON and not payment.reason:
            yield f"I3: {name} is {payment.state} without a reason"
        lines = store.timelines.get(payment.id, {})
        numbers = sorted([*lines, *self._told.numbers[name]])
        if numbers != list(range(1, payment.sequence + 1)):
            yield f"I8: {name} has come to {payment.sequence}, its timeline and events are numbered {numbers}"
        # An attempt causes a line each time it comes to another state; an event causes one.
        causes = [
            (cause, line.line.event if cause.startswith("att_") else "")
            for line in lines.values()
            if (cause := line.line.cause) is not None
        ]
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
        world, told, agreed = self._world, self._told, self._agreed
        payments, books = world.stores.gateway.payments, world.stores.ledger.books
        for _, payment in agreed.payments.changes(payments):
            yield from self._totals(payment)
        for payment_id in islice(payments, agreed.verdicts, None):
            name = ids.to_text("pay", payment_id)
            for source in ("rialto.fraud", "rialto.compliance"):
                if told.verdicts[source, name] != 1:
                    yield f"I8: {source} has told {told.verdicts[source, name]} verdicts on {name}"
        for capture_id in islice(told.asked, agreed.captures, None):
            if capture_id not in told.answered:
                yield f"I8: the ledger has not answered capture {capture_id}"
            elif (told.answered[capture_id] == "captured") != (capture_id in self._booked.capture_ids):
                yield f"I8: capture {capture_id} was told as {told.answered[capture_id]}, the journal says otherwise"
        for entry_id in islice(books.entries, agreed.entries, None):
            if told.entries[ids.to_text("je", entry_id)] != 1:
                yield f"I8: entry {entry_id} was told {told.entries[ids.to_text('je', entry_id)]} times"
        for hold in islice(books.holds.values(), agreed.holds, None):
            placed = hold.account_id is not None and hold.status.value != "refused"
            if told.holds.get(ids.to_text("hold", hold.id)) != (hold.placed_minor if placed else None):
                yield f"I8: hold {hold.id} of {hold.amount_minor} was not told as it is"
        agreed.verdicts, agreed.captures = len(payments), len(told.asked)
        agreed.entries, agreed.holds = len(books.entries), len(books.holds)

    def _totals(self, payment: Any) -> Iterator[str]:
        name, booked = ids.to_text("pay", payment.id), self._booked.captured[payment.id]
        if payment.amount_captured_minor != booked:
            yield f"I7: {name} has {payment.amount_captured_minor} captured, the ledger has booked {booked}"
        recorded = self._world.stores.gateway.captures.get(payment.id, {}).values()
        succeeded = sum(capture.amount_minor for capture in recorded if capture.state == "succeeded")
        if succeeded != booked:
            yield f"I7: the captures of {name} come to {succeeded}, the ledger has booked {booked}"
        for capture in recorded:
            if capture.state == "pending" and not self._is_asked(capture.capture_id):
                yield f"I8: capture {capture.ordinal} of {name} is pending with nothing on the way"

    def _is_asked(self, capture_id: UUID) -> bool:
        """Whether an acquirer is being asked for a capture."""
        attempts = self._world.stores.gateway.attempts.rows
        asked = attempts.get(ids.derive(capture_id, "attempt"))
        return asked is not None and asked.state in OPEN

    def _end(self) -> Iterator[str]:
        """At the end of a history that has calmed down: final, or with a reason to wait."""
        memory = self._memory
        if not memory.planned or len(memory.accepted) != memory.planned:
            yield f"I3: {len(memory.accepted)} of {memory.planned} payments were answered"
        for payment in self._world.stores.gateway.payments.values():
            if payment.state not in FINAL and not (payment.state == "captured" and payment.reason):
                yield f"I3: {ids.to_text('pay', payment.id)} came to rest as {payment.state}"
            settled = self._booked.settled[payment.id]
            if (payment.state == "settled") != (settled == 1):
                yield f"I7: {ids.to_text('pay', payment.id)} is {payment.state}, settled {settled} times in the ledger"
            if settled and self._booked.settled_minor[payment.id] != payment.amount_captured_minor:
                yield f"I7: {ids.to_text('pay', payment.id)} was settled with another amount than was captured"


def _reserved(hold: Any) -> int:
    """Return what a hold takes from its account's available balance."""
    if hold is None or hold.status.value != "pending":
        return 0
    reserved: int = hold.amount_minor - hold.captured_minor - hold.released_minor
    return reserved


_READ = frozenset(
    {
        "rialto.capture.requested.v1",
        "rialto.capture.booked.v1",
        "rialto.hold.captured.v1",
        "rialto.hold.placed.v1",
        "rialto.posting.refused.v1",
        "rialto.journal_entry.posted.v1",
    }
)
