"""The services' dead-letter API, asked as the platform's operator with a short-lived service token."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import httpx

from rialto_cli.embedded.services import SERVICES, Installation
from rialto_cli.errors import OperatorError
from rialto_common.runtime import SystemRuntime
from rialto_common.service_tokens import Caller, ServiceTokens

CALLER = Caller(service="cli", merchant_id=None, mode="test")
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A service that did not answer, and why."""

    service: str
    reason: str


class DeadLetters:
    """One client for all services of an installation. Use as a context manager."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._tokens = ServiceTokens(installation.secrets.service_token_secret, SystemRuntime())
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def overview(self, chosen: Iterable[str] = SERVICES) -> tuple[list[dict[str, Any]], list[Unreachable]]:
        """One row a parked key, each with its service's name; and the services that do not answer."""
        rows: list[dict[str, Any]] = []
        silent: list[Unreachable] = []
        for service in chosen:
            try:
                answer = self._call(service, "GET", "")
            except httpx.TransportError as error:
                silent.append(Unreachable(service, str(error) or type(error).__name__))
            else:
                rows += [{"service": service, **row} for row in answer["data"]]
        return rows, silent

    def show(self, service: str, group: str, key: str) -> dict[str, Any]:
        """Everything parked under a key, in order. Raises: OperatorError: nothing is, or the service is silent."""
        return self._answered(service, "GET", f"/{group}/{key}")

    def replay(self, service: str, group: str | None, key: str | None) -> int:
        """Ask a service to handle parked keys again; returns how many. Raises: OperatorError: it is silent."""
        answer = self._answered(service, "POST", "/replay", {"group": group, "key": key})
        return int(answer["keys"])

    def _answered(self, service: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
        try:
            return self._call(service, method, path, body)
        except httpx.TransportError as error:
            raise OperatorError(
                f"{service} does not answer",
                str(error) or type(error).__name__,
                "see `rialto status`; the supervisor restarts a dead service within seconds",
            ) from error

    def _call(self, service: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
        audience = service.replace("-", "_")
        token = self._tokens.issue(CALLER, audience=audience)
        response = self._client.request(
            method,
            f"{self._installation.url(service)}/internal/dead_letters{path}",
            headers={"Authorization": f"Bearer {token}"},
            json=body,
        )
        if response.is_success:
            return dict(response.json())
        raise OperatorError(f"{service} refused", _reason(response), "run `rialto dlq list` for what is parked")


def _reason(response: httpx.Response) -> str:
    try:
        problem = response.json()
        return str(problem.get("detail") or problem["title"])
    except (ValueError, KeyError, AttributeError):
        return f"HTTP status {response.status_code}"
