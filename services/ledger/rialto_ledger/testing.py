"""Builders for tests and benchmarks: payments as scripts of commands or events, with ids that depend on a number."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from rialto_common import ids
from rialto_common.events import Event, EventData, compose, payments, settlements
from rialto_ledger.domain import chart, commands, posting_rules
from rialto_ledger.domain.account import AccountSpec, Mode

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CHAIN_ID = 31337
STABLECOIN = "RUSD"
UNITS_PER_MINOR = 10_000
"""RUSD has six decimals and USD two: 1:1 is 10,000 units a cent."""


def number_id(kind: str, number: int) -> UUID:
    """Return the id of the nth object of a kind."""
    return ids.derive(ids.uuid7(int(NOW.timestamp() * 1000), 0), kind, number)


def merchant_id(number: int = 0) -> UUID:
    """Return the nth merchant's id."""
    return number_id("merchant", number)


def wallet(number: int = 0, *, currency: str = "USD", owner: UUID | None = None, mode: Mode = "test") -> AccountSpec:
    """Return the nth wallet's account."""
    return chart.wallet(number_id("wallet", number), currency, owner, mode)


def open_wallet(number: int = 0, **options: str) -> commands.OpenAccount:
    """Return the command that opens the nth wallet of the platform."""
    return commands.OpenAccount(wallet(number, currency=options.get("currency", "USD")))


def top_up(
    number: int, amount_minor: int, *, entry: int = 0, metadata: Mapping[str, str] | None = None
) -> commands.PostEntry:
    """Return the command that pays into the nth wallet; `entry` numbers the top-ups."""
    spec = wallet(number)
    acquirer = chart.test_acquirer("USD")
    return commands.PostEntry(
        entry_id=number_id("top_up", entry),
        kind="top_up",
        about=spec.id,
        mode="test",
        shard=spec.shard,
        merchant_id=None,
        postings=posting_rules.top_up(spec.id, acquirer, amount_minor),
        opens=(acquirer,),
        effective_at=NOW,
        metadata=metadata or {},
    )


@dataclass(frozen=True, slots=True)
class Payment:
    """The nth payment: a merchant charges a wallet."""

    number: int = 0
    amount_minor: int = 1000
    wallet_number: int = 0
    merchant_number: int = 0
    currency: str = "USD"
    mode: Mode = "test"

    @property
    def id(self) -> UUID:
        return number_id("payment", self.number)

    @property
    def merchant_id(self) -> UUID:
        return merchant_id(self.merchant_number)

    @property
    def wallet_id(self) -> UUID:
        return wallet(self.wallet_number).id

    @property
    def hold_id(self) -> UUID:
        return ids.derive(self.id, "hold")

    @property
    def shard(self) -> int:
        return ids.shard_of(self.merchant_id)

    @property
    def payable(self) -> AccountSpec:
        return chart.merchant_payable(self.merchant_id, self.currency, self.mode)

    @property
    def settlement_accounts(self) -> posting_rules.SettlementAccounts:
        return posting_rules.SettlementAccounts(
            payable=self.payable,
            position=chart.fx_position(self.currency, STABLECOIN, self.currency, self.mode),
            token_position=chart.fx_position(self.currency, STABLECOIN, STABLECOIN, self.mode),
            treasury=chart.chain_treasury(CHAIN_ID, STABLECOIN, self.mode),
        )

    def place(self, *, expires_at: datetime = NOW + timedelta(days=7)) -> commands.PlaceHold:
        """Return the command that holds its amount."""
        return commands.PlaceHold(
            payment_id=self.id,
            merchant_id=self.merchant_id,
            mode=self.mode,
            shard=self.shard,
            hold_id=self.hold_id,
            account_id=self.wallet_id,
            currency=self.currency,
            amount_minor=self.amount_minor,
            expires_at=expires_at,
        )

    def capture(self, amount_minor: int | None = None, *, ordinal: int = 0, final: bool = True) -> commands.CaptureHold:
        """Return the command that captures its amount, or a part."""
        capture_id = ids.derive(self.id, "capture", ordinal)
        return commands.CaptureHold(
            payment_id=self.id,
            merchant_id=self.merchant_id,
            mode=self.mode,
            shard=self.shard,
            hold_id=self.hold_id,
            capture_id=capture_id,
            entry_id=ids.derive(capture_id, "journal_entry"),
            payable=self.payable,
            amount_minor=self.amount_minor if amount_minor is None else amount_minor,
            final=final,
            effective_at=NOW,
        )

    def increase(self, amount_minor: int, *, ordinal: int = 1) -> commands.IncreaseHold:
        """Return the command that raises its hold to an amount."""
        increment_id = ids.derive(self.id, "increment", ordinal)
        named = (self.id, self.merchant_id, self.mode, self.shard, self.hold_id)
        return commands.IncreaseHold(*named, increment_id, self.currency, amount_minor)

    def void(self) -> commands.VoidHold:
        """Return the command that voids it."""
        return commands.VoidHold(self.id, self.merchant_id, self.mode, self.shard, self.hold_id)

    def expire(self) -> commands.ExpireHold:
        """Return the command that expires it."""
        return commands.ExpireHold(self.id, self.merchant_id, self.mode, self.shard, self.hold_id)

    def confirm(self, *, sequence: int = 1, amount_minor: int | None = None) -> commands.ConfirmSettlement:
        """Return the chain's confirmation of its settlement."""
        amount = self.amount_minor if amount_minor is None else amount_minor
        return commands.ConfirmSettlement(
            payment_id=self.id,
            merchant_id=self.merchant_id,
            mode=self.mode,
            shard=self.shard,
            settlement_id=ids.derive(self.id, "settlement.id"),
            sequence=sequence,
            accounts=self.settlement_accounts,
            amount_minor=amount,
            token_amount=amount * UNITS_PER_MINOR,
            metadata={"block_number": str(100 + sequence), "tx_hash": "0xabc"},
            effective_at=NOW,
        )

    def reorg(self, *, sequence: int = 2) -> commands.ReverseSettlement:
        """Return the chain's dropping of its settlement."""
        return commands.ReverseSettlement(
            payment_id=self.id,
            merchant_id=self.merchant_id,
            mode=self.mode,
            shard=self.shard,
            settlement_id=ids.derive(self.id, "settlement.id"),
            sequence=sequence,
            metadata={"block_number": "101", "tx_hash": "0xabc"},
            effective_at=NOW,
        )


