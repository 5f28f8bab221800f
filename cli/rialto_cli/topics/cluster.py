"""Which Kafka cluster a command means, and what is said when it cannot be used."""

import os
from pathlib import Path

from aiokafka.errors import KafkaError

from rialto_cli.errors import OperatorError
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.topics_admin import TopicAdmin, TopicsRefused
from rialto_common.runtime import SystemRuntime


def cluster_of(url: str) -> KafkaCluster:
    """The cluster of a URL, with the credentials of the environment.

    Raises: OperatorError: it is no Kafka cluster's.
    """
    environment = os.environ
    try:
        return KafkaCluster.from_url(
            url,
            username=environment.get("RIALTO_BUS_USERNAME") or None,
            password=environment.get("RIALTO_BUS_PASSWORD") or None,
            mechanism=environment.get("RIALTO_BUS_SASL_MECHANISM") or "SCRAM-SHA-512",
            ca_file=environment.get("RIALTO_BUS_CA_FILE") or None,
        )
    except ValueError as error:
        raise OperatorError(
            f"{url} is no Kafka cluster",
            str(error),
            "name one with --bus-url kafka://HOST:PORT; the bus `postgres` has no topics to apply",
        ) from error


def cluster_of_data_dir(data_dir: Path) -> KafkaCluster:
    """The cluster that the platform of a data directory uses.

    Raises: OperatorError: the platform does not run, or not on Kafka.
    """
    from rialto_cli.embedded.status import find_running

    installation, _ = find_running(data_dir)
    return cluster_of(installation.bus_url)


def unreachable(cluster: KafkaCluster, error: BaseException) -> OperatorError:
    """Nobody answers, or the cluster does not let us in."""
    return OperatorError(
        f"The Kafka cluster {', '.join(cluster.servers)} cannot be used",
        f"{type(error).__name__}: {error}",
        "check the address, kafka:// or kafka+tls://, and RIALTO_BUS_USERNAME, _PASSWORD, _SASL_MECHANISM and _CA_FILE",
    )


def refused(error: TopicsRefused) -> OperatorError:
    """The cluster would not, or the plan holds what must not be done."""
    return OperatorError("No topic was changed", str(error), "correct that, then run the command again")


async def ensure_topics(cluster: KafkaCluster) -> tuple[str, int]:
    """Bring the topics to what they should be without asking; return the cluster's id and how many topics differed.

    Raises: OperatorError: the cluster cannot be used, or there is a difference that is not for us to remove.
    """
    try:
        async with TopicAdmin(cluster, SystemRuntime()) as admin:
            different = [change for change in await admin.plan() if not change.is_empty]
            await admin.apply(different)
            return await admin.cluster_id(), len(different)
    except TopicsRefused as error:
        raise refused(error) from error
    except (KafkaError, OSError) as error:
        raise unreachable(cluster, error) from error
