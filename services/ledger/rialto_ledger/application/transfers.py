"""Transfers: remembered and told in the transaction that posts their first entry, and what is told of them, handled.

A transfer between two ledgers takes three transactions: the sender's (`transfer.sent`), the receiver's
(`transfer.received` or `transfer.refused`), and the sender's again. Each may be repeated or die anywhere; a repeated
event is answered with the same event, by what is on record.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from rialto_common import ids
from rialto_common.bus.port import Transaction
from rialto_common.errors import MalformedEvent
from rialto_common.events import Event, EventData, compose
from rialto_common.events.ledger import TransferReceived, TransferRefused, TransferSent
from rialto_common.runtime import Runtime
from rialto_ledger.application.layer import LedgerLayer
from rialto_ledger.application.ports import Ledger
from rialto_ledger.application.posting import post
from rialto_ledger.application.telling import SOURCE, Teller
from rialto_ledger.domain import transfer as transfers
from rialto_ledger.domain.batch import Decision
from rialto_ledger.domain.commands import PostEntry
from rialto_ledger.domain.errors import AccountNotFound, LedgerError, TransferIdReused, TransferNotFound
from rialto_ledger.domain.shards import Shards
from rialto_ledger.domain.transfer import Transfer, TransferSide, TransferState

Tx = TypeVar("Tx", bound=Transaction)

Handle = Callable[[Tx, Sequence[Event]], Awaitable[None]]

HANDLED_TYPES = frozenset({TransferSent.type, TransferReceived.type, TransferRefused.type})
SENT_SEQUENCE, ANSWER_SEQUENCE = 1, 2


class Transfers(Protocol):
    """Transfers on record, inside one transaction that someone else opens and commits."""

    async def find(self, side: TransferSide, transfer_ids: Collection[UUID]) -> Mapping[UUID, Transfer]:
        """Return those that there are, and keep others from changing them until the transaction ends."""
        ...

    async def add(self, new: Sequence[Transfer]) -> None:
        """Keep new transfers. Raises: ConcurrentPosting: another transaction has kept one meanwhile."""
        ...

    async def end(self, ended: Sequence[Transfer]) -> None:
        """Write state, refusal and end of transfers that were sent."""
        ...


class TransferReader(Protocol):
    """Reads of committed transfers."""

    async def transfer(self, transfer_id: UUID) -> Transfer | None:
        """Return a transfer, as its sender knows it where both sides are on record; or None."""
        ...


class SendingLedger(LedgerLayer):
    """The books, in which a transfer's first entry is remembered and told: all of it in one commit, or nothing."""

    def __init__(self, ledger: Ledger, records: Transfers, publish: Callable[[Event], None], shards: Shards) -> None:
        super().__init__(ledger)
        self._records = records
        self._publish = publish
        self._shards = shards

    async def saved(self, decision: Decision, now: datetime) -> None:
        """Remember and tell a decision's transfers. Raises: ConcurrentPosting."""
        new = [
            transfers.transfer_of(entry, self._shards.reached_by(entry.shard))
            for entry in decision.entries
            if entry.kind in transfers.FIRST_KINDS
        ]
        if not new:
            return
        await self._records.add(new)
        for transfer in new:
            if transfer.state is TransferState.SENT:
                data = TransferSent(**_facts(transfer), entry_id=transfers.first_entry_id(transfer.id))
                self._publish(_event(data, transfer, transfer.to_shard, SENT_SEQUENCE, now))


