"""Read a cluster's topics, and bring them to what they should be: the effects behind `topics_plan`.

aiokafka's admin client speaks only the older AlterConfigs, which replaces all of a topic's own settings; so each change
is sent with whatever else is set on the topic, and nothing an operator has set is lost.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.topics import PARTITIONS, wanted_topics
from rialto_common.bus.topics_plan import TopicChange, TopicState, plan

CLIENT_ID = "rialto-topics"
# DescribeConfigs' word for "set on this very topic".
OWN_SETTING = 1
USUAL_REPLICATION = 3
VISIBLE_WITHIN_SECONDS = 30.0
POLL_SECONDS = 0.05


class TopicsRefused(Exception):
    """The cluster refused, or the plan holds what must not be done; the text says which topic and why."""


class Effects(Protocol):
    """The part of a Runtime that waiting takes."""

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class TopicAdmin:
    """The topics of one cluster, under its prefix; an async context manager."""

    def __init__(self, cluster: KafkaCluster, runtime: Effects) -> None:
        self._cluster = cluster
        self._runtime = runtime
        self._client = AIOKafkaAdminClient(**cluster.client_options(CLIENT_ID))

    async def __aenter__(self) -> "TopicAdmin":
        """Connect. Raises: KafkaError: nobody answers, or not to us."""
        try:
            await self._client.start()
        except BaseException:
            await self._client.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def cluster_id(self) -> str:
        """Return the id by which this cluster is told from all others, wherever its brokers are."""
        return str((await self._client.describe_cluster())["cluster_id"])

    async def plan(self, *, partitions: int | None = None, replication: int | None = None) -> list[TopicChange]:
        """Return what has to change, a change for each topic.

        Args: partitions: None for at least 8, leaving topics that have more alone. replication: None for 3, or for 1
        on a cluster of fewer than three brokers.
        """
        if replication is None:
            brokers = len((await self._client.describe_cluster())["brokers"])
            replication = USUAL_REPLICATION if brokers >= USUAL_REPLICATION else 1
        wanted = [
            replace(spec, name=self._cluster.name(spec.name))
            for spec in wanted_topics(partitions=partitions or PARTITIONS, replication=replication)
        ]
        found = await self._found([spec.name for spec in wanted])
        return plan(wanted, found, keep_more=partitions is None)

    async def _found(self, names: Sequence[str]) -> dict[str, TopicState]:
        described = {topic["topic"]: topic for topic in await self._client.describe_topics(list(names))}
        existing = []
        for name in names:
            code = described[name]["error_code"]
            if code != UnknownTopicOrPartitionError.errno:
                _check(code, f"the topic {name} cannot be read")
                existing.append(name)
        if not existing:
            return {}
        settings = await self._settings(existing)
        return {
            name: TopicState(
                partitions=len(described[name]["partitions"]),
                replication=min(len(partition["replicas"]) for partition in described[name]["partitions"]),
                config={key: value for key, value, _ in settings[name]},
                own={key: value for key, value, own in settings[name] if own},
            )
            for name in existing
        }

    async def _settings(self, names: Sequence[str]) -> dict[str, list[tuple[str, str, bool]]]:
        """Each topic's settings: name, value in force, whether it is set on the topic itself."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        settings = {}
        for response in await self._client.describe_configs(resources):
            for resource in response.to_object()["resources"]:
                _check(resource["error_code"], f"the settings of {resource['resource_name']} cannot be read")
                settings[resource["resource_name"]] = [_setting(entry) for entry in resource["config_entries"]]
        return settings

    async def apply(self, changes: Sequence[TopicChange]) -> None:
        """Make the changes, and return when every broker that we ask knows them. Running it again does no harm.

        Raises: TopicsRefused: the plan has refusals (then nothing was done), or the cluster would not.
        """
        refusals = [refusal for change in changes for refusal in change.refusals]
        if refusals:
            raise TopicsRefused("; ".join(refusals))
        await self._create([change for change in changes if change.creates])
        more = {change.spec.name: NewPartitions(change.partitions) for change in changes if change.partitions}
        if more:
            try:
                await self._client.create_partitions(more)
            except KafkaError as error:
                raise TopicsRefused(str(error)) from error
        await self._configure([change for change in changes if change.config])
        await self._until_visible([change for change in changes if not change.is_empty])

    async def _create(self, changes: Sequence[TopicChange]) -> None:
        if not changes:
            return
        specs = [change.spec for change in changes]
        response = await self._client.create_topics(
            [NewTopic(spec.name, spec.partitions, spec.replication, topic_configs=spec.config) for spec in specs]
        )
        for error in response.to_object()["topic_errors"]:
            # Someone else may be creating it at this moment.
            if error["error_code"] != TopicAlreadyExistsError.errno:
                _check(error["error_code"], f"the topic {error['topic']} cannot be created", error.get("error_message"))

    async def _configure(self, changes: Sequence[TopicChange]) -> None:
        if not changes:
            return
        resources = [
            ConfigResource(
                ConfigResourceType.TOPIC,
                change.spec.name,
                {**({} if change.found is None else change.found.own), **change.config},
            )
            for change in changes
        ]
        for response in await self._client.alter_configs(resources):
            for resource in response.to_object()["resources"]:
                _check(
                    resource["error_code"],
                    f"the settings of {resource['resource_name']} cannot be changed",
                    resource.get("error_message"),
                )

    async def _until_visible(self, changes: Sequence[TopicChange]) -> None:
        """A broker learns of a change a moment after the controller has taken it."""
        wanted = [change.spec for change in changes]
        deadline = self._runtime.monotonic() + VISIBLE_WITHIN_SECONDS
        while wanted:
            found = await self._found([spec.name for spec in wanted])
            wanted = [change.spec for change in plan(wanted, found, keep_more=True) if not change.is_empty]
            if wanted and self._runtime.monotonic() > deadline:
                names = ", ".join(spec.name for spec in wanted)
                raise TopicsRefused(f"the cluster took the change, but does not show it yet: {names}")
            if wanted:
                await self._runtime.sleep(POLL_SECONDS)


async def ensure_topics(
    cluster: KafkaCluster,
    runtime: Effects,
    *,
    partitions: int | None = None,
    replication: int | None = None,
    confirm: Callable[[list[TopicChange]], Awaitable[bool]] | None = None,
) -> list[TopicChange]:
    """Bring the cluster's topics to what they should be, and return what was different.

    Raises: TopicsRefused: see TopicAdmin.apply. KafkaError: the cluster does not answer.
    """
    async with TopicAdmin(cluster, runtime) as admin:
        changes = [c for c in await admin.plan(partitions=partitions, replication=replication) if not c.is_empty]
        if changes and (confirm is None or await confirm(changes)):
            await admin.apply(changes)
        return changes


def _setting(entry: dict[str, Any]) -> tuple[str, str, bool]:
    own = entry["config_source"] == OWN_SETTING if "config_source" in entry else not entry["is_default"]
    return entry["config_names"], entry["config_value"] or "", own


def _check(code: int, what: str, message: str | None = None) -> None:
    """Raise unless a response's code is 0."""
    if code:
        raise TopicsRefused(f"{what}: {message or for_code(code).__name__}")
