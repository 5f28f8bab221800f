"""What the payments' handlers need from storage: tables inside a transaction, and reads of what is committed."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from rialto_common.events.common import Sealed
from rialto_common.events.envelope import Event
from rialto_gateway.attempts.ports import Attempts
from rialto_gateway.increments.ports import Increments, MandateUses
from rialto_gateway.merchants.keys import Mode
from rialto_gateway.payments.bodies import SavedPayment
from rialto_gateway.payments.errors import MethodNotAvailable
from rialto_gateway.payments.machine import CaptureChange
from rialto_gateway.payments.states import Payment
from rialto_gateway.payouts.ports import Payouts
from rialto_gateway.pricing.ports import Pricing
from rialto_gateway.refunds.ports import Refunds
from rialto_gateway.webhooks.messages import Messages

IdempotencyKey = tuple[UUID, str, str]
"""Merchant, mode and the caller's key: what names a payment before it has an id."""


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment to accept; `payer` and `payee` are sealed JSON, `card` what is kept of one (None: from a wallet)."""

    payment_id: UUID
    merchant_id: UUID
    mode: str
    shard: int
    idempotency_key: str
    request_hash: bytes
    amount_minor: int
    currency: str
    wallet_id: UUID | None
    capture_method: str
    terminal_id: str | None
    description: str | None
    metadata: str
    payer: str
    payee: str | None
    payee_address: str
    occurred_at: datetime
    traceparent: str | None
    card: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TimelineLine:
    """A line to add to a payment's timeline."""

    payment_id: UUID
    nth: int
    state: str
    event: str
    cause: str | None
    actor: str
    detail: Mapping[str, Any] | None


class Payments(Protocol):
    """The payments' tables, inside one transaction."""

    async def lock(self, payment_ids: Sequence[UUID]) -> dict[UUID, Payment]:
        """Load payments and keep others from changing them until the transaction ends."""
        ...

    async def save(self, payments: Sequence[Payment], now: datetime) -> None:
        """Write payments back, and their deadline rows."""
        ...

    async def add_timeline(self, lines: Sequence[TimelineLine], now: datetime) -> None:
        """Add lines to timelines."""
        ...

    async def record_captures(self, captures: Sequence[tuple[UUID, CaptureChange]], now: datetime) -> None:
        """Record captures asked for (payment id, capture), and the outcomes of earlier ones."""
        ...

    async def insert(self, new: Sequence[NewPayment], now: datetime, deadline_at: datetime) -> set[UUID]:
        """Insert the payments whose idempotency key is free; return their ids."""
        ...

    async def start_timeline(self, new: Sequence[NewPayment], now: datetime, deadline_at: datetime) -> None:
        """Write the first timeline line and the deadline row of each."""
        ...

    async def by_idempotency_key(self, keys: Sequence[IdempotencyKey]) -> dict[IdempotencyKey, tuple[UUID, bytes]]:
        """Return payment id and request hash by key."""
        ...

    async def captured_under(self, payment_id: UUID, key: str, request_hash: bytes) -> bool:
        """Say whether this capture was asked for before under the key.

        Raises: IdempotencyKeyReused: another capture was.
        """
        ...

    async def name_capture(self, payment_id: UUID, key: str, request_hash: bytes) -> None:
        """Remember the key of the capture just recorded, and what it stands for."""
        ...


@dataclass(frozen=True, slots=True)
class SavedCard:
    """What a payment by a saved method is charged to: the acquirer's token, and the payer's facts."""

    token: str = field(repr=False)
    payer: dict[str, object] = field(repr=False)


class SavedCards(Protocol):
    """The cards kept for customers, as far as payments are made by them."""

    async def charge(
        self, merchant_id: UUID, mode: Mode, method: SavedPayment, amount_minor: int, currency: str, key: str
    ) -> SavedCard:
        """Return what a payment is charged to, having put on record that it uses a mandate.

        Raises: what refuses it.
        """
        ...

    async def take_back(self, method: SavedPayment, key: str) -> None:
        """Forget the use of a mandate by a payment that was refused."""
        ...


