"""What becomes of a mandate's use when the payment is refused after it was put on record."""

from typing import Any
from uuid import UUID

import pytest

from rialto_common.errors import CommitUnknown, IdempotencyKeyReused, PaymentError
from rialto_common.keyring import PersonErased
from rialto_gateway.merchants.keys import Principal
from rialto_gateway.payments.bodies import CreatePayment
from rialto_gateway.payments.machine import Deadlines
from rialto_gateway.payments.ports import SavedCard
from rialto_gateway.payments.service import PaymentService

from ..integration.platform_in_process import TestRuntime


class World:
    """Everything that the service asks, refusing what it accepts."""

    def __init__(self, refusal: PaymentError) -> None:
        self.refusal = refusal
        self.taken_back: list[str] = []

    def takes_cards(self, mode: str) -> bool:
        return True

    async def made_under(self, key: Any) -> None:
        return None

    async def charge(self, *asked: Any) -> SavedCard:
        return SavedCard("tok_1", {"name": "Ada Example"})

    async def take_back(self, method: Any, key: str) -> None:
        self.taken_back.append(key)

    async def accept(self, request: Any) -> None:
        raise self.refusal

    async def decided(self, payment_ids: Any) -> list[UUID]:
        return []

    answered = decided


@pytest.mark.parametrize(
    ("refusal", "taken_back"),
    [
        (PersonErased("erased"), True),
        (CommitUnknown("it may have happened"), False),
        # Of two requests at once under one key, the use is the other's, whose payment is yet to be committed.
        (IdempotencyKeyReused("another request"), False),
    ],
)
async def test_a_use_is_taken_back_only_where_no_payment_can_stand_for_it(
    refusal: PaymentError, taken_back: bool
) -> None:
    world: Any = World(refusal)
    service = PaymentService(
        units=world,
        reader=world,
        acceptor=world,
        attempts=world,
        connectors=world,
        wallets=world,
        saved=world,
        fees=world,
        runtime=TestRuntime(),
        deadlines=Deadlines.default(),
        currencies=frozenset({"USD"}),
    )
    body = CreatePayment.model_validate(
        {
            "amount_minor": "100",
            "currency": "USD",
            "payment_method": {"type": "saved", "payment_method_id": "pm_01kb6w1m8xf0gbb7n5d8jq2c4r"},
        }
    )
    with pytest.raises(type(refusal)):
        await service.create(
            Principal(UUID(int=1), "test", "0x"), body, key="k", request_hash=b"", traceparent=None, wait_seconds=0
        )
    assert world.taken_back == (["k"] if taken_back else [])
