"""The committed JSON Schemas: what the models say, what a release promised, and what is really emitted."""

import copy
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
from pydantic import AwareDatetime, BaseModel, ValidationError

from rialto_common import ids
from rialto_common.events import MODELS, EventData, compose
from rialto_common.events.common import TOPICS
from rialto_common.events.compatibility import breaking_changes
from rialto_common.events.fraud import FraudAssessed, Reason
from rialto_common.events.payments import PaymentApproved, PaymentCreated
from rialto_common.events.write_schemas import SCHEMAS, schema_of, schema_text
from rialto_common.money import MAX_MINOR
from rialto_common.testing import START, root_of

RELEASES = sorted((Path(__file__).parent / "released_schemas").glob("*.json"))
EACH = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.type)


@EACH
def test_the_committed_schema_is_the_models(model: type[EventData]) -> None:
    committed = (SCHEMAS / f"{model.type}.json").read_text()
    assert committed == schema_text(model), "run python -m rialto_common.events.write_schemas and commit the result"


def test_there_is_one_schema_a_model_and_one_model_a_type() -> None:
    types = [model.type for model in MODELS]
    assert len(set(types)) == len(types)
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(types)
    assert all(re.fullmatch(r"rialto\.[a-z_.]+\.v[12]", event_type) for event_type in types)
    assert {model.topic for model in MODELS} == set(TOPICS)


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
def test_nothing_breaks_a_consumer_of_an_earlier_release(release: Path) -> None:
    promised = json.loads(release.read_text())
    now = {model.type: schema_of(model) for model in MODELS}
    assert len(promised) >= 29
    assert set(promised) <= set(now), "an event type is published beside its successor, never taken away"
    broken = {event_type: breaking_changes(promised[event_type], now[event_type]) for event_type in promised}
    assert {event_type: changes for event_type, changes in broken.items() if changes} == {}


# The checker itself.

Change = Callable[[dict[str, Any]], object]
OPTIONAL = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}

HARMLESS: dict[str, Change] = {
    "nothing": lambda schema: None,
    "an optional field": lambda schema: schema["properties"].update(note=OPTIONAL),
    "an optional field deep inside": lambda schema: schema["$defs"]["Sealed"]["properties"].update(note=OPTIONAL),
    "other words for people": lambda schema: schema.update(title="x", description="y"),
    "other words for people on a field": lambda schema: schema["properties"]["mode"].update(description="y"),
    "a renamed definition": lambda schema: rename(schema, "WalletMethod", "Wallet"),
}
BREAKS: dict[str, Change] = {
    "a field taken away": lambda schema: (
        schema["properties"].pop("currency"),
        schema["required"].remove("currency"),
    ),
    "an optional field taken away": lambda schema: schema["properties"].pop("terminal_id"),
    "a new required field": lambda schema: (
        schema["properties"].update(note={"type": "string"}),
        schema["required"].append("note"),
    ),
    "a field that may be missing now": lambda schema: schema["required"].remove("currency"),
    "an optional field that is required now": lambda schema: schema["required"].append("terminal_id"),
    "another type": lambda schema: schema["properties"]["currency"].update(type="integer"),
    "a null that was none": lambda schema: schema["properties"].update(currency=OPTIONAL),
    "another word in an enum": lambda schema: schema["properties"]["mode"]["enum"].append("sandbox"),
    "a word fewer in an enum": lambda schema: schema["properties"]["mode"]["enum"].remove("live"),
    "another constant": lambda schema: schema["$defs"]["WalletMethod"]["properties"]["type"].update(const="card"),
    "another pattern": lambda schema: schema["properties"]["amount_minor"].update(pattern="^[0-9]+$"),
    "another format": lambda schema: schema["properties"]["occurred_at"].pop("format"),
    "a new bound": lambda schema: schema["properties"]["currency"].update(maxLength=3),
    "a change deep inside": lambda schema: schema["$defs"]["Sealed"]["required"].remove("key_id"),
    "another definition in its place": lambda schema: schema["properties"].update(
        payer={"$ref": "#/$defs/WalletMethod"}
    ),
    "a closed door for unknown fields": lambda schema: schema.update(additionalProperties=False),
}


