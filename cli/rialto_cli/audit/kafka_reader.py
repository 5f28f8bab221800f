"""What Kafka holds: the groups' offsets, the topics' ends, and every committed record. Joins no group, writes nothing.

A transaction counts as committed from the moment its publisher is told so, yet its records become readable a little
later, when the coordinator has marked each partition. So the ends asked for are those of all records, committed or not
(`ends`), and reading goes on to where everything up to there is decided (`decided_ends`).
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
)

from rialto_cli.audit.bus_url import Cluster
from rialto_cli.audit.records import Reading, Records

ASK_SECONDS = 15.0
DECIDED_SECONDS = 30.0
"""How long a transaction may stay open: Kafka ends one whose publisher is gone after 15 s."""
STALL_SECONDS = 20.0
FETCH_BYTES = 8 * 1024 * 1024
PARTITION_BYTES = 1024 * 1024
FETCH_WAIT_MS = 10
"""A broker answers one fetch of a client at a time, and one that waits at a partition's end holds up the others."""
POLL_RECORDS = 4_000
POLL_MS = 500
PAUSE_SECONDS = 0.02
COORDINATOR_PAUSE_SECONDS = 0.2
TELL_RECORDS = 200_000

T = TypeVar("T")
Place = tuple[str, int]
"""A topic by its name without the prefix, and a partition."""


class KafkaUnreadable(Exception):
    """Kafka does not answer, or not yet; asking again may help."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where things stood at a moment: how far each group has acknowledged, and then the ends of all partitions."""

    acknowledged: Mapping[str, Mapping[Place, int]]
    ends: Mapping[Place, int]


