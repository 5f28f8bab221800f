"""The events as a page for people, in Markdown: topics, and each event with its fields and an example."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rialto_common.bus.port import DEAD_LETTER_SUFFIX
from rialto_common.bus.postgres import LOG_DAYS
from rialto_common.bus.topics import DAY_MS, TopicSpec, wanted_topics
from rialto_common.events import MODELS, EventData
from rialto_common.events.asyncapi import examples, summary_of
from rialto_common.events.common import TOPICS
from rialto_common.events.flows import CONSUMERS, EMITTERS, consumers_of
from rialto_common.events.json_form import to_json
from rialto_common.events.write_schemas import schema_of

Schema = Mapping[str, Any]

_HEAD = """# Events

<!-- Written by `python -m rialto_common.events.write_docs`; a test compares it with the models. -->

What Rialto's services tell each other, generated from the event models. For tools: [asyncapi.json](asyncapi.json)
(AsyncAPI 3; `rialto events asyncapi` prints it with the schemas inside). At a terminal: `rialto events tail`,
`rialto events types`, `rialto events schema TYPE`.

Every event is a [CloudEvent](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md) 1.0. On Kafka it lies
in binary mode: the payload is the record's value, everything else a header.

| header | what it says |
|---|---|
| `content-type` | `application/json` |
| `ce_specversion` | `1.0` |
| `ce_id` | a UUID, derived from what the event is about, so that a retry makes the same one; unique per source |
| `ce_source` | the service: `rialto.` and its name |
| `ce_type` | what happened, with the version of the payload |
| `ce_time` | when it happened, in UTC |
| `ce_sequence` | grows per source and key |
| `ce_shard` | 0 to 63, from the merchant; chooses the partition |
| `ce_correlationid` | the key of the story's first event, mostly the payment's id |
| `ce_causationid` | the id of the event that led to this one, if one did |
| `ce_traceparent` | the W3C trace |

The record's key orders: events of one key arrive in the order in which they were committed. They arrive at least once;
who has seen `ce_source` and `ce_id` drops the repetition. Read with `isolation.level=read_committed`. Ignore fields and
types you do not know: within a `v1` optional fields may be added. Amounts are whole minor units, as text. Persons
travel only sealed, as `{party_id, key_id, ciphertext}`.
"""

_BELOW_TOPICS = f"""
Partitions and days are Kafka's unless an installation says otherwise. The embedded bus keeps everything for {LOG_DAYS}
days, and longer what a group has not read yet. A dead letter has an id of its own; its `ce_causationid` is the id of
the event that failed."""

_KEYS = {
    "rialto.payments.v1": "payment id; merchant id of totals",
    "rialto.ledger.v1": "payment id; account id where there is no payment; transfer id; merchant id of totals",
    "rialto.settlements.v1": "payment id; a deposit's own id; merchant id of totals",
}


def page() -> str:
    """Return the page."""
    parts = [_HEAD, *_topics()]
    for topic in TOPICS:
        parts.append(f"\n## {topic}\n")
        parts += [text for model in MODELS if model.topic == topic for text in _event(model)]
    return "\n".join(parts) + "\n"


def _topics() -> Iterator[str]:
    specs = {spec.name: spec for spec in wanted_topics()}
    yield "## Topics\n"
    yield "| topic | key | told by | handled by | partitions on Kafka | kept on Kafka |"
    yield "|---|---|---|---|---|---|"
    for topic in TOPICS:
        handlers = [group for group, models in CONSUMERS.items() if any(model.topic == topic for model in models)]
        columns = (
            f"[`{topic}`](#{topic.replace('.', '')})",
            _KEYS.get(topic, "payment id"),
            _service(EMITTERS[topic]),
            ", ".join(map(_service, handlers)),
            specs[topic].partitions,
            _days(specs[topic]),
        )
        yield f"| {' | '.join(map(str, columns))} |"
    dead = specs[TOPICS[0] + DEAD_LETTER_SUFFIX]
    yield (
        f"| each of them + `{DEAD_LETTER_SUFFIX}` | as above | the group that could not handle an event | people, with "
        f"`rialto dlq` | {dead.partitions} | {_days(dead)} |"
    )
    yield _BELOW_TOPICS


def _days(spec: TopicSpec) -> str:
    return f"{int(spec.config['retention.ms']) // DAY_MS} days"


def _service(name: str) -> str:
    return name.replace("_", "-")


def _event(model: type[EventData]) -> Iterator[str]:
    consumers = ", ".join(map(_service, consumers_of(model))) or "nobody here; it is for reports and your own consumers"
    schema = schema_of(model)
    yield f"### {model.type}\n"
    yield f"{summary_of(model)}\n"
    yield (
        f"From {_service(EMITTERS[model.topic])} to {consumers}. "
        f"[JSON Schema](../../libs/common/rialto_common/events/schemas/{model.type}.json)\n"
    )
    yield "| field | type | |"
    yield "|---|---|---|"
    for name, kind, note in _fields(schema, schema):
        yield f"| `{name}` | {kind} | {note} |"
    yield "\n<details><summary>Example</summary>\n"
    yield "```json"
    yield json.dumps(to_json(examples()[model.type]), indent=2, ensure_ascii=False)
    yield "```\n"
    yield "</details>\n"


def _fields(schema: Schema, root: Schema, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (path, type, note) of each field, those of inner objects after their own."""
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        inner, optional = _without_null(_resolved(field, root), root)
        note = "" if name in required and not optional else "may be null or missing"
        yield f"{prefix}{name}", _kind(inner, root), note
        if "oneOf" in inner:
            for option in inner["oneOf"]:
                alternative = _resolved(option, root)
                yield from _fields(alternative, root, f"{prefix}{name}.")
        below, suffix = (_resolved(inner["items"], root), "[].") if inner.get("type") == "array" else (inner, ".")
        if "properties" in below:
            yield from _fields(below, root, f"{prefix}{name}{suffix}")


def _resolved(schema: Schema, root: Schema) -> Schema:
    reference = schema.get("$ref")
    return schema if reference is None else root["$defs"][str(reference).removeprefix("#/$defs/")]


def _without_null(schema: Schema, root: Schema) -> tuple[Schema, bool]:
    options = schema.get("anyOf")
    if options is None:
        return schema, False
    [only] = [_resolved(option, root) for option in options if option.get("type") != "null"]
    return only, len(options) > 1


def _kind(schema: Schema, root: Schema) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "oneOf" in schema:
        return f"object, one of several by its `{schema['discriminator']['propertyName']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(_resolved(schema['items'], root), root)}"
    if "properties" in schema:
        return "object"
    if schema.get("type") == "object":
        return f"table of {_kind(schema['additionalProperties'], root)}"
    pattern = str(schema.get("pattern", ""))
    if pattern.startswith("^[0-9]"):
        return str(schema["description"])
    if pattern:
        return f"id `{pattern[1:].split('_')[0]}_…`"
    if schema.get("format") in ("date-time", "date"):
        return {"date-time": "time", "date": "day"}[schema["format"]]
    if "minimum" in schema:
        return f"{schema['type']} from {schema['minimum']:g} to {schema['maximum']:g}"
    kind = str(schema["type"])
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(kind, kind)