def rename(schema: dict[str, Any], old: str, new: str) -> None:
    schema["$defs"][new] = schema["$defs"].pop(old)
    text = json.dumps(schema).replace(f"#/$defs/{old}", f"#/$defs/{new}")
    schema.update(json.loads(text))


def changed(change: Change) -> list[str]:
    old = schema_of(PaymentCreated)
    new = copy.deepcopy(old)
    change(new)
    return breaking_changes(old, new)


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_the_checker_lets_a_harmless_change_pass(change: Change) -> None:
    assert changed(change) == []


@pytest.mark.parametrize("change", BREAKS.values(), ids=BREAKS)
def test_the_checker_finds_a_breaking_change(change: Change) -> None:
    assert changed(change)


def test_the_checker_says_where() -> None:
    assert sorted(changed(BREAKS["a change deep inside"])) == [
        "/payee/anyOf/0/key_id is no longer always there",
        "/payer/key_id is no longer always there",
    ]


# What is emitted.


def values(annotation: Any, metadata: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """Return a strategy for a field, by its annotation."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return values(inner, (*more, *metadata))
    if origin in (Union, UnionType):
        return st.one_of(*[values(option) for option in get_args(annotation)])
    if origin is Literal:
        return st.sampled_from(get_args(annotation))
    if origin is list:
        return st.lists(values(get_args(annotation)[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(st.text(max_size=8), values(get_args(annotation)[1]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return samples(annotation)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        NoneType: st.none(),
        UUID: st.builds(ids.uuid7, st.integers(0, 2**48 - 1), st.integers(0, 2**80 - 1)),
        int: st.integers(1, MAX_MINOR if metadata else 2**53),
        float: st.floats(0, 1),
        bool: st.booleans(),
        str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        date: st.dates(),
        AwareDatetime: st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    }
    return plain[annotation]


def samples(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    fields = {name: values(field.annotation, tuple(field.metadata)) for name, field in model.model_fields.items()}
    required = {name: fields[name] for name, field in model.model_fields.items() if field.is_required()}
    optional = {name: strategy for name, strategy in fields.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda chosen: model(**chosen))


@EACH
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_what_is_emitted_fits_its_schema_and_is_read_back_the_same(model: type[EventData], data: st.DataObject) -> None:
    sample = data.draw(samples(model))
    event = compose(sample, source="rialto.test", root=root_of(1), key="pay_x", shard=1, time=START, sequence=1)
    schema = json.loads((SCHEMAS / f"{model.type}.json").read_text())
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(json.loads(event.data))
    assert event.read(model) == sample


@EACH
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_consumer_ignores_fields_it_does_not_know(model: type[EventData], data: st.DataObject) -> None:
    sample = data.draw(samples(model))
    payload = json.loads(sample.model_dump_json())
    assert model.model_validate_json(json.dumps(with_more(payload))) == sample


def with_more(payload: Any) -> Any:
    """Return the payload as a later producer may send it: every object but a free table has one more field."""
    if isinstance(payload, list):
        return [with_more(item) for item in payload]
    if isinstance(payload, dict):
        more = {name: item if name == "features" else with_more(item) for name, item in payload.items()}
        return {**more, "added_later": {"by": "someone"}}
    return payload


def approved(**changes: Any) -> dict[str, Any]:
    known = {"payment_id": root_of(1), "merchant_id": root_of(2), "wallet_id": root_of(3), "mode": "test"}
    return {**known, "amount_minor": 1, "currency": "USD", "expires_at": START, **changes}


def test_an_instant_without_a_zone_is_not_emitted() -> None:
    assert PaymentApproved(**approved()).expires_at == START
    with pytest.raises(ValidationError, match="timezone"):
        PaymentApproved(**approved(expires_at=START.replace(tzinfo=None)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_cannot_hold_is_not_emitted(value: float) -> None:
    assert Reason(code="x", feature="y", value=1.5, contribution=0).value == 1.5
    with pytest.raises(ValidationError, match="finite"):
        Reason(code="x", feature="y", value=value, contribution=0)
    with pytest.raises(ValidationError):
        FraudAssessed(
            payment_id=root_of(1),
            merchant_id=root_of(2),
            mode="test",
            score=value,
            outcome="allow",
            reasons=[],
            model_version="1",
            policy_version="1",
        )
