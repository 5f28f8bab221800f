"""Fixtures of the shared library's tests."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from rialto_cli.kafka_testing import KafkaBroker
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.topics import wanted_topics


@pytest.fixture
def kafka_cluster(kafka: KafkaBroker) -> KafkaCluster:
    async def make() -> KafkaCluster:
        cluster = kafka.cluster(f"t{time.time_ns()}")
        admin = AIOKafkaAdminClient(**cluster.client_options("x"))
        await admin.start()
        await admin.create_topics(
            [
                NewTopic(cluster.name(t.name), t.partitions, 1, topic_configs=t.config)
                for t in wanted_topics(replication=1)
            ]
        )
        await admin.close()
        return cluster

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, make()).result()
