"""The payouts' tables in memory, under the same contract as PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from rialto_common.bus.memory import MemoryTransaction
from rialto_common.errors import InvariantViolated
from rialto_gateway.payments.states import Payment
from rialto_gateway.payouts.payout import Line, Payout, Waiting, count, counted
from rialto_gateway.payouts.ports import HeldBack, Named, Settings
from rialto_gateway.payouts.schedule import Terms
from rialto_gateway.payouts.store import found_under

Whose = tuple[UUID, str]


@dataclass
class PayoutRows:
    """Committed rows: settings by merchant and mode, payouts, their payments by id, and the keys they came under."""

    settings: dict[Whose, Settings] = field(default_factory=dict)
    payouts: dict[UUID, Payout] = field(default_factory=dict)
    lines: dict[UUID, Line] = field(default_factory=dict)
    held: dict[tuple[UUID, str, str, date], int] = field(default_factory=dict)
    names: dict[tuple[UUID, str, str], tuple[UUID, bytes]] = field(default_factory=dict)

    def terms_of(self, merchant_id: UUID, mode: str) -> Terms:
        """Return the terms in force for a merchant."""
        settings = self.settings.get((merchant_id, mode))
        return Terms() if settings is None else settings.terms


class MemoryPayouts:
    """One transaction's view of the tables."""

    def __init__(self, committed: PayoutRows, payments: Mapping[UUID, Payment], transaction: MemoryTransaction) -> None:
        """`payments` are the committed ones: who waits for a payout was captured in a transaction before."""
        self._committed = committed
        self._payments = payments
        self._mine = PayoutRows()
        transaction.on_commit(self._commit, unless=lambda: self._mine == PayoutRows())

    async def lock_settings(self, merchant_id: UUID, mode: str) -> Settings | None:
        """Load a merchant's settings; the unit of work keeps the others out."""
        whose = (merchant_id, mode)
        return self._mine.settings.get(whose) or self._committed.settings.get(whose)

    async def save_settings(self, settings: Settings, now: datetime) -> None:
        """Write settings back, or for the first time."""
        self._mine.settings[settings.merchant_id, settings.mode] = settings

    async def hold_back(self, shares: Sequence[HeldBack], now: datetime) -> None:
        """Add to what is held back of today's captures."""
        for share in shares:
            place = (share.merchant_id, share.mode, share.currency, now.date())
            before = self._mine.held.get(place, self._committed.held.get(place, 0))
            self._mine.held[place] = before + share.amount_minor

    async def waiting(self, merchant_id: UUID, mode: str, currency: str, limit: int) -> list[Waiting]:
        """Return payments that wait for a payout, the oldest first."""
        found = [
            Waiting(payment.id, payment.amount_net_minor)
            for payment in self._payments.values()
            if payment.waits_for_payout
            and (payment.merchant_id, payment.mode, payment.currency) == (merchant_id, mode, currency)
        ]
        return sorted(found, key=lambda each: each.payment_id.bytes)[:limit]

    async def made_under(self, merchant_id: UUID, mode: str, named: Named) -> UUID | None:
        """Return the payout that was asked for before under the key, if any. Raises: IdempotencyKeyReused."""
        name = (merchant_id, mode, named.key)
        found = self._mine.names.get(name) or self._committed.names.get(name)
        return None if found is None else found_under(*found, named)

    async def add(self, payout: Payout, payments: Sequence[Waiting], named: Named | None) -> None:
        """Record a payout with its payments. Raises: InvariantViolated: it, or a payment in it, is there already."""
        taken = self._committed.lines.keys() | self._mine.lines.keys()
        if payout.id in self._committed.payouts or any(each.payment_id in taken for each in payments):
            raise InvariantViolated(f"payout {payout.id}, or a payment in it, is there already")
        self._mine.payouts[payout.id] = payout
        for each in payments:
            self._mine.lines[each.payment_id] = Line(payout.id, each.payment_id, "pending")
        if named is not None:
            self._mine.names[payout.merchant_id, payout.mode, named.key] = (payout.id, named.request_hash)

    async def move(self, lines: Sequence[Line], recount: Sequence[UUID], now: datetime) -> list[tuple[Payout, Payout]]:
        """Write how payments stand, and count their payouts anew."""
        self._mine.lines.update((line.payment_id, line) for line in lines)
        moved = []
        for payout_id in sorted({*(line.payout_id for line in lines), *recount}):
            before = self._mine.payouts.get(payout_id) or self._committed.payouts[payout_id]
            every = (self._committed.lines | self._mine.lines).values()
            after = counted(before, count([line for line in every if line.payout_id == payout_id]), now)
            self._mine.payouts[payout_id] = after
            moved.append((before, after))
        return moved

    def _commit(self) -> None:
        self._committed.settings.update(self._mine.settings)
        self._committed.payouts.update(self._mine.payouts)
        self._committed.lines.update(self._mine.lines)
        self._committed.held.update(self._mine.held)
        self._committed.names.update(self._mine.names)
