"""docs/events: what the models give, valid by AsyncAPI's own schema, with examples that were really emitted."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from rialto_common.bus.topics import wanted_topics
from rialto_common.events import MODELS, EventData
from rialto_common.events.asyncapi import EXAMPLES, document, examples
from rialto_common.events.common import TOPICS
from rialto_common.events.flows import CONSUMERS, EMITTERS, source_of
from rialto_common.events.json_form import from_json, to_json
from rialto_common.events.kafka_binary import from_record
from rialto_common.events.write_docs import DOCS, SCHEMAS_FROM_DOCS, texts
from rialto_common.events.write_schemas import SCHEMAS

OFFICIAL = Path(__file__).parents[1] / "asyncapi/node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"
EACH = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.type)
BOTH = pytest.mark.parametrize("schemas", [None, SCHEMAS_FROM_DOCS], ids=["alone", "published"])


@pytest.mark.parametrize("name", sorted(texts()))
def test_the_committed_page_is_the_models(name: str) -> None:
    assert (DOCS / name).read_text() == texts()[name], "run python -m rialto_common.events.write_docs and commit it"


def test_nothing_else_lies_there() -> None:
    assert {path.name for path in DOCS.iterdir()} == set(texts())


# The AsyncAPI document.


@cache
def official() -> Any:
    assert OFFICIAL.exists(), "AsyncAPI's schemas are not installed: run `make install-dev`"
    return Draft7Validator(json.loads(OFFICIAL.read_text()))


@BOTH
def test_the_document_is_valid_asyncapi(schemas: str | None) -> None:
    assert [error.message for error in official().iter_errors(document(schemas=schemas))] == []


BREAKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another action": lambda it: it["operations"]["gateway_sends_payments"].update(action="publish"),
    "no channel": lambda it: it["operations"]["gateway_sends_payments"].pop("channel"),
    "no title": lambda it: it["info"].pop("title"),
    "an unknown word": lambda it: it["channels"]["payments"].update(topic="x"),
    "no partitions": lambda it: it["channels"]["payments"]["bindings"]["kafka"].update(partitions=0),
}


@pytest.mark.parametrize("change", BREAKS.values(), ids=BREAKS)
def test_the_schema_finds_what_is_not_asyncapi(change: Callable[[dict[str, Any]], object]) -> None:
    broken = copy.deepcopy(document())
    change(broken)
    assert list(official().iter_errors(broken))


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


@BOTH
def test_every_reference_leads_somewhere(schemas: str | None) -> None:
    whole = document(schemas=schemas)
    found = set(references(whole))
    handled = {model for models in CONSUMERS.values() for model in models}
    assert len(found) >= 2 * len(MODELS) + len(handled)
    for reference in found:
        path, _, pointer = reference.partition("#/")
        target = whole if path == "" else json.loads((DOCS / path).read_text())
        for part in pointer.split("/") if pointer else ():
            target = target[part]
        assert target
    assert all(reference.startswith("#/") for reference in found) is (schemas is None)


def test_every_event_can_be_found_and_every_topic_has_its_settings() -> None:
    whole = document()
    channels = {channel["address"]: channel for channel in whole["channels"].values()}
    specs = {spec.name: spec for spec in wanted_topics()}
    assert channels.keys() == specs.keys()
    for name, channel in channels.items():
        kafka = channel["bindings"]["kafka"]
        assert (kafka["partitions"], kafka["replicas"]) == (specs[name].partitions, specs[name].replication)
        assert str(kafka["topicConfiguration"]["retention.ms"]) == specs[name].config["retention.ms"]
    for model in MODELS:
        assert whole["components"]["messages"][model.__name__]["name"] == model.type
        assert model.__name__ in channels[model.topic]["messages"]


def test_operations_are_what_services_send_and_receive() -> None:
    operations = document()["operations"]

    def said(action: str) -> set[tuple[str, str]]:
        return {
            (operation["channel"]["$ref"].rpartition("/")[2], message["$ref"].rpartition("/")[2])
            for name, operation in operations.items()
            if operation["action"] == action and "_sets_aside_" not in name
            for message in operation["messages"]
        }

    def channel(model: type[EventData]) -> str:
        return model.topic.split(".")[1]

    assert said("send") == {(channel(model), model.__name__) for model in MODELS}
    assert said("receive") == {(channel(model), model.__name__) for handled in CONSUMERS.values() for model in handled}
    groups = {
        operation["bindings"]["kafka"]["groupId"]["const"]
        for operation in operations.values()
        if operation["action"] == "receive"
    }
    assert groups == set(CONSUMERS)


def test_each_topic_has_one_emitter() -> None:
    assert EMITTERS.keys() == set(TOPICS)


# The examples.


def test_there_is_one_example_of_each_type() -> None:
    assert len(EXAMPLES.read_text().splitlines()) == len(MODELS)
    assert examples().keys() == {model.type for model in MODELS}


@EACH
def test_the_example_fits_its_schema_and_its_envelope(model: type[EventData]) -> None:
    event = examples()[model.type]
    schema = json.loads((SCHEMAS / f"{model.type}.json").read_text())
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(json.loads(event.data))
    event.read(model)
    assert (event.topic, event.source) == (model.topic, source_of(model))
    assert event.sequence >= 1
    assert from_json(to_json(event)) == event


@EACH
def test_the_documents_example_is_the_record_and_fits_the_documents_own_schemas(model: type[EventData]) -> None:
    whole = document()
    message = whole["components"]["messages"][model.__name__]
    (example,) = message["examples"]
    Draft7Validator(message["payload"]["schema"]).validate(example["payload"])
    trait = whole["components"]["messageTraits"]["CloudEvent"]
    Draft7Validator(trait["headers"]).validate(example["headers"])
    Draft7Validator(message["headers"]).validate(example["headers"])
    assert example["headers"].keys() <= trait["headers"]["properties"].keys()
    event = examples()[model.type]
    assert re.fullmatch(trait["bindings"]["kafka"]["key"]["pattern"], event.key)
    headers = [(name, text.encode()) for name, text in example["headers"].items()]
    value = json.dumps(example["payload"], separators=(",", ":"), ensure_ascii=False).encode()
    assert from_record(event.topic, event.key.encode(), headers, value) == event
