"""Topics of a real Kafka broker: created, changed, and what is refused."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from rialto_cli.kafka_testing import KafkaBroker
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.topics_admin import TopicAdmin, TopicsRefused, ensure_topics
from rialto_common.events.common import TOPICS
from rialto_common.runtime import SystemRuntime

RUNTIME = SystemRuntime()


async def set_on_topic(cluster: KafkaCluster, topic: str, **config: str) -> None:
    client = AIOKafkaAdminClient(**cluster.client_options("test"))
    await client.start()
    settings = {name.replace("_", "."): value for name, value in config.items()}
    await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, cluster.name(topic), settings)])
    await client.close()
    async with TopicAdmin(cluster, RUNTIME) as admin, asyncio.timeout(10):
        # The broker learns of it a moment after the controller has taken it.
        while not settings.items() <= (await settings_of(admin, cluster.name(topic))).items():
            await RUNTIME.sleep(0.01)


async def settings_of(admin: TopicAdmin, name: str) -> Mapping[str, str]:
    found = {change.spec.name: change.found for change in await admin.plan()}[name]
    assert found is not None
    return found.own


async def test_every_topic_is_created_once(kafka: KafkaBroker) -> None:
    cluster = kafka.cluster("creates")
    created = await ensure_topics(cluster, RUNTIME)
    assert len(created) == 2 * len(TOPICS)
    assert all(change.creates and change.spec.name.startswith("creates.rialto.") for change in created)
    assert await ensure_topics(cluster, RUNTIME) == []


async def test_topics_are_as_stated(kafka_cluster: KafkaCluster) -> None:
    async with TopicAdmin(kafka_cluster, RUNTIME) as admin:
        (first, *_) = await admin.plan()
    assert first.found is not None
    assert (first.found.partitions, first.found.replication) == (8, 1)
    assert first.spec.config.items() <= first.found.config.items()


async def test_a_change_keeps_what_else_is_set_on_the_topic(kafka_cluster: KafkaCluster) -> None:
    await set_on_topic(kafka_cluster, TOPICS[0], retention_ms="1000", segment_ms="777777")
    (change,) = await ensure_topics(kafka_cluster, RUNTIME)
    # AlterConfigs has also dropped the other settings of ours, which are back as well.
    assert change.config["retention.ms"] == str(14 * 24 * 60 * 60 * 1000)
    async with TopicAdmin(kafka_cluster, RUNTIME) as admin:
        (first, *_) = await admin.plan()
    assert first.is_empty
    assert first.found is not None
    assert first.found.own["segment.ms"] == "777777"


async def test_partitions_grow_and_never_shrink(kafka_cluster: KafkaCluster) -> None:
    assert {change.partitions for change in await ensure_topics(kafka_cluster, RUNTIME, partitions=12)} == {12}
    assert await ensure_topics(kafka_cluster, RUNTIME) == []
    with pytest.raises(TopicsRefused, match="cannot shrink to 8"):
        await ensure_topics(kafka_cluster, RUNTIME, partitions=8)


async def test_a_refusal_leaves_every_topic_as_it_was(kafka_cluster: KafkaCluster) -> None:
    with pytest.raises(TopicsRefused, match="copies of each record, not 2"):
        await ensure_topics(kafka_cluster, RUNTIME, partitions=16, replication=2)
    assert await ensure_topics(kafka_cluster, RUNTIME) == []


async def test_more_copies_than_brokers_is_the_clusters_refusal(kafka: KafkaBroker) -> None:
    with pytest.raises(TopicsRefused, match=r"cannot be created: .*[Rr]eplication"):
        await ensure_topics(kafka.cluster("too-many"), RUNTIME, replication=3)


async def test_a_cluster_that_does_not_answer_is_an_error_within_seconds() -> None:
    with pytest.raises(KafkaError):
        await ensure_topics(KafkaCluster(("127.0.0.1:1",)), RUNTIME)


async def test_topics_are_reached_through_tls_and_every_mechanism(
    kafka_factory: Callable[..., KafkaBroker],
) -> None:
    broker = kafka_factory(secured=True)
    counts = [
        len(await ensure_topics(broker.secured_cluster("tls", mechanism), RUNTIME))
        for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
    ]
    assert counts == [2 * len(TOPICS), 0, 0]