class TransferHandler(Generic[Tx]):
    """Handles what other ledgers tell of transfers, a batch in the transaction of the frame."""

    def __init__(
        self,
        ledger_of: Callable[[Tx], Ledger],
        records_of: Callable[[Tx], Transfers],
        runtime: Runtime,
    ) -> None:
        self._ledger_of = ledger_of
        self._records_of = records_of
        self._runtime = runtime

    async def handle(self, transaction: Tx, events: Sequence[Event]) -> None:
        """Receive what was sent, and end what was answered.

        Raises: MalformedEvent, TransferNotFound, InvariantViolated: the frame finds and parks the one at fault.
        """
        if sent := [event for event in events if event.type == TransferSent.type]:
            await self._receive(transaction, sent)
        if received := [event for event in events if event.type == TransferReceived.type]:
            await self._end_received(transaction, received)
        if refused := [event for event in events if event.type == TransferRefused.type]:
            await self._give_back(transaction, refused)

    async def _receive(self, transaction: Tx, events: Sequence[Event]) -> None:
        """Post what the accounts take, and answer each: as the first time where it was answered before."""
        records, now = self._records_of(transaction), self._runtime.now()
        told = [(_received_of(event, now), event) for event in events]
        known = dict(await records.find(TransferSide.RECEIVER, {transfer.id for transfer, _ in told}))
        new: dict[UUID, tuple[Transfer, Event]] = {}
        for transfer, event in told:
            if transfer.id not in known:
                new.setdefault(transfer.id, (transfer, event))
        refusals = await self._refused_targets(transaction, [transfer for transfer, _ in new.values()])
        posted = [(transfer, event) for transfer, event in new.values() if transfer.id not in refusals]
        commands = [(transfers.receive(transfer, event.time), event) for transfer, event in posted]
        for (transfer, _), error in zip(posted, await self._post(transaction, commands, now), strict=True):
            if error is not None:
                refusals[transfer.id] = error
        ended = [_answered(transfer, refusals.get(transfer.id), now) for transfer, _ in new.values()]
        if ended:
            await records.add(ended)
        known |= {transfer.id: transfer for transfer in ended}
        for transfer, event in told:
            answered = known[transfer.id]
            if not answered.is_same_movement(transfer):
                # The id is another sender's here: what came second goes back, and the first stays as it is.
                answered = _answered(transfer, TransferIdReused(transfer.id), now)
            transaction.publish(_answer(answered, event, now))

    async def _refused_targets(self, transaction: Tx, new: Sequence[Transfer]) -> dict[UUID, LedgerError]:
        """Return the refusals of what a merchant sends to an account that is not its to pay."""
        of_merchants = [transfer for transfer in new if transfer.merchant_id is not None]
        if not of_merchants:
            return {}
        targets = await self._ledger_of(transaction).accounts({transfer.to_account_id for transfer in of_merchants})
        specs = {account_id: account.spec for account_id, account in targets.items()}
        return {
            transfer.id: AccountNotFound(transfer.to_account_id)
            for transfer in of_merchants
            # What is in transit is opened by receiving it, so that it may not be there yet.
            if transfer.to_account_id == transfer.in_transit.id
            or not transfers.may_be_paid(specs.get(transfer.to_account_id), transfer.merchant_id)
        }

    async def _end_received(self, transaction: Tx, events: Sequence[Event]) -> None:
        records, now = self._records_of(transaction), self._runtime.now()
        answered = [event.read(TransferReceived).transfer_id for event in events]
        known = await _known(records, answered)
        await records.end([known[transfer_id].received(now) for transfer_id in dict.fromkeys(answered)])

    async def _give_back(self, transaction: Tx, events: Sequence[Event]) -> None:
        """Post the money back, once; into suspense where its account does not take it any more."""
        records, now = self._records_of(transaction), self._runtime.now()
        told = {(data := event.read(TransferRefused)).transfer_id: (data.code, event) for event in events}
        known = await _known(records, told)
        ended = {transfer_id: known[transfer_id].returned(code, now) for transfer_id, (code, _) in told.items()}
        due = [known[transfer_id] for transfer_id in told if known[transfer_id].state is TransferState.SENT]
        commands = [(transfers.give_back(transfer, now), told[transfer.id][1]) for transfer in due]
        errors = await self._post(transaction, commands, now)
        left = [transfer for transfer, error in zip(due, errors, strict=True) if error is not None]
        commands = [(transfers.set_aside(transfer, now), told[transfer.id][1]) for transfer in left]
        for error in await self._post(transaction, commands, now):
            if error is not None:
                raise error
        await records.end(list(ended.values()))

    async def _post(
        self, transaction: Tx, commands: Sequence[tuple[PostEntry, Event]], now: datetime
    ) -> list[LedgerError | None]:
        """Post and tell entries; return the refusal of each, if it was refused."""
        if not commands:
            return []
        posted = await post(self._ledger_of(transaction), [command for command, _ in commands], now)
        teller = Teller(posted.accounts, now)
        for outcome, (_, event) in zip(posted.decision.outcomes, commands, strict=True):
            transaction.publish(*teller.events_of(outcome, event))
        return [outcome.error for outcome in posted.decision.outcomes]


