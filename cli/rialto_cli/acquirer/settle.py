"""Settlement files from the simulated acquirer to the gateway, over the APIs of both."""

from collections.abc import Sequence
from typing import Any

import httpx

from rialto_cli.embedded.services import ACQUIRER, GATEWAY, Installation
from rialto_cli.errors import OperatorError

TIMEOUT_SECONDS = 60.0


def settle_all(installation: Installation, connector: str, mistakes: Sequence[str]) -> list[dict[str, Any]]:
    """Have the acquirer settle until nothing is left; return what the gateway made of each file.

    `mistakes` are for the first file; what they leave unsettled stays for the next time.

    Raises: OperatorError: one of the two does not answer, or refuses.
    """
    secrets = installation.secrets
    with (
        _client(installation.url(ACQUIRER), secrets.acquirer_key) as acquirer,
        _client(installation.url(GATEWAY), secrets.gateway_admin_key) as gateway,
    ):
        taken: list[dict[str, Any]] = []
        while True:
            made = _done(acquirer, "POST", "/v1/settlement_files", json={"mistakes": list(mistakes)}).json()
            if made["id"] is None:
                return taken
            file = _done(acquirer, "GET", f"/v1/settlement_files/{made['id']}").content
            path = f"/v1/connectors/{connector}/settlement_files"
            headers = {"Content-Type": "text/csv"}
            taken.append(_done(gateway, "POST", path, content=file, headers=headers).json())
            if mistakes:
                return taken


def _client(url: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, headers={"Authorization": f"Bearer {key}"})


def _done(client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
    try:
        response = client.request(method, path, **more)
    except httpx.HTTPError as error:
        raise OperatorError(
            "The acquirer is not settled with",
            f"{client.base_url} does not answer: {str(error) or type(error).__name__}",
            "see `rialto status`; the same command again takes no file twice",
        ) from error
    if not response.is_success:
        detail = response.json().get("detail", "") if "json" in response.headers.get("content-type", "") else ""
        raise OperatorError(
            "The acquirer is not settled with",
            f"{client.base_url} answers {response.status_code}: {detail or response.text[:200]}",
            "mend what it names, then run the command again",
        )
    return response
