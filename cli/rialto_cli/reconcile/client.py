"""The ledger's differences, asked for as the platform's operator with a short-lived service token."""

from typing import Any

import httpx

from rialto_cli.embedded.services import Installation
from rialto_cli.errors import OperatorError
from rialto_common.runtime import SystemRuntime
from rialto_common.service_tokens import Caller, ServiceTokens

MODES = ("test", "live")
LIMIT = 1000
TIMEOUT_SECONDS = 10.0


def differences(installation: Installation, state: str) -> tuple[list[dict[str, Any]], bool]:
    """Return the differences in a state, of both modes, the longest standing first, and whether there are still more.

    Raises: OperatorError: the ledger does not answer, or refuses.
    """
    tokens = ServiceTokens(installation.secrets.service_token_secret, SystemRuntime())
    found: list[dict[str, Any]] = []
    more = False
    with httpx.Client(timeout=TIMEOUT_SECONDS, base_url=installation.url("ledger")) as client:
        for mode in MODES:
            token = tokens.issue(Caller("cli", None, mode), audience="ledger")
            page = _asked(client, {"state": state, "limit": str(LIMIT)}, token)
            found += page["data"]
            more = more or page["has_more"]
    return sorted(found, key=lambda each: (each["first_seen_at"], each["id"])), more


def _asked(client: httpx.Client, params: dict[str, str], token: str) -> dict[str, Any]:
    try:
        response = client.get("/v1/differences", params=params, headers={"Authorization": f"Bearer {token}"})
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise OperatorError(
            "The ledger does not answer",
            str(error) or type(error).__name__,
            "see `rialto status`; the supervisor restarts a dead service within seconds",
        ) from error
    return dict(response.json())