class NoSavedCards:
    """No card is kept."""

    async def charge(
        self, merchant_id: UUID, mode: Mode, method: SavedPayment, amount_minor: int, currency: str, key: str
    ) -> SavedCard:
        """Raises: MethodNotAvailable."""
        raise MethodNotAvailable("no cards are saved here", param="payment_method")

    async def take_back(self, method: SavedPayment, key: str) -> None:
        """Nothing was used."""


class PaymentReader(Protocol):
    """Reads of committed payments, as rows of `gateway.payments` and of the tables beside it."""

    async def row(self, payment_id: UUID, merchant_id: UUID | None, mode: str | None) -> Mapping[str, Any] | None:
        """Return a payment; None where there is none, or another merchant's or mode's (None: any)."""
        ...

    async def made_under(self, key: IdempotencyKey) -> tuple[UUID, bytes] | None:
        """Return the payment accepted under a key, and the hash of its request; None where there is none."""
        ...

    async def rows(self, payment_ids: Sequence[UUID]) -> Sequence[Mapping[str, Any]]:
        """Return payments by id, in any order."""
        ...

    async def timeline(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's timeline, oldest first."""
        ...

    async def captures(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's captures, in the order of their ordinals."""
        ...

    async def increments(self, payment_id: UUID) -> Sequence[Mapping[str, Any]]:
        """Return a payment's increments, in the order of their ordinals."""
        ...

    async def newest(
        self,
        merchant_id: UUID | None,
        mode: str,
        *,
        before: UUID,
        state: str | None,
        limit: int,
        down_to: UUID | None = None,
    ) -> Sequence[Mapping[str, Any]]:
        """Return payments of a merchant (None: of all) below an id, down to another, the newest first."""
        ...

    async def floor(self, merchant_id: UUID | None, mode: str, *, before: UUID, depth: int) -> UUID | None:
        """Return the id to look down to, so as to look at no more than `depth` payments; None where there are fewer."""
        ...

    async def changes(
        self, merchant_id: UUID | None, mode: str, *, since: datetime, after: UUID, limit: int
    ) -> Sequence[tuple[datetime, UUID]]:
        """Return when which payment changed, from a place in time on, oldest first."""
        ...

    async def decided(self, payment_ids: Sequence[UUID]) -> list[UUID]:
        """Return which of these payments are no longer undecided."""
        ...

    async def answered(self, payment_ids: Sequence[UUID]) -> list[UUID]:
        """Return for which of these payments every increment, capture and void has been answered."""
        ...

    async def due(self, now: datetime, limit: int) -> list[UUID]:
        """Return payments whose deadline has passed, the longest overdue first."""
        ...

    async def postpone(self, payment_id: UUID, until: datetime) -> None:
        """Look at a payment again later; its deadline itself stays as it is."""
        ...


class People(Protocol):
    """Seals personal data, inside one transaction."""

    def party_id(self, scope: UUID, person: Mapping[str, object]) -> UUID:
        """Return a person's id within a scope (a merchant): the same for the same facts, telling nothing of them."""
        ...

    async def seal(self, people: Sequence[tuple[UUID, bytes]]) -> list[Sealed]:
        """Seal one text per party, making keys for new parties.

        Raises: PersonErased, SealBroken.
        """
        ...


class Unit(Protocol):
    """One unit of work of the gateway."""

    @property
    def payments(self) -> Payments: ...

    @property
    def attempts(self) -> Attempts: ...

    @property
    def refunds(self) -> Refunds: ...

    @property
    def increments(self) -> Increments: ...

    @property
    def mandates(self) -> MandateUses: ...

    @property
    def payouts(self) -> Payouts: ...

    @property
    def pricing(self) -> Pricing: ...

    @property
    def messages(self) -> Messages: ...

    @property
    def people(self) -> People: ...

    def publish(self, *events: Event) -> None:
        """Put events on the bus when it commits, in this order."""
        ...


class Units(Protocol):
    """Opens units of work."""

    def begin(self, *, admitting: bool = False) -> AbstractAsyncContextManager[Unit]:
        """Open one: it commits when the block ends and rolls back when the block raises.

        `admitting`: it takes in new payments, and is refused when too much waits for the bus already.

        Raises on leaving: CommitUnknown: the commit's answer was lost. BusBacklogFull: refused, nothing is written.
        """
        ...
