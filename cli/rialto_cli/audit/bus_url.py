"""Which Kafka is meant, read from RIALTO_BUS_URL and its companions: our own reading of that form."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from rialto_cli.embedded.services import Installation

POSTGRES = "postgres"
_TLS = {"kafka": False, "kafka+tls": True}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Brokers (`host:port`), and what goes before each name on them."""

    servers: tuple[str, ...]
    prefix: str = ""
    tls: bool = False
    ca_file: str | None = None
    mechanism: str = "SCRAM-SHA-512"
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def name(self, plain: str) -> str:
        """Return what a topic or group is called there."""
        return f"{self.prefix}.{plain}" if self.prefix else plain

    def options(self) -> dict[str, Any]:
        """Return what an aiokafka client takes."""
        protocol = "SSL" if self.tls else "PLAINTEXT"
        options: dict[str, Any] = {"bootstrap_servers": list(self.servers), "client_id": "rialto-audit"}
        if self.tls:
            options["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        if self.username is not None:
            protocol = f"SASL_{protocol}"
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return {**options, "security_protocol": protocol}


def read(url: str, environment: Mapping[str, str]) -> Cluster | None:
    """Read `kafka://host:port[,host:port…][/prefix]`, or kafka+tls://; None where the bus is the log in PostgreSQL.

    Args: environment: RIALTO_BUS_USERNAME, _PASSWORD, _SASL_MECHANISM and _CA_FILE, as far as they are needed.
    Raises: ValueError: it is no such URL.
    """
    if url in ("", POSTGRES):
        return None
    parts = urlsplit(url)
    servers = tuple(filter(None, (server.strip() for server in parts.netloc.split(","))))
    if parts.scheme not in _TLS or not servers or "@" in parts.netloc:
        raise ValueError("a bus is `postgres`, or kafka://HOST:PORT[/PREFIX] or kafka+tls://… without credentials")
    return Cluster(
        servers,
        prefix=unquote(parts.path.strip("/")),
        tls=_TLS[parts.scheme],
        ca_file=environment.get("RIALTO_BUS_CA_FILE") or None,
        mechanism=environment.get("RIALTO_BUS_SASL_MECHANISM") or "SCRAM-SHA-512",
        username=environment.get("RIALTO_BUS_USERNAME") or None,
        password=environment.get("RIALTO_BUS_PASSWORD") or None,
    )


def of(installation: "Installation") -> Cluster | None:
    """Return the Kafka that is the bus of a running platform; None where that is the log in PostgreSQL."""
    # A Kafka of the platform's own asks for no credentials; the environment's are for some other cluster.
    return read(installation.bus_url, os.environ if installation.bus.kind == "cluster" else {})
