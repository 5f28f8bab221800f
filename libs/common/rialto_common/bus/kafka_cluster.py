"""How to reach a Kafka cluster, and what Rialto's names are there."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

KAFKA = "kafka"
KAFKA_TLS = "kafka+tls"
POSTGRES = "postgres"
SCHEMES = (KAFKA, KAFKA_TLS)


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """Brokers, how to authenticate to them, and a prefix that keeps installations on one cluster apart.

    `prefix` goes before every topic, group and transactional id: `staging` makes `staging.rialto.payments.v1`.
    """

    servers: tuple[str, ...]
    tls: bool = False
    prefix: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    mechanism: SaslMechanism = "SCRAM-SHA-512"
    ca_file: str | None = None

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        mechanism: str = "SCRAM-SHA-512",
        ca_file: str | None = None,
    ) -> "KafkaCluster":
        """Read `kafka://host:port[,host:port…][/prefix]`, or `kafka+tls://…` for TLS; with a username, SASL.

        Credentials are no part of the URL, so that it may be logged.

        Raises: ValueError: it is not such a URL, or credentials are incomplete.
        """
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise ValueError(f"a Kafka cluster's URL begins with kafka:// or kafka+tls://, not with {parts.scheme!r}")
        if "@" in parts.netloc:
            raise ValueError("credentials do not belong into the URL: use RIALTO_BUS_USERNAME and RIALTO_BUS_PASSWORD")
        servers = tuple(server.strip() for server in parts.netloc.split(",") if server.strip())
        if not servers or not all(_is_address(server) for server in servers):
            raise ValueError("a Kafka cluster's URL names its brokers as host:port, separated by commas")
        if (username is None) != (password is None):
            raise ValueError("SASL needs both a username and a password")
        if mechanism not in get_args(SaslMechanism):
            raise ValueError(f"the SASL mechanism is one of {', '.join(get_args(SaslMechanism))}, not {mechanism!r}")
        return cls(
            servers,
            tls=parts.scheme == KAFKA_TLS,
            prefix=unquote(parts.path.strip("/")),
            username=username,
            password=password,
            mechanism=mechanism,  # type: ignore[arg-type] # checked just above
            ca_file=ca_file,
        )

    def client_options(self, client_id: str) -> dict[str, Any]:
        """Return what every aiokafka client takes: addresses, TLS, SASL."""
        protocol = ("SASL_" if self.username is not None else "") + ("SSL" if self.tls else "PLAINTEXT")
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.servers),
            "client_id": client_id,
            "security_protocol": protocol,
        }
        if self.tls:
            # The system's certificates, or one's own authority; the host name is always checked.
            options["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        if self.username is not None:
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return options

    def name(self, plain: str) -> str:
        """Return what a topic, a group or a transactional id is called on this cluster."""
        return f"{self.prefix}.{plain}" if self.prefix else plain

    def plain(self, name: str) -> str:
        """Return a name without the installation's prefix."""
        return name.removeprefix(f"{self.prefix}.") if self.prefix else name


def _is_address(server: str) -> bool:
    host, _, port = server.rpartition(":")
    return bool(host) and port.isdigit() and 0 < int(port) < 65536
