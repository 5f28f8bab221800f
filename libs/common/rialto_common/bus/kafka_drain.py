"""Which groups have not read a topic to its end: asked before its events are spread over more partitions."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.errors import BusUnavailable

ASK_SECONDS = 10.0
LOOK_MS = 200


async def undelivered(cluster: KafkaCluster, topic: str, partitions: int) -> dict[str, int]:
    """Return the groups that have committed records to read in the topic's first `partitions`, with how many of those
    partitions.

    A group counts from its first acknowledgement in the topic on; one that was never here has no order to keep yet.

    Raises: BusUnavailable.
    """
    name = cluster.name(topic)
    places = [TopicPartition(name, partition) for partition in range(partitions)]
    client = cluster.client_options("rialto-drain")
    admin = AIOKafkaAdminClient(**client)
    reader = AIOKafkaConsumer(enable_auto_commit=False, isolation_level="read_committed", **client)
    try:
        async with asyncio.timeout(ASK_SECONDS):
            await admin.start()
            await reader.start()
            ends = await reader.end_offsets(places)
            starts = await reader.beginning_offsets(places)
            behind: dict[str, int] = {}
            for group, *_ in await admin.list_consumer_groups():
                reached = {
                    place: stored.offset
                    for place, stored in (await admin.list_consumer_group_offsets(group)).items()
                    if place.topic == name and stored.offset >= 0
                }
                if not reached:
                    continue
                short = {
                    place: max(starts[place], reached.get(place, 0))
                    for place in places
                    if max(starts[place], reached.get(place, 0)) < ends[place]
                }
                if unread := await _with_records(reader, short):
                    behind[cluster.plain(group)] = unread
            return behind
    except (KafkaError, OSError, TimeoutError) as error:
        raise BusUnavailable(f"Kafka does not answer: {type(error).__name__}: {error}") from error
    finally:
        await reader.stop()
        await admin.close()


async def _with_records(reader: AIOKafkaConsumer, short: dict[TopicPartition, int]) -> int:
    """Return in how many places a committed record lies beyond the offset.

    An offset short of the end need not mean one: transactions end with a marker that no reader is given.
    """
    unread = 0
    for place, offset in short.items():
        reader.assign([place])
        reader.seek(place, offset)
        found = False
        # Until the broker has answered for this place, with records or without.
        while not found and reader.highwater(place) is None:
            found = bool(await reader.getmany(place, timeout_ms=LOOK_MS))
        unread += found or bool(await reader.getmany(place, timeout_ms=0))
    return unread