class Sender:
    """Sends what the gateway and the chain-bridge would, numbering each key's events from 1."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._sent: dict[tuple[str, str], int] = {}

    def approved(self, payment: Payment, *, expires_at: datetime | None = None) -> Event:
        """Return `payment.approved`."""
        data = payments.PaymentApproved(
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            mode=payment.mode,
            wallet_id=payment.wallet_id,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            expires_at=expires_at or self._now + timedelta(days=7),
        )
        return self._of_payment(data, payment)

    def capture(
        self,
        payment: Payment,
        amount_minor: int | None = None,
        *,
        ordinal: int = 0,
        final: bool = True,
        acquirer: str | None = None,
    ) -> Event:
        """Return `capture.requested`."""
        data = payments.CaptureRequested(
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            mode=payment.mode,
            capture_id=ids.derive(payment.id, "capture", ordinal),
            ordinal=ordinal,
            amount_minor=payment.amount_minor if amount_minor is None else amount_minor,
            currency=payment.currency,
            final=final,
            acquirer=acquirer,
        )
        return self._of_payment(data, payment, ordinal=ordinal)

    def unknown_capture(self, payment: Payment, *, acquirer: str, ordinal: int = 0) -> Event:
        """Return `attempt.unknown` of a capture of the whole amount."""
        data = payments.AttemptUnknown(**self._capture_at(payment, acquirer, ordinal))
        return self._of_payment(data, payment, ordinal=ordinal)

    def failed_capture(self, payment: Payment, *, acquirer: str, ordinal: int = 0) -> Event:
        """Return `attempt.resolved` of a capture that was not made."""
        data = payments.AttemptResolved(outcome="failed", **self._capture_at(payment, acquirer, ordinal))
        return self._of_payment(data, payment, ordinal=ordinal)

    def _capture_at(self, payment: Payment, acquirer: str, ordinal: int) -> dict[str, Any]:
        return {
            "payment_id": payment.id,
            "merchant_id": payment.merchant_id,
            "mode": payment.mode,
            "step": "capture",
            "capture_id": ids.derive(payment.id, "capture", ordinal),
            "amount_minor": payment.amount_minor,
            "currency": payment.currency,
            "acquirer": acquirer,
        }

    def refund(self, payment: Payment, amount_minor: int, *, ordinal: int = 0, acquirer: str | None = None) -> Event:
        """Return `refund.requested`, to the payment's wallet or through an acquirer."""
        wallet_id = payment.wallet_id if acquirer is None else None
        data = payments.RefundRequested(wallet_id=wallet_id, **self._refund(payment, amount_minor, ordinal, acquirer))
        return self._of_payment(data, payment, ordinal=ordinal)

    def refunded(self, payment: Payment, amount_minor: int, *, acquirer: str, ordinal: int = 0) -> Event:
        """Return `refund.succeeded` of an acquirer."""
        fields = self._refund(payment, amount_minor, ordinal, acquirer)
        return self._of_payment(payments.RefundSucceeded(requested_at=self._now, **fields), payment, ordinal=ordinal)

    def _refund(self, payment: Payment, amount_minor: int, ordinal: int, acquirer: str | None) -> dict[str, Any]:
        return {
            "payment_id": payment.id,
            "merchant_id": payment.merchant_id,
            "mode": payment.mode,
            "refund_id": ids.derive(payment.id, "refund", ordinal),
            "amount_minor": amount_minor,
            "currency": payment.currency,
            "acquirer": acquirer,
        }

    def settled(
        self, payment: Payment, fee_minor: int, *, acquirer: str, step: str = "capture", line: int = 2
    ) -> Event:
        """Return `acquirer.settled` of a capture, or of a refund, of the whole amount."""
        attempt_id = ids.derive(payment.id, f"attempt.{step}")
        data = payments.AcquirerSettled.model_validate(
            {
                "payment_id": payment.id,
                "merchant_id": payment.merchant_id,
                "mode": payment.mode,
                "attempt_id": attempt_id,
                "acquirer": acquirer,
                "step": step,
                "amount_minor": payment.amount_minor,
                "fee_minor": fee_minor,
                "currency": payment.currency,
                "file_id": number_id("file", 0),
                "line": line,
            }
        )
        return compose(
            data,
            source="rialto.gateway",
            root=attempt_id,
            key=ids.to_text("att", attempt_id),
            shard=payment.shard,
            time=self._now,
            sequence=1,
        )

    def increase(self, payment: Payment, amount_minor: int, *, ordinal: int = 1) -> Event:
        """Return `increment.requested`."""
        data = payments.IncrementRequested(
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            mode=payment.mode,
            increment_id=ids.derive(payment.id, "increment", ordinal),
            ordinal=ordinal,
            amount_minor=amount_minor,
            currency=payment.currency,
        )
        return self._of_payment(data, payment, ordinal=ordinal)

    def void(self, payment: Payment) -> Event:
        """Return `void.requested`; each call asks anew, as a resolver does."""
        data = payments.VoidRequested(
            payment_id=payment.id, merchant_id=payment.merchant_id, mode=payment.mode, reason="unknown"
        )
        return self._of_payment(data, payment, ordinal=self._sent.get(("rialto.gateway", str(payment.id)), 0))

    def confirmed(self, payment: Payment, *, block: int = 100) -> Event:
        """Return `settlement.confirmed`."""
        data = settlements.SettlementConfirmed(
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            mode=payment.mode,
            settlement_id=ids.derive(payment.id, "settlement.id"),
            batch_id=ids.derive(payment.id, "batch.id"),
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            chain_id=CHAIN_ID,
            token=STABLECOIN,
            token_amount=payment.amount_minor * UNITS_PER_MINOR,
            tx_hash="0xabc",
            block_number=block,
            block_hash=f"0x{block:064x}",
        )
        return self._of_payment(data, payment, source="rialto.chain_bridge", ordinal=block)

    def reorged(self, payment: Payment, *, block: int = 100) -> Event:
        """Return `settlement.reorged`."""
        data = settlements.SettlementReorged(
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            mode=payment.mode,
            settlement_id=ids.derive(payment.id, "settlement.id"),
            batch_id=ids.derive(payment.id, "batch.id"),
            chain_id=CHAIN_ID,
            tx_hash="0xabc",
            block_number=block,
            was_confirmed=True,
        )
        return self._of_payment(data, payment, source="rialto.chain_bridge", ordinal=block)

    def deposited(self, number: int, token_amount: int, *, token: str = STABLECOIN) -> Event:
        """Return `deposit.confirmed`."""
        deposit_id = number_id("deposit", number)
        data = settlements.DepositConfirmed(
            deposit_id=deposit_id,
            mode="test",
            chain_id=CHAIN_ID,
            token=token,
            token_amount=token_amount,
            tx_hash="0xdef",
            block_number=7,
        )
        return compose(
            data,
            source="rialto.chain_bridge",
            root=deposit_id,
            key=ids.to_text("dep", deposit_id),
            shard=0,
            time=self._now,
            sequence=1,
        )

    def _of_payment(
        self, data: EventData, payment: Payment, *, source: str = "rialto.gateway", ordinal: int = 0
    ) -> Event:
        sender = (source, str(payment.id))
        self._sent[sender] = self._sent.get(sender, 0) + 1
        return compose(
            data,
            source=source,
            root=payment.id,
            key=ids.to_text("pay", payment.id),
            shard=payment.shard,
            time=self._now,
            sequence=self._sent[sender],
            ordinal=ordinal,
        )
