"""Which bus a data directory uses: the log in PostgreSQL, a Kafka of its own, or a cluster of the operator's.

The first start decides, and later ones keep to it. Each bus has its own cursors, and those left behind on the other
would keep the log from being shortened for ever.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rialto_cli.embedded.files import write_atomically
from rialto_cli.errors import OperatorError
from rialto_common.bus.kafka_cluster import KafkaCluster

FILE_NAME = "bus.json"
POSTGRES = "postgres"
KAFKA = "kafka"
CLUSTER = "cluster"
NAMES = {
    POSTGRES: "the log in PostgreSQL (--bus postgres)",
    KAFKA: "a Kafka of its own (--bus kafka)",
    CLUSTER: "a Kafka cluster of yours (--bus-url)",
}


@dataclass(frozen=True, slots=True)
class BusChoice:
    """A kind of bus. Of a cluster also its URL, which may change, and its id and prefix, which tell it from others."""

    kind: str = POSTGRES
    url: str | None = None
    cluster_id: str | None = None
    prefix: str = ""


def choose(data_dir: Path, asked: str | None, url: str | None) -> BusChoice:
    """The bus to start with: the remembered one, on a new directory the one asked for, else the log in PostgreSQL.

    Args: asked: `postgres` or `kafka`; None when nothing was said. url: a cluster's, which excludes `asked`.
    Raises: OperatorError: the directory uses another one, or its own cluster's URL is missing.
    """
    kind = CLUSTER if url is not None else asked
    remembered = load(data_dir)
    if remembered is None:
        return BusChoice(kind or POSTGRES, url, prefix=_prefix(url))
    if kind is not None and kind != remembered.kind:
        raise OperatorError(
            f"{data_dir} uses {NAMES[remembered.kind]}, not {NAMES[kind]}",
            "each bus has its own cursors: those left behind would keep the log for ever, and refuse payments at last",
            "start it as it is (without --bus), or name another directory: --data-dir DIR",
        )
    if url is not None and _prefix(url) != remembered.prefix:
        raise _another_cluster(data_dir, f"it was started with the prefix '{remembered.prefix}'")
    return BusChoice(remembered.kind, url or remembered.url, remembered.cluster_id, remembered.prefix)


def _prefix(url: str | None) -> str:
    try:
        return "" if url is None else KafkaCluster.from_url(url).prefix
    except ValueError as error:
        raise OperatorError(
            f"{url} is no Kafka cluster", str(error), "name one: --bus-url kafka://HOST:PORT[/PREFIX]"
        ) from error


def confirm_cluster(data_dir: Path, choice: BusChoice, cluster_id: str) -> BusChoice:
    """The choice with the id of the cluster that has answered.

    Raises: OperatorError: another cluster than the remembered one.
    """
    if choice.cluster_id not in (None, cluster_id):
        raise _another_cluster(
            data_dir, f"it was started with the cluster {choice.cluster_id}, and this is {cluster_id}"
        )
    return BusChoice(choice.kind, choice.url, cluster_id, choice.prefix)


def _another_cluster(data_dir: Path, why: str) -> OperatorError:
    return OperatorError(
        f"{data_dir} uses another Kafka cluster",
        f"{why}; events that were not read there yet would be missing here",
        "name the cluster it was started with, or another directory: --data-dir DIR",
    )


def load(data_dir: Path) -> BusChoice | None:
    """What an earlier start has remembered; None when none came so far as to have events.

    Raises: OperatorError: unreadable.
    """
    path = data_dir / FILE_NAME
    try:
        return BusChoice(**json.loads(path.read_text()))
    except FileNotFoundError:
        # A directory from before there was a choice has a demo merchant, and its events are in PostgreSQL.
        return BusChoice() if (data_dir / "demo.json").exists() else None
    except (ValueError, TypeError) as error:
        raise OperatorError(
            "It is not clear which bus the data directory uses",
            f"{path} is not what Rialto wrote",
            "put the original back, or remove the data directory to start afresh (its payments are lost)",
        ) from error


def remember(data_dir: Path, choice: BusChoice) -> None:
    """Keep to this bus from now on. Raises: OSError."""
    write_atomically(data_dir / FILE_NAME, json.dumps(asdict(choice), indent=2) + "\n")
