"""The bus as an AsyncAPI 3 document, from the event models, the topics and who tells what to whom."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from rialto_common.bus.port import DEAD_LETTER_SUFFIX, MAX_EVENT_BYTES
from rialto_common.bus.topics import TopicSpec, wanted_topics
from rialto_common.events import MODELS, Event, EventData
from rialto_common.events.common import TOPICS
from rialto_common.events.flows import CONSUMERS, EMITTERS, source_of
from rialto_common.events.json_form import from_json
from rialto_common.events.kafka_binary import to_record
from rialto_common.events.write_schemas import schema_of
from rialto_common.ids import SHARDS

EXAMPLES = Path(__file__).parent / "examples.jsonl"
"""One really emitted event of each type, as `rialto events tail --json` prints it."""

SCHEMA_FORMAT = "application/schema+json;version=draft-07"
_BINDING = "0.5.0"

_ABOUT = f"""What Rialto's services tell each other. Every message is a CloudEvent 1.0 in Kafka's binary content mode: \
attributes in `ce_` headers, the payload as JSON.

- Messages of one key arrive in the order in which they were committed. `ce_sequence` grows per source and key.
- Delivery is at least once: drop what you have seen by `ce_source` and `ce_id`, which a repeated message keeps.
- The partition is chosen by `ce_shard`, the merchant's place among {SHARDS}, not by Kafka's hash of the key.
- Messages are written in transactions: read with `isolation.level=read_committed`.
- Ignore fields and types you do not know. Within a `v1` only optional fields are added; a `v2` comes beside its `v1`.
- Names, keys and account numbers are never in clear: persons travel as `{{party_id, key_id, ciphertext}}`.
- A payload has at most {MAX_EVENT_BYTES // 1024} KiB.

An installation may have a prefix before every topic and group, such as `staging.`."""


@cache
def examples() -> Mapping[str, Event]:
    """Return a really emitted event of each type, by type."""
    events = [from_json(orjson.loads(line)) for line in EXAMPLES.read_bytes().splitlines()]
    return {event.type: event for event in events}


def document(*, schemas: str | None = None) -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document.

    Args: schemas: the folder of the JSON Schemas, relative to where the document will lie; None puts the schemas into
    the document, which then stands alone.
    """
    specs = {spec.name: spec for spec in wanted_topics()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Rialto events",
            "version": "1.0.0",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": {
            name: _channel(specs[topic + suffix])
            for topic in TOPICS
            for name, suffix in (
                (_channel_name(topic), ""),
                (_channel_name(topic + DEAD_LETTER_SUFFIX), DEAD_LETTER_SUFFIX),
            )
        },
        "operations": {**_sends(), **_receives(), **_dead_letters()},
        "components": {
            "messages": {model.__name__: _message(model, schemas) for model in MODELS},
            "messageTraits": {"CloudEvent": _trait()},
            "securitySchemes": {
                "scram": {"type": "scramSha512", "description": "SASL/SCRAM over TLS; PLAIN and SCRAM-SHA-256 too."}
            },
        },
    }


def _servers() -> dict[str, Any]:
    return {
        "local": {
            "host": "127.0.0.1:{port}",
            "protocol": "kafka",
            "description": "What `rialto up --bus kafka` starts.",
            "variables": {"port": {"default": "9092", "description": "See `rialto status`."}},
        },
        "cluster": {
            "host": "{bootstrap}",
            "protocol": "kafka-secure",
            "description": "A cluster of one's own, named by RIALTO_BUS_URL.",
            "variables": {"bootstrap": {"default": "kafka.example:9093", "description": "A broker's host and port."}},
            "security": [{"$ref": "#/components/securitySchemes/scram"}],
        },
    }


def _channel_name(topic: str) -> str:
    """Return `payments` for `rialto.payments.v1`, and `payments_dead_letters` for its dead-letter topic."""
    plain = topic.removesuffix(DEAD_LETTER_SUFFIX)
    name = plain.removeprefix("rialto.").removesuffix(".v1")
    return name if plain == topic else f"{name}_dead_letters"