def beside_transfers(handle: Handle[Tx], handle_transfers: Handle[Tx]) -> Handle[Tx]:
    """Return a handler that gives transfers' events to one handler and all others to the other, in one transaction."""

    async def both(transaction: Tx, events: Sequence[Event]) -> None:
        if of_transfers := [event for event in events if event.type in HANDLED_TYPES]:
            await handle_transfers(transaction, of_transfers)
        if others := [event for event in events if event.type not in HANDLED_TYPES]:
            await handle(transaction, others)

    return both


async def _known(records: Transfers, transfer_ids: Iterable[UUID]) -> Mapping[UUID, Transfer]:
    """Return what this ledger has sent. Raises: TransferNotFound: the answer went to another than the sender."""
    wanted = set(transfer_ids)
    known = await records.find(TransferSide.SENDER, wanted)
    for transfer_id in wanted - known.keys():
        raise TransferNotFound(transfer_id)
    return known


def _received_of(event: Event, now: datetime) -> Transfer:
    data = event.read(TransferSent)
    if not 0 <= data.from_shard < ids.SHARDS or not 0 <= data.to_shard < ids.SHARDS:
        raise MalformedEvent(f"transfer {data.transfer_id} names a shard that does not exist")
    return Transfer(
        id=data.transfer_id,
        side=TransferSide.RECEIVER,
        merchant_id=data.merchant_id,
        mode=data.mode,
        from_account_id=data.from_account_id,
        from_shard=data.from_shard,
        to_account_id=data.to_account_id,
        to_shard=data.to_shard,
        amount_minor=data.amount_minor,
        currency=data.currency,
        state=TransferState.SENT,
        asked_at=now,
    )


def _answered(transfer: Transfer, error: LedgerError | None, now: datetime) -> Transfer:
    state = TransferState.RECEIVED if error is None else TransferState.REFUSED
    return replace(transfer, state=state, ended_at=now, refusal_code=None if error is None else error.stable_code)


def _answer(transfer: Transfer, cause: Event, now: datetime) -> Event:
    """Return what is told to the sender."""
    data: EventData
    if transfer.refusal_code is None:
        data = TransferReceived(**_facts(transfer), entry_id=transfers.received_entry_id(transfer.id))
    else:
        data = TransferRefused(**_facts(transfer), code=transfer.refusal_code)
    return _event(data, transfer, transfer.from_shard, ANSWER_SEQUENCE, now, cause)


def _facts(transfer: Transfer) -> dict[str, object]:
    return {
        "transfer_id": transfer.id,
        "merchant_id": transfer.merchant_id,
        "mode": transfer.mode,
        "from_account_id": transfer.from_account_id,
        "from_shard": transfer.from_shard,
        "to_account_id": transfer.to_account_id,
        "to_shard": transfer.to_shard,
        "amount_minor": transfer.amount_minor,
        "currency": transfer.currency,
    }


def _event(
    data: EventData, transfer: Transfer, shard: int, sequence: int, now: datetime, cause: Event | None = None
) -> Event:
    """`shard` is that of the ledger which has to hear it.

    The id is derived from the sender as well: another's transfer under the same id is another event, which no inbox
    takes for this one.
    """
    return compose(
        data,
        source=SOURCE,
        root=ids.derive(transfer.id, f"from {transfer.from_shard} {transfer.from_account_id}"),
        key=ids.to_text("trf", transfer.id),
        shard=shard,
        time=now,
        sequence=sequence,
        cause=cause,
    )
