"""Options that many commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_DATA_DIR = Path(".rialto")
DEFAULT_PORT = 8080


class Bus(StrEnum):
    """Where events travel."""

    POSTGRES = "postgres"
    KAFKA = "kafka"


DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="RIALTO_DATA_DIR",
        file_okay=False,
        help="Where the platform keeps everything it knows.",
    ),
]
Port = Annotated[int, typer.Option("--port", "-p", min=1, max=65535, help="The public API's port.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
BusName = Annotated[
    Bus | None,
    typer.Option("--bus", help="Where events travel; a data directory keeps to its first. [default: postgres]"),
]
BusUrl = Annotated[
    str | None,
    typer.Option("--bus-url", help="A Kafka cluster of yours: kafka://HOST:PORT[,…]\\[/PREFIX], kafka+tls://…"),
]
