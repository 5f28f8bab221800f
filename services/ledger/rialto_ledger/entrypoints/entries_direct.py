"""The short way of the routes that post entries, past the framework (rialto_common.direct says why).

Whoever is not let in and whatever cannot be read is left to the routes in entries_http, which say what is wrong.
"""

from collections.abc import Mapping
from typing import TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError

from rialto_common.dead_letter_api import bearer
from rialto_common.direct import Answer, Direct
from rialto_common.errors import Unauthenticated
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.entrypoints.access import AUDIENCE
from rialto_ledger.entrypoints.bodies import NewEntry, NewTopUp, TopUpBody, entry_json
from rialto_ledger.entrypoints.entries_http import EntryDesk, is_new, named

BodyT = TypeVar("BodyT", bound=BaseModel)

_top_up_json = TypeAdapter(TopUpBody).dump_json


def routes(desk: EntryDesk, tokens: ServiceTokens) -> Mapping[str, Direct]:
    """Return what serves each path."""

    def admits(authorization: str) -> bool:
        try:
            tokens.check(bearer(authorization), audience=AUDIENCE)
        except Unauthenticated:
            return False
        return True

    def read(authorization: str, body: bytes, model: type[BodyT]) -> tuple[Caller, BodyT] | None:
        try:
            return tokens.check(bearer(authorization), audience=AUDIENCE), model.model_validate_json(body)
        except (Unauthenticated, ValidationError):
            return None

    async def post_entry(authorization: str, body: bytes) -> Answer | None:
        # Neither body allows the other's fields: one that is read as the wrong kind is not read, but left.
        if b'"postings"' not in body:
            return await top_up(authorization, body)
        request = read(authorization, body, NewEntry)
        if request is None:
            return None
        caller, new_entry = request
        answer = await desk.answer(new_entry, caller, dry_run=False)
        return Answer(201 if is_new(answer) else 200, entry_json(*named(answer)))

    async def top_up(authorization: str, body: bytes) -> Answer | None:
        request = read(authorization, body, NewTopUp)
        if request is None:
            return None
        caller, new_top_up = request
        entry, new = await desk.top_up(new_top_up, caller, dry_run=False)
        return Answer(201 if new else 200, _top_up_json(entry))

    async def post_entries(authorization: str, body: bytes) -> Answer | None:
        try:
            caller = tokens.check(bearer(authorization), audience=AUDIENCE)
            return Answer(200, await desk.post_batch(body, caller, dry_run=False))
        except (Unauthenticated, RequestValidationError):
            return None

    return {
        "/v1/journal_entries": Direct(admits, post_entry),
        "/v1/journal_entries/batch": Direct(admits, post_entries),
    }
