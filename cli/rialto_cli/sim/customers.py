"""Who pays: merchants that send payments, capture, void and ask again, and the operator who decides reviews.

They reach the services as HTTP callers would: a process that dies leaves them without an answer, and then they ask
again by the same key, as often as it takes.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeVar, cast
from uuid import UUID

from rialto_cli.sim.world import GatewayDoor, World
from rialto_common import ids
from rialto_common.errors import CommitUnknown, IdempotencyKeyReused, PaymentError, ServiceUnavailable
from rialto_common.virtual_time import ProcessGone, SimulatedProcess
from rialto_gateway.merchants.keys import Principal
from rialto_gateway.payments.bodies import CreatePayment
from rialto_gateway.payments.facts import CaptureAsked, RefundAsked, ReviewDecided, VoidAsked
from rialto_gateway.wallets.directory import Wallet
from rialto_ledger.application.poster import Answer as LedgerAnswer
from rialto_ledger.application.poster import CoalescingPoster
from rialto_ledger.domain import chart, posting_rules
from rialto_ledger.domain.commands import Command, OpenAccount, PostEntry

Answer = TypeVar("Answer")
OPERATOR = Principal(None, None)
LOOKS = 12
OPERATOR_LOOKS_AT_SECONDS = (15, 45, 100, 300, 3_600, 86_400, 3 * 86_400)
NAMES = ("Ada Lovelace", "Grace Hopper", "Emmy Noether", "Mary Jackson", "Edith Clarke", "Lise Meitner")
ENDED = frozenset({"declined", "voided", "expired", "failed"})
LISTED = ("Zorvanth Quexelbraum", "Ulvaketh Brondzhikar")
NEARLY_LISTED = ("Zorvanth Quexelbron", "Pexorina Vashtukel")


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who is paid, and where."""

    principal: Principal
    wallets: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one payment's merchant is going to do, all drawn from the seed."""

    number: int
    merchant: Merchant
    at: float
    body: CreatePayment
    key: str
    copies: int
    """How many times the request is sent at once, as by impatient clients."""

    reuses_key: bool
    """Whether another request is sent under the same key afterwards: it must be refused."""

    follow_up: str
    """For manual capture: `all`, `parts`, `part_final`, `part_void`, `void`, `above` or `nothing`; after one or more
    increments `raise_all`, `raise_twice` or `raise_void`.
    """

    refunds: tuple[str, ...] = ()
    """What is given back once something is captured, one after the other: `part`, `all` that is left or `above`."""


@dataclass
class Memory:
    """What the customers know for certain: answers they were given."""

    accepted: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    """The payment that was answered 2xx, by merchant and idempotency key."""

    violations: list[str] = field(default_factory=list)
    """Answers that contradict earlier ones."""

    planned: int = 0
    """How many payments are to be made."""


