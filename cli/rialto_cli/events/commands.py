"""`rialto events tail`, `types`, `schema` and `asyncapi`."""

import asyncio
import json
import logging
import os
import select
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rialto_cli.commands import absolute
from rialto_cli.errors import OperatorError
from rialto_cli.options import DEFAULT_DATA_DIR, AsJson, DataDir

if TYPE_CHECKING:
    from rialto_cli.events.port import Entry, EventLog
    from rialto_cli.events.tail import Output, Start

DEFAULT_LAST = 10

BusUrl = Annotated[
    str | None,
    typer.Option(
        "--bus-url",
        envvar="RIALTO_BUS_URL",
        help="A bus of your own, kafka[+tls]://host:port[,…]\\[/prefix], instead of --data-dir's. Credentials: "
        "RIALTO_BUS_USERNAME, _PASSWORD, _SASL_MECHANISM, _CA_FILE.",
    ),
]
TypeName = Annotated[str, typer.Argument(metavar="TYPE", help="Such as payment.created.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    events = typer.Typer(help="What the services tell each other: read it, look it up.", no_args_is_help=True)
    events.command("tail")(tail)
    events.command("types")(types)
    events.command("schema")(schema)
    events.command("asyncapi")(asyncapi)
    app.add_typer(events, name="events")


def tail(
    type_: Annotated[
        list[str] | None, typer.Option("--type", "-t", help="Only this type, such as payment.created or 'hold.*'.")
    ] = None,
    payment: Annotated[
        str | None, typer.Option("--payment", help="Only this payment's story, over all topics, from its beginning.")
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option("--topic", help="Only this topic, such as payments or payments.dlq.")
    ] = None,
    merchant: Annotated[str | None, typer.Option("--merchant", help="Only this merchant's.")] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with the oldest event there is.")
    ] = False,
    since: Annotated[
        str | None, typer.Option("--since", help="Begin with what the bus took in this time: 90s, 10m, 2h, 1d.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", "-n", min=0, help=f"Begin with the last N events; {DEFAULT_LAST} if unsaid.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Whether to wait for what comes.")] = True,
    bus_url: BusUrl = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as one JSON object a line.")] = False,
) -> None:
    """Read the bus: events in time order, then new ones as they come, until Ctrl-C. Times are in UTC."""
    from rialto_cli.console import Progress
    from rialto_cli.events.selection import topics_of, want_of
    from rialto_cli.events.tail import Request, Tail

    request = Request(
        topics_of(topic or ()),
        want_of(type_ or (), payment, merchant),
        _start(from_beginning, since, last, whole_story=payment is not None),
        follow,
    )
    log = _open(bus_url, data_dir)

    async def run() -> None:
        with Progress() as progress:
            try:
                await Tail(log, request, _output(as_json), progress).run()
            finally:
                progress.idle()
                await log.close()

    # It tells of every attempt to connect; what matters is told by us.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        asyncio.run(run())
        sys.stdout.flush()
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # Nobody reads any more, as after `| head`. Python would try to write the rest at its end, and say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def types(as_json: AsJson = False) -> None:
    """List every event type: what it says, who tells it, who handles it."""
    from rialto_cli.events.selection import plain_topic, short
    from rialto_common.events import MODELS
    from rialto_common.events.asyncapi import summary_of
    from rialto_common.events.flows import EMITTERS, consumers_of

    if as_json:
        rows = [
            {
                "type": model.type,
                "topic": model.topic,
                "from": EMITTERS[model.topic],
                "to": consumers_of(model),
                "says": summary_of(model),
            }
            for model in MODELS
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("type", "topic", "from", "to", "says", box=None, pad_edge=False)
    for model in MODELS:
        groups = ", ".join(consumers_of(model))
        table.add_row(
            short(model.type), plain_topic(model.topic), EMITTERS[model.topic], groups or "-", summary_of(model)
        )
    Console(highlight=False, markup=False).print(table)


def schema(name: TypeName) -> None:
    """Print the JSON Schema of an event type's payload."""
    from rialto_cli.events.selection import model_of
    from rialto_common.events.write_schemas import schema_text

    typer.echo(schema_text(model_of(name)), nl=False)


def asyncapi() -> None:
    """Print the whole bus as one AsyncAPI 3 document, with the schemas inside."""
    from rialto_common.events.asyncapi import document

    typer.echo(json.dumps(document(), indent=2, ensure_ascii=False))


def _start(from_beginning: bool, since: str | None, last: int | None, *, whole_story: bool) -> "Start":
    from rialto_cli.events.selection import span_of
    from rialto_cli.events.tail import Start

    if sum((from_beginning, since is not None, last is not None)) > 1:
        raise OperatorError(
            "It is not clear where to begin",
            "--from-beginning, --since and --last are three different places",
            "name one of them",
        )
    if since is not None:
        return Start(since=span_of(since))
    if last is None and not from_beginning and not whole_story:
        last = DEFAULT_LAST
    return Start(last=last)


def _open(bus_url: str | None, data_dir: DataDir) -> "EventLog":
    """Return the bus's log: that of the platform on a data directory, or the one that is named.

    Raises: OperatorError: nothing runs there, or the URL is none.
    """
    from rialto_cli.embedded import bus

    if bus_url and bus_url != bus.POSTGRES:
        return _kafka(bus_url)
    from rialto_cli.embedded.postgres import AUDITOR
    from rialto_cli.embedded.status import find_running

    installation, _ = find_running(absolute(data_dir))
    if installation.bus.kind == bus.POSTGRES:
        from rialto_cli.events.postgres_log import PostgresLog

        return PostgresLog(installation.access.dsn(AUDITOR))
    # Credentials in the environment are a cluster's; the platform's own Kafka has none.
    return _kafka(installation.bus_url, guarded=installation.bus.kind == bus.CLUSTER)


def _kafka(url: str, *, guarded: bool = True) -> "EventLog":
    # Imported only here: the client takes a quarter of a second, which the embedded bus need not pay.
    from rialto_cli.events.kafka_log import KafkaLog
    from rialto_cli.topics.cluster import cluster_of
    from rialto_common.bus.kafka_cluster import KafkaCluster

    return KafkaLog(cluster_of(url) if guarded else KafkaCluster.from_url(url))


def _output(as_json: bool) -> "Output":
    from rich.console import Console

    from rialto_cli.events.render import Line, Lines, json_line
    from rialto_cli.events.tail import Output

    line: Line = json_line if as_json else Lines(Console(highlight=False))
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)

    def closed() -> bool:
        return any(what & (select.POLLERR | select.POLLNVAL) for _, what in poll.poll(0))

    def write(entry: "Entry") -> None:
        sys.stdout.write(line(entry) + "\n")

    return Output(write, sys.stdout.flush, closed)
