"""Bring a Kafka cluster's topics to what they should be, showing first what differs."""

import json
import sys
from typing import Any

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from rialto_cli.errors import OperatorError
from rialto_cli.topics.cluster import refused, unreachable
from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.topics_admin import TopicAdmin, TopicsRefused
from rialto_common.bus.topics_plan import TopicChange
from rialto_common.runtime import SystemRuntime


async def run(
    cluster: KafkaCluster, partitions: int | None, replication: int | None, *, yes: bool, check: bool, as_json: bool
) -> int:
    """Show what differs, apply it where that is wanted, and return the exit status.

    Raises: OperatorError: the cluster cannot be used, or there is a difference that is not for us to remove.
    """
    try:
        async with TopicAdmin(cluster, SystemRuntime()) as admin:
            changes = await admin.plan(partitions=partitions, replication=replication)
            different = [change for change in changes if not change.is_empty]
            forbidden = any(change.refusals for change in different)
            if not as_json:
                show(different, len(changes))
            # A refusal is told by `apply` itself, which then does nothing.
            wanted = bool(different) and not check and (yes or forbidden or _confirmed(as_json=as_json))
            if wanted:
                await admin.apply(different)
    except TopicsRefused as error:
        raise refused(error) from error
    except (KafkaError, OSError) as error:
        raise unreachable(cluster, error) from error
    if as_json:
        typer.echo(json.dumps({"applied": wanted, "changes": [as_document(change) for change in different]}, indent=2))
    elif wanted:
        typer.echo(f"{len(different)} {'topic is' if len(different) == 1 else 'topics are'} as they should be now")
    return 0 if wanted or not different else 1


def _confirmed(*, as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        raise OperatorError(
            "No topic was changed",
            "nobody is there to be asked",
            "say --yes to apply the changes, or --check to see them",
        )
    return typer.confirm("Apply these changes?")


def show(different: list[TopicChange], count: int) -> None:
    """Print what differs as a table."""
    console = Console(highlight=False, soft_wrap=True)
    if not different:
        console.print(f"all {count} topics are as they should be")
        return
    table = Table("topic", "what", "is", "should be", "change", box=None, pad_edge=False)
    for change in different:
        for number, row in enumerate(rows(change)):
            table.add_row(change.spec.name if number == 0 else "", *row)
    console.print(table)


def rows(change: TopicChange) -> list[tuple[str, str, str, str]]:
    """One topic's differences: what, what is, what should be, what is done about it."""
    spec, found = change.spec, change.found
    if found is None:
        settings = " ".join(f"{name}={value}" for name, value in sorted(spec.config.items()))
        shape = f"{spec.partitions} partitions, {spec.replication} {'copy' if spec.replication == 1 else 'copies'}"
        return [("topic", "-", f"{shape}, {settings}", "[green]create[/green]")]
    told = []
    if found.partitions != spec.partitions and (change.partitions or change.refusals):
        action = "[yellow]add[/yellow]" if change.partitions else "[red]refused[/red]"
        told.append(("partitions", str(found.partitions), str(spec.partitions), action))
    if found.replication != spec.replication:
        told.append(("replication", str(found.replication), str(spec.replication), "[red]refused[/red]"))
    for name, value in sorted(change.config.items()):
        told.append((name, found.config.get(name, "-"), value, "[yellow]set[/yellow]"))
    return told


def as_document(change: TopicChange) -> dict[str, Any]:
    """One topic's differences, for programs."""
    found = change.found
    return {
        "topic": change.spec.name,
        "create": change.creates,
        "partitions": {"is": found.partitions if found else None, "should_be": change.spec.partitions},
        "replication": {"is": found.replication if found else None, "should_be": change.spec.replication},
        "config": {
            name: {"is": found.config.get(name) if found else None, "should_be": value}
            for name, value in (change.spec.config if found is None else change.config).items()
        },
        "refusals": list(change.refusals),
    }