class Kafka:
    """A cluster that is read. Use it as a context: it connects at its beginning. All methods raise KafkaUnreadable."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._runner = asyncio.Runner()
        self._closers: list[Callable[[], Awaitable[None]]] = []

    def __enter__(self) -> "Kafka":
        self._runner.__enter__()
        try:
            self._ask(self._connect)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._runner.run(self._close())
        finally:
            self._runner.close()

    def standing(self, groups: Iterable[str], topics: Sequence[str]) -> Standing:
        """Return how things stand now; the groups are asked first, as they move up to the ends and never beyond."""
        acknowledged = {group: self._ask(self._acknowledged, group) for group in groups}
        return Standing(acknowledged, self.ends(topics))

    def ends(self, topics: Sequence[str]) -> dict[Place, int]:
        """Return the offset after the last record of each partition there is, be it committed or not."""
        return self._ask(self._ends, topics)

    def starts(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return the first offset that is kept."""
        return self._ask(self._starts, places)

    def decided_ends(self, ends: Mapping[Place, int]) -> dict[Place, int]:
        """Wait until all before these ends is committed or aborted; return the offset up to which everything is."""
        return self._ask(self._decided_ends, ends, seconds=DECIDED_SECONDS + ASK_SECONDS)

    def read(self, topic: str, ends: Mapping[Place, int], say: Callable[[str], None]) -> Records:
        """Return a topic's committed records up to its partitions' `decided_ends`."""
        return self._ask(self._read, topic, ends, say, seconds=None)

    def _ask(self, question: Callable[..., Awaitable[T]], *arguments: object, seconds: float | None = ASK_SECONDS) -> T:
        async def ask() -> T:
            async with asyncio.timeout(seconds):
                return await question(*arguments)

        try:
            return self._runner.run(ask())
        except (KafkaError, OSError, TimeoutError) as error:
            servers = ", ".join(self.cluster.servers)
            raise KafkaUnreadable(f"{servers} does not answer: {type(error).__name__}: {error}") from error

    async def _connect(self) -> None:
        options = self.cluster.options()
        self._admin = AIOKafkaAdminClient(**options)
        # Offsets asked for by it include what is not committed yet.
        self._scout = AIOKafkaConsumer(enable_auto_commit=False, isolation_level="read_uncommitted", **options)
        self._reader = AIOKafkaConsumer(
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_BYTES,
            **options,
        )
        self._closers = [self._admin.close, self._scout.stop, self._reader.stop]
        await self._admin.start()
        await self._scout.start()
        await self._reader.start()

    async def _close(self) -> None:
        for close in reversed(self._closers):
            # Whatever keeps a client from closing has been told already, and changes nothing of what was read.
            with contextlib.suppress(KafkaError, OSError):
                await close()

    def _at(self, place: Place) -> TopicPartition:
        return TopicPartition(self.cluster.name(place[0]), place[1])

    async def _acknowledged(self, group: str) -> dict[Place, int]:
        prefix = self.cluster.name("")
        stored = None
        while stored is None:
            try:
                stored = await self._admin.list_consumer_group_offsets(self.cluster.name(group))
            except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError):
                # A broker makes the coordinators' topic when first asked for one, and reads it after a restart.
                await asyncio.sleep(COORDINATOR_PAUSE_SECONDS)
        return {
            (at.topic.removeprefix(prefix), at.partition): known.offset
            for at, known in stored.items()
            if at.topic.startswith(prefix) and known.offset >= 0
        }

    async def _ends(self, topics: Sequence[str]) -> dict[Place, int]:
        # Asking about a topic that is not there could create it.
        there = set(await self._admin.list_topics())
        plain = {self.cluster.name(topic): topic for topic in topics if self.cluster.name(topic) in there}
        if not plain:
            return {}
        places = [
            TopicPartition(described["topic"], partition["partition"])
            for described in await self._admin.describe_topics(list(plain))
            for partition in described["partitions"]
        ]
        ends = await self._scout.end_offsets(places)
        return {(plain[at.topic], at.partition): end for at, end in ends.items()}

    async def _starts(self, places: Iterable[Place]) -> dict[Place, int]:
        at = {self._at(place): place for place in places}
        return (
            {at[each]: start for each, start in (await self._scout.beginning_offsets(list(at))).items()} if at else {}
        )

    async def _decided_ends(self, ends: Mapping[Place, int]) -> dict[Place, int]:
        at = {self._at(place): place for place in ends}
        began = time.monotonic()
        while at:
            decided = {at[each]: end for each, end in (await self._reader.end_offsets(list(at))).items()}
            waiting = [place for place, end in ends.items() if decided[place] < end]
            if not waiting:
                return decided
            if time.monotonic() - began > DECIDED_SECONDS:
                topic, partition = waiting[0]
                raise KafkaUnreadable(f"a transaction in partition {partition} of {topic} is neither ended nor aborted")
            await asyncio.sleep(PAUSE_SECONDS)
        return {}

    async def _read(self, topic: str, ends: Mapping[Place, int], say: Callable[[str], None]) -> Records:
        reading = Reading()
        left = {self._at(place): end for place, end in ends.items() if place[0] == topic}
        starts = await self._scout.beginning_offsets(list(left)) if left else {}
        left = {at: end for at, end in left.items() if starts[at] < end}
        if left:
            self._reader.assign(list(left))
        for at in left:
            self._reader.seek(at, starts[at])
        moved, told = time.monotonic(), 0
        while left:
            fetched = await self._reader.getmany(*left, timeout_ms=POLL_MS, max_records=POLL_RECORDS)
            for at, records in fetched.items():
                reading.take(at.partition, records, left[at])
                moved = time.monotonic()
            # Markers and aborted records are passed over without a word: only the position says how far we are.
            for at in [at for at in left if await self._reader.position(at) >= left[at]]:
                del left[at]
                self._reader.pause(at)
            if len(reading) - told >= TELL_RECORDS:
                told = len(reading)
                say(f"Kafka: {told:,} records of {topic}")
            if time.monotonic() - moved > STALL_SECONDS:
                raise KafkaUnreadable(f"{topic} cannot be read to its end")
        return reading.records()
