"""The handler on a simulated runtime and the in-memory bus's transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from rialto_common import ids
from rialto_common.bus.memory import MemoryStore, MemoryTransaction
from rialto_common.errors import MalformedEvent, UnknownCurrency
from rialto_common.events import Event, compose
from rialto_common.events.common import Sealed
from rialto_common.events.compliance import ComplianceScreened
from rialto_common.events.payments import PaymentCreated
from rialto_common.simulation import SimulatedRuntime
from rialto_compliance.adapters.list_files import FIXTURE, read_lists
from rialto_compliance.adapters.memory import ComplianceStore, MemoryUnit
from rialto_compliance.application.handlers import ScreenPayments
from rialto_compliance.application.screener import Screener
from rialto_compliance.domain.index import Index
from rialto_compliance.domain.policy import POLICY
from rialto_compliance.metrics import ScreeningMetrics

LISTED = "Zorvanth Quexelbraum"
INDEX = Index(read_lists([FIXTURE]), cutoff=POLICY.review_score)


class World:
    """A handler over memory, and payments made for it."""

    def __init__(self) -> None:
        self.runtime = SimulatedRuntime(7)
        self.registry = CollectorRegistry()
        self.store = ComplianceStore()
        metrics = ScreeningMetrics(self.registry)
        self.handler = ScreenPayments(Screener(INDEX, self.runtime, metrics), POLICY, self.runtime, metrics)

    def sealed(self, name: str | None) -> Sealed:
        party_id = self.runtime.ids.mint()
        self.store.names[party_id] = name
        return Sealed(party_id=party_id, key_id=self.runtime.ids.mint(), ciphertext="AAAA")

    def created(
        self, payer: str | None, payee: str | None = "", *, amount_minor: int = 1250, currency: str = "USD"
    ) -> Event:
        """Return a `payment.created`; a name of None stands for an erased person, a payee of '' for none."""
        payment_id, merchant_id = self.runtime.ids.mint(), self.runtime.ids.mint()
        data = PaymentCreated(
            payment_id=payment_id,
            merchant_id=merchant_id,
            mode="test",
            amount_minor=amount_minor,
            currency=currency,
            payment_method={"type": "wallet", "wallet_id": self.runtime.ids.mint()},
            capture_method="automatic",
            payer=self.sealed(payer),
            payee=None if payee == "" else self.sealed(payee),
            occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return compose(
            data,
            source="rialto.gateway",
            root=payment_id,
            key=ids.to_text("pay", payment_id),
            shard=ids.shard_of(merchant_id),
            time=self.runtime.now(),
            sequence=1,
        )

    async def handle(self, events: Sequence[Event]) -> list[Event]:
        transaction = MemoryTransaction(MemoryStore())
        await self.handler(MemoryUnit(self.store, transaction), events)
        transaction.apply()
        return transaction.outgoing

    def metric(self, line: str) -> bool:
        return line.encode() in generate_latest(self.registry).splitlines()


async def verdict(world: World, event: Event) -> ComplianceScreened:
    (announced,) = await world.handle([event])
    return announced.read(ComplianceScreened)


async def test_a_harmless_payment_is_cleared_and_says_which_rules_ran() -> None:
    world = World()
    event = world.created("Maria Garcia", "Corner Bakery Ltd")
    (announced,) = await world.handle([event])
    data = announced.read(ComplianceScreened)
    assert (data.outcome, data.hits) == ("clear", [])
    assert [(rule.id, rule.version, rule.outcome) for rule in data.rules] == [("amount_over_limit", "1", "clear")]
    assert (announced.key, announced.shard, announced.causation_id) == (event.key, event.shard, str(event.id))
    assert announced.id == ids.derive(data.payment_id, ComplianceScreened.type, 0)


@pytest.mark.parametrize(
    ("payer", "payee", "party"), [(LISTED, "Maria Garcia", "payer"), ("A Friend", LISTED, "payee")]
)
async def test_a_listed_party_on_either_side_blocks_and_the_hit_explains_itself(
    payer: str, payee: str, party: str
) -> None:
    data = await _verdict_of(payer, payee)
    (hit,) = data.hits
    assert data.outcome == "block"
    assert (hit.party, hit.list_id, hit.entity_id, hit.score) == (party, "fixture", "fx-001", 1.0)
    assert hit.list_version == INDEX.lists[0].version
    assert hit.features["matched_tokens"] == 2


async def _verdict_of(payer: str | None, payee: str | None = "") -> ComplianceScreened:
    world = World()
    return await verdict(world, world.created(payer, payee))


async def test_a_near_name_goes_to_a_person() -> None:
    data = await _verdict_of("Zorvanth Quexelbraun-Lopez")
    assert data.outcome == "review"
    assert 0 < data.hits[0].score < POLICY.block_score


@pytest.mark.parametrize(
    ("payer", "payee", "rule"), [(None, "", "payer_unreadable"), ("A B", None, "payee_unreadable")]
)
async def test_an_erased_party_goes_to_a_person(payer: str | None, payee: str | None, rule: str) -> None:
    data = await _verdict_of(payer, payee)
    assert data.outcome == "review"
    assert (rule, "review") in [(outcome.id, outcome.outcome) for outcome in data.rules]


async def test_a_large_amount_goes_to_a_person() -> None:
    world = World()
    assert (await verdict(world, world.created("A B", amount_minor=1_000_000))).outcome == "review"
    assert (await verdict(world, world.created("A B", amount_minor=999_999))).outcome == "clear"


async def test_a_batch_keeps_names_and_payments_together() -> None:
    world = World()
    events = [
        world.created("Maria Garcia"),
        world.created(None, LISTED),
        world.created(LISTED),
        world.created("Maria Garcia", None),
        world.created("Jo Smith", "Ann Lee"),
    ]
    announced = await world.handle(events)
    assert [event.key for event in announced] == [event.key for event in events]
    outcomes = [event.read(ComplianceScreened).outcome for event in announced]
    assert outcomes == ["clear", "block", "block", "review", "clear"]


async def test_a_payment_that_has_a_verdict_keeps_it_and_is_not_announced_again() -> None:
    world = World()
    event = world.created(LISTED)
    assert len(await world.handle([event])) == 1
    first = dict(world.store.screenings)
    world.store.names.clear()
    assert await world.handle([event, event]) == []
    assert world.store.screenings == first


async def test_an_amount_in_an_unknown_currency_is_never_waved_through() -> None:
    world = World()
    with pytest.raises(UnknownCurrency):
        await world.handle([world.created("A B", currency="XQQ")])
    assert world.store.screenings == {}


async def test_an_unreadable_event_is_a_permanent_error() -> None:
    world = World()
    event = world.created("A B")
    broken = event._replace(data=b'{"payment_id":"nope"}')
    with pytest.raises(MalformedEvent):
        await world.handle([broken])


async def test_metrics_count_outcomes_hits_and_names() -> None:
    world = World()
    await world.handle([world.created(LISTED), world.created("Fresh Name"), world.created(None)])
    await world.handle([world.created("Fresh Name")])
    assert world.metric('rialto_compliance_screenings_total{outcome="block"} 1.0')
    assert world.metric('rialto_compliance_screenings_total{outcome="clear"} 2.0')
    assert world.metric('rialto_compliance_screenings_total{outcome="review"} 1.0')
    assert world.metric('rialto_compliance_hits_total{list_id="fixture"} 1.0')
    assert world.metric("rialto_compliance_unreadable_parties_total 1.0")


def test_the_age_of_a_list_grows_with_the_clock() -> None:
    runtime, registry = SimulatedRuntime(1), CollectorRegistry()
    ScreeningMetrics(registry).loaded(INDEX.lists, datetime(2025, 12, 31, tzinfo=UTC), runtime)
    assert registry.get_sample_value("rialto_compliance_list_age_seconds", {"list_id": "fixture"}) == 86_400
    assert registry.get_sample_value("rialto_compliance_list_entities", {"list_id": "fixture"}) == 40


@settings(max_examples=60, deadline=None)
# Without vowels, so that no word is part of one of ours: "datetime" has an "atetim" in it.
@given(st.lists(st.text(alphabet="bcdfghkmnpqrvwxz ", min_size=8, max_size=30), min_size=1, max_size=5))
async def test_no_name_ever_shows_in_what_is_announced_or_kept(names: list[str]) -> None:
    """Planted names: each begins with a listed one, so that there are hits to leak them in."""
    world = World()
    planted = [f"{LISTED} {name}" for name in names] + [f"wq{name}" for name in names]
    announced = await world.handle([world.created(name, name) for name in planted])
    text = b"".join(event.data for event in announced).decode() + repr(world.store.screenings)
    for name in planted:
        assert name not in text
        for word in name.split():
            assert len(word) < 6 or word.lower() not in text.lower()