class Customers:
    """Carries the plans out."""

    def __init__(self, world: World, process: SimulatedProcess) -> None:
        self.memory = Memory()
        self._world = world
        self._process = process
        self._random = world.random

    def begin(self, plans: list[Plan]) -> None:
        """Let every merchant and the operator get to work."""
        self.memory.planned = len(plans)
        for plan in plans:
            self._process.spawn(self._pay(plan), name=f"payment-{plan.number}")
        self._process.spawn(self._review(), name="operator")

    async def _pay(self, plan: Plan) -> None:
        await self._process.sleep(plan.at)
        for copy in range(1, plan.copies):
            self._process.spawn(self._send_again(plan), name=f"payment-{plan.number}-again-{copy}")
        payment_id = await self._send(plan)
        if plan.reuses_key:
            await self._reuse_key(plan)
        if payment_id is not None and plan.body.capture_method == "manual":
            await self._follow_up(plan, payment_id)
        if payment_id is not None and plan.refunds:
            await self._refund(plan, payment_id)

    async def _send_again(self, plan: Plan) -> None:
        await self._send(plan)

    async def _send(self, plan: Plan) -> UUID | None:
        """Send the request until there is an answer; return the payment, None where it was refused."""
        answer = await self._until_answered(lambda door: _create(door, plan, plan.body), f"payment {plan.number}")
        if isinstance(answer, PaymentError):
            self.memory.violations.append(f"I3: payment {plan.number} was refused: {answer.code}: {answer}")
            return None
        payment_id = ids.from_text("pay", answer.payment["id"])
        known = self.memory.accepted.setdefault((_merchant_id(plan), plan.key), payment_id)
        if known != payment_id:
            self.memory.violations.append(f"I4: payment {plan.number} was made twice: {known} and {payment_id}")
        return payment_id

    async def _reuse_key(self, plan: Plan) -> None:
        other = plan.body.model_copy(update={"amount_minor": plan.body.amount_minor + 1})
        answer = await self._until_answered(lambda door: _create(door, plan, other), f"key of {plan.number}")
        if not isinstance(answer, IdempotencyKeyReused):
            self.memory.violations.append(f"I4: the key of payment {plan.number} was accepted for another request")

    async def _follow_up(self, plan: Plan, payment_id: UUID) -> None:
        """Wait until it is authorised and then do what the plan says; without patience after a while."""
        pause = 0.5
        for _ in range(LOOKS):
            view = await self._look(plan, payment_id)
            if isinstance(view, PaymentError):
                self.memory.violations.append(f"I3: payment {plan.number} is not there any more: {view.code}")
                return
            if view["status"] not in ("created", "review", "approved", "unknown"):
                break
            await self._process.sleep(pause * (0.5 + self._random.random()))
            pause = min(pause * 2, 3_600.0)
        amount = plan.body.amount_minor
        part = max(1, amount * 2 // 5)
        captures: dict[str, list[CaptureAsked]] = {
            "all": [CaptureAsked(None, False)],
            "parts": [CaptureAsked(part, False), CaptureAsked(amount - part, False)],
            "part_final": [CaptureAsked(part, True)],
            "part_void": [CaptureAsked(part, False)],
            "above": [CaptureAsked(amount + 1, False), CaptureAsked(None, False)],
            # What is certain is captured behind an increment that may be under way, and later all that there is.
            "raise_all": [CaptureAsked(part, False), CaptureAsked(None, False)],
            "raise_twice": [CaptureAsked(amount, False), CaptureAsked(part, True)],
        }
        if plan.follow_up.startswith("raise_"):
            await self._raise(
                plan, payment_id, [amount + part, *([amount + part + 1] * (plan.follow_up == "raise_twice"))]
            )
        for nth, fact in enumerate(captures.get(plan.follow_up, ())):
            copies = 1 + (self._random.random() < 0.3)
            for _ in range(copies - 1):
                self._process.spawn(self._capture(plan, payment_id, fact, nth), name="capture-again")
            await self._capture(plan, payment_id, fact, nth)
        if plan.follow_up == "part_void":
            await self._process.sleep(self._random.random() * 3)
        if plan.follow_up in ("void", "part_void", "raise_void"):
            await self._command(plan.merchant.principal, payment_id, VoidAsked(), "merchant")

    async def _capture(self, plan: Plan, payment_id: UUID, fact: CaptureAsked, nth: int) -> None:
        key = f"{plan.key}-capture-{nth}"
        content = sha256(f"{fact}".encode()).digest()

        def ask(door: GatewayDoor) -> Awaitable[object]:
            return door.payments.capture(
                plan.merchant.principal, payment_id, fact, key=key, request_hash=content, wait_seconds=0.0
            )

        await self._until_answered(ask, f"capture {nth} of payment {plan.number}")

    async def _raise(self, plan: Plan, payment_id: UUID, totals: Sequence[int]) -> None:
        """Ask for more to be authorised, some of them at once and again."""
        for nth, total in enumerate(totals):
            copies = 1 + (self._random.random() < 0.3)
            for _ in range(copies - 1):
                self._process.spawn(self._increment(plan, payment_id, total, nth), name="increment-again")
            await self._increment(plan, payment_id, total, nth)
            await self._process.sleep(self._random.random() * 20)

    async def _increment(self, plan: Plan, payment_id: UUID, total: int, nth: int) -> None:
        content = sha256(f"{total}".encode()).digest()

        def ask(door: GatewayDoor) -> Awaitable[object]:
            return door.increments.ask(
                plan.merchant.principal, payment_id, total, key=f"{plan.key}-increment-{nth}", request_hash=content
            )

        await self._until_answered(ask, f"increment {nth} of payment {plan.number}")

    async def _look(self, plan: Plan, payment_id: UUID) -> "dict[str, Any] | PaymentError":
        return await self._until_answered(lambda door: door.payments.get(plan.merchant.principal, payment_id), "look")

    async def _refund(self, plan: Plan, payment_id: UUID) -> None:
        """Give back what the plan says, once something is captured; without patience after a while."""
        captured, pause = 0, 1.0
        for _ in range(LOOKS):
            view = await self._look(plan, payment_id)
            captured = 0 if isinstance(view, PaymentError) else int(view["amount_captured_minor"])
            if captured > 0 or isinstance(view, PaymentError) or view["status"] in ENDED:
                break
            await self._process.sleep(pause * (0.5 + self._random.random()))
            pause = min(pause * 4, 3_600.0)
        if captured == 0:
            return
        amounts = {"part": max(1, captured // 3), "all": None, "above": captured + 1}
        for nth, share in enumerate(plan.refunds):
            fact, key = RefundAsked(amounts[share], None, "{}"), f"{plan.key}-refund-{nth}"
            made = {await self._refund_once(plan, payment_id, fact, key)}
            if self._random.random() < 0.3:
                made.add(await self._refund_once(plan, payment_id, fact, key))
            if len(made - {None}) > 1:
                self.memory.violations.append(f"I4: refund {nth} of payment {plan.number} was made twice")

    async def _refund_once(self, plan: Plan, payment_id: UUID, fact: RefundAsked, key: str) -> str | None:
        content = sha256(f"{fact}".encode()).digest()

        def ask(door: GatewayDoor) -> Awaitable[tuple[dict[str, Any], bool]]:
            return door.refunds.create(
                plan.merchant.principal, payment_id, fact, key=key, request_hash=content, wait_seconds=0.0
            )

        answer = await self._until_answered(ask, f"refund of payment {plan.number}")
        return None if isinstance(answer, PaymentError) else str(answer[0]["id"])

    async def _command(self, who: Principal, payment_id: UUID, fact: VoidAsked | ReviewDecided, actor: str) -> None:
        await self._until_answered(lambda door: door.payments.command(who, payment_id, fact, actor=actor), f"{fact}")

    async def _review(self) -> None:
        """Decide most of what is in review; what is left over, time decides."""
        began = 0.0
        for at in OPERATOR_LOOKS_AT_SECONDS:
            await self._process.sleep(at - began)
            began = at
            page = await self._until_answered(
                lambda door: door.payments.newest(OPERATOR, "test", limit=100, before=None, status="review"), "reviews"
            )
            if isinstance(page, PaymentError):
                continue
            for view in page[0]:
                drawn = self._random.random()
                if drawn < 0.8:
                    decision = ReviewDecided("approve" if drawn < 0.5 else "decline", "operator")
                    await self._command(OPERATOR, ids.from_text("pay", view["id"]), decision, "operator")

    async def _until_answered(
        self, ask: Callable[[GatewayDoor], Awaitable[Answer]], what: str
    ) -> "Answer | PaymentError":
        """Ask some gateway until there is an answer, be it a refusal."""
        pause = 0.1
        while True:
            gateway = self._world.some("gateway")
            if gateway is not None and gateway.process is not None:
                door = cast(GatewayDoor, gateway.door)
                try:
                    answer = await gateway.process.call(_as_coroutine(ask, door), what)
                except (OSError, ServiceUnavailable, CommitUnknown) as error:
                    self._world.tell(f"customer: {what}: {type(error).__name__}")
                except PaymentError as error:
                    self._world.tell(f"customer: {what}: refused, {error.code}")
                    return error
                else:
                    if not self._world.strikes("answer_lost", self._world.trouble.lost_answer):
                        return answer
                    self._world.tell(f"customer: {what}: the answer is lost")
            await self._process.sleep(pause * (0.5 + self._random.random()))
            pause = min(pause * 2, 30.0)

    async def post(self, command: Command) -> LedgerAnswer:
        """Have the ledger post a command, as its HTTP API does, until there is an answer."""
        while True:
            ledger = self._world.some("ledger")
            if ledger is not None and ledger.process is not None:
                poster = cast("CoalescingPoster[Any]", ledger.door)
                try:
                    return await ledger.process.call(poster.post(command), type(command).__name__)
                except (OSError, ServiceUnavailable, CommitUnknown, ProcessGone) as error:
                    self._world.tell(f"customer: {type(command).__name__}: {type(error).__name__}")
            await self._process.sleep(0.5 + self._random.random())


async def open_wallet(customers: Customers, world: World, wallet: Wallet, funds_minor: int) -> None:
    """Open a wallet and pay into it, as the gateway's wallet routes do."""
    world.stores.wallets[wallet.wallet_id] = wallet
    spec = chart.wallet(wallet.wallet_id, wallet.currency, wallet.merchant_id, wallet.mode)
    await customers.post(OpenAccount(spec))
    acquirer = chart.test_acquirer(wallet.currency)
    await customers.post(
        PostEntry(
            entry_id=ids.derive(wallet.wallet_id, "top_up"),
            kind="top_up",
            about=spec.id,
            mode=wallet.mode,
            shard=spec.shard,
            merchant_id=wallet.merchant_id,
            postings=posting_rules.top_up(spec.id, acquirer, funds_minor),
            opens=(acquirer,),
            effective_at=world.loop.now(),
            metadata={},
        )
    )


async def _as_coroutine(ask: Callable[[GatewayDoor], Awaitable[Answer]], door: GatewayDoor) -> Answer:
    return await ask(door)


async def _create(door: GatewayDoor, plan: Plan, body: CreatePayment) -> Any:
    return await door.payments.create(
        plan.merchant.principal,
        body,
        key=plan.key,
        request_hash=sha256(body.model_dump_json().encode()).digest(),
        traceparent=None,
        wait_seconds=0.0,
    )


def _merchant_id(plan: Plan) -> UUID:
    merchant_id, _, _ = plan.merchant.principal.merchant()
    return merchant_id
