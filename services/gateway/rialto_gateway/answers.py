"""Answers: JSON, and the mark of one that was given before."""

from typing import Any

import orjson
from starlette.responses import Response

from rialto_gateway.versions import CURRENT, down


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response, in the version of the API that the request speaks."""
    return Response(orjson.dumps(down(content, CURRENT.get())), status, headers, media_type="application/json")


def replay_header(replayed: bool) -> dict[str, str]:
    """Return the header that marks an answer given before."""
    return {"Idempotency-Replayed": "true"} if replayed else {}
