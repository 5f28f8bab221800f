"""On Kafka: each wrong, in the database or among the records, is named; and what a relay may do is none."""

from dataclasses import replace
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from rialto_cli.audit.snapshot import Snapshot

from .kafka_plants import ON_KAFKA
from .kafka_scene import PARTITIONS, KafkaScene, send
from .plants import NEW, Plant, plant
from .test_plants import Spoilt

LEDGER = "rialto.ledger.v1"
PAYMENTS = "rialto.payments.v1"


@pytest.mark.parametrize("planted", ON_KAFKA, ids=lambda planted: f"{planted.check}: {planted.name}")
def test_a_wrong_in_the_database_is_named(planted: Plant, kafka_scene: KafkaScene) -> None:
    book = kafka_scene.audit(Spoilt(kafka_scene.database, planted))["I8"]
    named = [example for example in book.examples if example["check"] == planted.check]
    assert named, book.by_check
    assert named[0]["what"]
    assert named[0]["ids"]
    assert named[0]["expected"] != named[0]["found"]


def of_a_key(records: list[ConsumerRecord]) -> list[ConsumerRecord]:
    """Return the records of one key that has several."""
    keys = [record.key for record in records]
    key = max(keys, key=keys.count)
    return [record for record in records if record.key == key]


def test_a_batch_that_is_copied_again_is_no_wrong(kafka_scene: KafkaScene) -> None:
    scene = kafka_scene.copied()
    again = scene.records(LEDGER)

    async def work(producer: AIOKafkaProducer) -> None:
        for record in again:
            await send(producer, record.topic, record)

    scene.write(work)
    assert scene.wrong() == {}


def test_an_old_event_that_comes_again_alone_is_out_of_order(kafka_scene: KafkaScene) -> None:
    scene = kafka_scene.copied()
    first, *_ = of_a_key(scene.records(LEDGER))
    scene.write(lambda producer: send(producer, first.topic, first))
    assert scene.wrong() == {"kafka_out_of_order": 1}


def test_a_record_of_no_event_is_named(kafka_scene: KafkaScene) -> None:
    scene = kafka_scene.copied()
    record = scene.records(PAYMENTS)[0]

    async def work(producer: AIOKafkaProducer) -> None:
        await send(producer, record.topic, record, ce_id=NEW.encode())
        await send(producer, record.topic, record, ce_type=b"rialto.payment.approved.v1")
        await producer.send_and_wait(record.topic, b"no event", partition=0)

    scene.write(work)
    book = scene.audit(Snapshot(scene.database.dsn("auditor")))["I8"]
    assert book.by_check == {"kafka_has_unknown_event": 3}
    assert {example["found"] for example in book.examples} == {
        "no such event",
        "another source, type or key than the log has under this id",
        "a record without an event's id",
    }
    assert {UUID(example["ids"]["event_id"]) for example in book.examples} >= {UUID(NEW), UUID(int=0)}


def test_a_record_of_a_transaction_that_was_aborted_is_none(kafka_scene: KafkaScene) -> None:
    scene = kafka_scene.copied()
    record = scene.records(PAYMENTS)[0]

    async def work(producer: AIOKafkaProducer) -> None:
        await producer.begin_transaction()
        await send(producer, record.topic, record, ce_id=NEW.encode())
        await producer.abort_transaction()

    scene.write(work, transactional_id=f"{scene.prefix}-audit")
    assert scene.wrong() == {}


def test_a_record_in_another_partition_is_named_even_where_the_right_one_has_it_too(kafka_scene: KafkaScene) -> None:
    scene = kafka_scene.copied()
    record = scene.records(LEDGER)[0]
    elsewhere = (record.partition + 1) % PARTITIONS
    scene.write(lambda producer: send(producer, record.topic, record, partition=elsewhere))
    assert scene.wrong() == {"kafka_wrong_partition": 1}


def test_what_retention_took_is_missed_only_while_a_group_needs_it(kafka_scene: KafkaScene) -> None:
    scene = kafka_scene.copied()
    scene.delete_records(PAYMENTS)
    assert scene.wrong() == {}
    one = "(SELECT min(event_id::TEXT)::UUID FROM fraud.inbox)"
    needed = plant("I8", "kafka_lacks_event", "needed", f"DELETE FROM fraud.inbox WHERE event_id = {one}")
    assert scene.audit(Spoilt(scene.database, needed))["I8"].by_check["kafka_lacks_event"] == 1


def test_a_cluster_without_the_topics_lacks_everything(kafka_scene: KafkaScene) -> None:
    nowhere = replace(kafka_scene, prefix="nowhere")
    copied = sum(len(kafka_scene.records(topic)) for topic in (PAYMENTS, LEDGER))
    assert nowhere.wrong()["kafka_lacks_event"] > copied


def test_a_group_that_claims_to_have_read_what_never_was_is_named(kafka_scene: KafkaScene) -> None:
    scene = kafka_scene.copied()
    scene.acknowledge("fraud", PAYMENTS, 0, 1_000_000)
    assert scene.wrong() == {"offset_past_the_end": 1}