def _channel(spec: TopicSpec) -> dict[str, Any]:
    topic = spec.name.removesuffix(DEAD_LETTER_SUFFIX)
    if topic == spec.name:
        about = f"What the {_spoken(EMITTERS[topic])} tells."
        models = [model for model in MODELS if model.topic == topic]
    else:
        about = (
            f"Events of {topic} that a consumer group could not handle and has set aside, under an id of their own; "
            "`ce_causationid` is the id of the event that failed. `rialto dlq` heals them."
        )
        models = _handled_on(topic)
    return {
        "address": spec.name,
        "description": about,
        "messages": {model.__name__: {"$ref": f"#/components/messages/{model.__name__}"} for model in models},
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "replicas": spec.replication,
                "topicConfiguration": {
                    **spec.config,
                    "cleanup.policy": spec.config["cleanup.policy"].split(","),
                    "retention.ms": int(spec.config["retention.ms"]),
                    "max.message.bytes": int(spec.config["max.message.bytes"]),
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _handled_on(topic: str, group: str | None = None) -> list[type[EventData]]:
    """Return the models of a topic that one consumer group, or any, handles."""
    handled = {model for name, models in CONSUMERS.items() if group in (None, name) for model in models}
    return [model for model in MODELS if model.topic == topic and model in handled]


def _spoken(service: str) -> str:
    return {"fraud": "fraud service", "compliance": "compliance service"}.get(service, service.replace("_", "-"))


def _operation(action: str, channel: str, models: list[type[EventData]], summary: str, **kafka: Any) -> dict[str, Any]:
    operation = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{model.__name__}"} for model in models],
    }
    if kafka:
        operation["bindings"] = {"kafka": {**kafka, "bindingVersion": _BINDING}}
    return operation


def _sends() -> dict[str, Any]:
    return {
        f"{service}_sends_{_channel_name(topic)}": _operation(
            "send",
            _channel_name(topic),
            [model for model in MODELS if model.topic == topic],
            f"The {_spoken(service)} tells what became true.",
        )
        for topic, service in EMITTERS.items()
    }


def _receives() -> dict[str, Any]:
    return {
        f"{group}_receives_{_channel_name(topic)}": _operation(
            "receive",
            _channel_name(topic),
            _handled_on(topic, group),
            f"The {_spoken(group)} handles these, each once in effect.",
            groupId={"type": "string", "const": group},
        )
        for group in CONSUMERS
        for topic in TOPICS
        if _handled_on(topic, group)
    }


def _dead_letters() -> dict[str, Any]:
    return {
        f"{group}_sets_aside_{_channel_name(topic)}": _operation(
            "send",
            _channel_name(topic + DEAD_LETTER_SUFFIX),
            _handled_on(topic, group),
            f"The {_spoken(group)} says what it could not handle and has set aside with its key.",
        )
        for group in CONSUMERS
        for topic in TOPICS
        if _handled_on(topic, group)
    }


def _message(model: type[EventData], schemas: str | None) -> dict[str, Any]:
    return {
        "name": model.type,
        "title": model.__name__,
        "summary": summary_of(model),
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": {"ce_type": {"const": model.type}, "ce_source": {"const": source_of(model)}},
        },
        "payload": {
            "schemaFormat": SCHEMA_FORMAT,
            "schema": _alone(schema_of(model)) if schemas is None else {"$ref": f"{schemas}/{model.type}.json"},
        },
        "traits": [{"$ref": "#/components/messageTraits/CloudEvent"}],
        "examples": [_example(examples()[model.type])],
    }


def summary_of(model: type[EventData]) -> str:
    """Return what the event says, on one line."""
    return " ".join((model.__doc__ or "").split())


def _alone(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema as it may stand within another document: with its definitions in their places.

    References within it would point into the document around it.
    """
    definitions = schema.get("$defs", {})

    def put_in(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return put_in(definitions[value["$ref"].removeprefix("#/$defs/")])
            # AsyncAPI has a discriminator of another form; each alternative has its tag as a constant anyway.
            return {name: put_in(item) for name, item in value.items() if name != "discriminator"}
        return [put_in(item) for item in value] if isinstance(value, list) else value

    rest: dict[str, Any] = put_in({name: value for name, value in schema.items() if name not in ("$defs", "$schema")})
    return rest


def _example(event: Event) -> dict[str, Any]:
    _, headers, value = to_record(event)
    return {"headers": {name: text.decode() for name, text in headers}, "payload": orjson.loads(value)}


def _trait() -> dict[str, Any]:
    def text(about: str, **more: Any) -> dict[str, Any]:
        return {"type": "string", "description": about, **more}

    return {
        "headers": {
            "type": "object",
            "required": [
                "content-type",
                "ce_specversion",
                "ce_id",
                "ce_source",
                "ce_type",
                "ce_time",
                "ce_sequence",
                "ce_shard",
                "ce_correlationid",
            ],
            "properties": {
                "content-type": text("What the payload is.", const="application/json"),
                "ce_specversion": text("CloudEvents' version.", const="1.0"),
                "ce_id": text(
                    "Derived from what the event is about, so that a retry makes the same; unique per source.",
                    format="uuid",
                ),
                "ce_source": text("The service that tells it."),
                "ce_type": text("What happened, with the version of its payload."),
                "ce_time": text("When it happened, in UTC.", format="date-time"),
                "ce_sequence": text("Grows per source and key.", pattern="^[0-9]{1,18}$"),
                "ce_shard": text(f"0 to {SHARDS - 1}: chooses the partition.", pattern="^[0-9]{1,2}$"),
                "ce_correlationid": text("The key of the first event of the story, mostly the payment's id."),
                "ce_causationid": text("The id of the event that led to this one."),
                "ce_traceparent": text("The W3C trace.", pattern="^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"),
            },
        },
        "correlationId": {
            "description": "Brings the events of one story together.",
            "location": "$message.header#/ce_correlationid",
        },
        "bindings": {
            "kafka": {
                "key": {
                    "type": "string",
                    "description": "What orders: the payment's id, or that of the account or deposit the event is "
                    "about where there is no payment, the capture's or refund's where there is no hold, the "
                    "transfer's, or the merchant's of its totals.",
                    "pattern": "^(pay|po|dp|acc|att|cap|re|dep|mer|trf)_[0-9a-hjkmnp-tv-z]{26}$",
                },
                "bindingVersion": _BINDING,
            }
        },
    }
