"""`POST /v1/connectors/{name}/webhooks`: what acquirers tell of themselves.

A message is answered with 2xx only once what it says is committed, so that one that is lost on the way comes again.
It may come twice, late or out of order: what is certain of an attempt stays (`attempts/attempt.py`).
"""

from collections.abc import Awaitable, Callable, Mapping

import structlog
from fastapi import APIRouter, Request, Response

from rialto_common.errors import InvalidRequest, NotFound
from rialto_gateway.connectors.port import Answer
from rialto_gateway.connectors.simulated import Heard, WebhookInvalid

log = structlog.get_logger()

ReadWebhook = Callable[[bytes, Mapping[str, str]], Heard]
"""Checks a message's signature and says what it means. Raises: WebhookInvalid."""

Hear = Callable[[str, str, Answer], Awaitable[bool]]
"""Records an answer to one of our references; False where the acquirer was never asked under it."""


class ConnectorNotFound(NotFound):
    """No such acquirer here."""

    code = "connector_not_found"


class ConnectorWebhookInvalid(InvalidRequest):
    """The message is not signed by the acquirer, is too old, or says nothing that can be read."""

    code = "connector_webhook_invalid"


def connector_router(readers: Mapping[str, ReadWebhook], hear: Hear) -> APIRouter:
    """Return the route; `readers` by the acquirers' names."""
    router = APIRouter(prefix="/v1/connectors", include_in_schema=False)

    @router.post("/{name}/webhooks")
    async def take_webhook(name: str, request: Request) -> Response:
        """Take a message of an acquirer."""
        read = readers.get(name)
        if read is None:
            raise ConnectorNotFound("there is no such acquirer")
        headers = {key.lower(): value for key, value in request.headers.items()}
        try:
            heard = read(await request.body(), headers)
        except WebhookInvalid as error:
            raise ConnectorWebhookInvalid(str(error)) from error
        if not await hear(name, heard.reference, heard.answer):
            # Taken all the same: told again, it would be no better known.
            log.warning("connector.webhook_of_nothing", connector=name)
        return Response(status_code=204)

    return router
