"""How the gateway names itself in its events."""

SOURCE = "rialto.gateway"
