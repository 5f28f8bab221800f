"""Making payouts, asked for by a merchant or by its schedule."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from rialto_common import ids
from rialto_common.events.payouts import PayoutCreated
from rialto_common.runtime import Runtime
from rialto_gateway.funds.ledger import LedgerFunds
from rialto_gateway.merchants.keys import Mode
from rialto_gateway.payments.facts import PayoutStarted
from rialto_gateway.payments.handlers import Occurrence, apply_all
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.ports import Unit, Units
from rialto_gateway.payouts.errors import NothingToPayOut, PayoutsChanged
from rialto_gateway.payouts.payout import COUNTED_AGAIN_AFTER, LARGEST, Payout, Waiting, choose
from rialto_gateway.payouts.ports import Named, PayoutReader, Settings
from rialto_gateway.payouts.progress import event_of, facts_of
from rialto_gateway.payouts.schedule import Terms, first_look, next_look

LOOKED_AT = 4 * LARGEST
"""Payments that are considered for a payout, the oldest; more than fit, as one that does not fit is passed over."""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of asking for a payout: which, if any; whether it was asked for before; whether more would fit."""

    payout_id: UUID | None
    replayed: bool = False
    full: bool = False


class PayoutService:
    """Makes payouts and keeps merchants' terms."""

    def __init__(
        self, *, units: Units, reader: PayoutReader, funds: LedgerFunds, runtime: Runtime, deadlines: Deadlines
    ) -> None:
        self._units = units
        self._reader = reader
        self._funds = funds
        self._runtime = runtime
        self._deadlines = deadlines

    async def settings(self, merchant_id: UUID, mode: Mode) -> Settings:
        """Return a merchant's settings, those of everyone where it has none of its own."""
        return await self._reader.settings(merchant_id, mode) or Settings(merchant_id, mode, Terms(), None, 0)

    async def pay_out(self, merchant_id: UUID, mode: Mode, currency: str, named: Named) -> Made:
        """Make the payout that a merchant asks for, once however often it is sent.

        Raises: NothingToPayOut, PayoutsChanged, IdempotencyKeyReused, ServiceUnavailable: the ledger does not answer.
        """
        made = await self._make(await self.settings(merchant_id, mode), mode, currency, named)
        if made.payout_id is None:
            raise NothingToPayOut(f"no captured payment in {currency} waits that the available balance covers")
        return made

    async def pay_what_is_due(self, settings: Settings, mode: Mode) -> None:
        """Pay out what waits, in every currency, and set when the schedule looks again.

        Raises: PayoutsChanged, ServiceUnavailable: the ledger does not answer.
        """
        made = []
        for currency in await self._reader.currencies(settings.merchant_id, mode):
            made.append(await self._make(await self.settings(settings.merchant_id, mode), mode, currency))
        left = bool(await self._reader.currencies(settings.merchant_id, mode))
        async with self._units.begin() as unit:
            now = self._runtime.now()
            locked = await unit.payouts.lock_settings(settings.merchant_id, mode)
            if locked is not None and (locked.terms, locked.next_at) == (settings.terms, settings.next_at):
                at = next_look(locked.terms, now, more=any(each.full for each in made), left=left)
                await unit.payouts.save_settings(replace(locked, next_at=at), now)

    async def postpone(self, settings: Settings, until: datetime) -> None:
        """Look at what waits later, unless the terms have changed."""
        async with self._units.begin() as unit:
            locked = await unit.payouts.lock_settings(settings.merchant_id, settings.mode)
            if locked is not None and (locked.terms, locked.next_at) == (settings.terms, settings.next_at):
                await unit.payouts.save_settings(replace(locked, next_at=until), self._runtime.now())

    def begun(self, before: Settings, terms: Terms) -> Settings:
        """Return a merchant's settings under terms that begin now."""
        return replace(before, terms=terms, next_at=first_look(terms, self._runtime.now()))

    async def _make(self, settings: Settings, mode: Mode, currency: str, named: Named | None = None) -> Made:
        merchant_id = settings.merchant_id
        # No connection is held while the ledger is asked. What is on its way is read first: a settlement between the
        # two looks then counts as not available, and never twice.
        pending = await self._reader.pending_minor(merchant_id, mode, currency)
        account = await self._funds.merchant_account(merchant_id, mode, "payable", currency)
        held = await self._reader.held_minor(settings, currency, self._runtime.now())
        available = (0 if account is None else int(account["ledger_balance_minor"])) - pending - held
        async with self._units.begin() as unit:
            if named is not None:
                found = await unit.payouts.made_under(merchant_id, mode, named)
                if found is not None:
                    return Made(found, replayed=True)
            chosen = choose(await self._waiting(unit, settings, currency), available)
            if not chosen:
                return Made(None)
            payout = await self._start(unit, settings, mode, currency, chosen, named)
            self._runtime.crash_point("gateway.payout.before_commit")
        self._runtime.crash_point("gateway.payout.after_commit")
        return Made(payout.id, full=len(chosen) == LARGEST)

    async def _waiting(self, unit: Unit, settings: Settings, currency: str) -> list[Waiting]:
        locked = await unit.payouts.lock_settings(settings.merchant_id, settings.mode)
        if (0 if locked is None else locked.payouts) != settings.payouts:
            # The balance that was read may have been paid out since.
            raise PayoutsChanged("another payout was made at the same moment; send the same request again")
        return await unit.payouts.waiting(settings.merchant_id, settings.mode, currency, LOOKED_AT)

    async def _start(
        self, unit: Unit, settings: Settings, mode: Mode, currency: str, chosen: list[Waiting], named: Named | None
    ) -> Payout:
        now, payout_id = self._runtime.now(), ids.derive(chosen[0].payment_id, "payout")
        actor = "clock" if named is None else "merchant"
        occurrences = [Occurrence(each.payment_id, PayoutStarted(payout_id), actor=actor) for each in chosen]
        held = await apply_all(occurrences, unit, now=now, deadlines=self._deadlines)
        if any(held[each.payment_id].payout_id != payout_id for each in chosen):
            raise PayoutsChanged("a payment was taken into another payout at the same moment; send the request again")
        payout = Payout(
            id=payout_id,
            merchant_id=settings.merchant_id,
            mode=mode,
            currency=currency,
            amount_minor=sum(each.amount_minor for each in chosen),
            payments=len(chosen),
            asked_by="schedule" if named is None else "merchant",
            created_at=now,
            deadline_at=now + COUNTED_AGAIN_AFTER,
        )
        await unit.payouts.add(payout, chosen, named)
        locked = await unit.payouts.lock_settings(settings.merchant_id, mode)
        if locked is not None:
            await unit.payouts.save_settings(replace(locked, payouts=locked.payouts + 1), now)
        unit.publish(event_of(payout, PayoutCreated(**facts_of(payout)), now))
        return payout
