"""Journal entries: posted alone, in batches or linked; rehearsed, reversed, read. Top-ups of wallets in test mode."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Discriminator, Tag

from rialto_common import ids
from rialto_common.errors import InvariantViolated
from rialto_common.money import currency_exponent
from rialto_common.request_bodies import documented_body, read_body
from rialto_common.runtime import Runtime
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.application.ports import Reader
from rialto_ledger.application.poster import Answer
from rialto_ledger.domain import chart, posting_rules
from rialto_ledger.domain.commands import Command, Linked, PostEntry, ReverseEntry
from rialto_ledger.domain.errors import EffectiveInFuture, EntryNotFound, TopUpInLiveMode
from rialto_ledger.domain.journal import JournalEntry, Posting
from rialto_ledger.domain.outcomes import EntryPosted, LinkedPosted, Outcome, OutcomeStatus
from rialto_ledger.entrypoints.access import Posts, authenticator, may_see_entry, mode_of, require_operator
from rialto_ledger.entrypoints.batch_reader import NotPlain, read_plain
from rialto_ledger.entrypoints.bodies import (
    BatchBody,
    EntriesBody,
    EntryBody,
    NewBatch,
    NewEntry,
    NewReversal,
    NewTopUp,
    TopUpBody,
    read_id,
)

CLOCK_SKEW = timedelta(minutes=5)
"""How far ahead of ours a caller's clock may be."""


BATCH_EXAMPLE = {
    "linked": False,
    "entries": [
        {
            "id": "je_01kjmma2g0f2nt3akp5hcm2yes",
            "kind": "correction",
            "postings": [
                {
                    "account_id": "acc_01kjmma2g0f2nt3akp5hcm2yes",
                    "side": "debit",
                    "amount_minor": "1250",
                    "currency": "USD",
                },
                {
                    "account_id": "wal_01kjmma2g0f2nt3akp5hcm2yes",
                    "side": "credit",
                    "amount_minor": "1250",
                    "currency": "USD",
                },
            ],
        }
    ],
}


class EntryDesk:
    """Does what the routes ask, for one caller at a time."""

    def __init__(self, poster: Posts, reader: Reader, runtime: Runtime) -> None:
        self._poster = poster
        self._reader = reader
        self._runtime = runtime

    async def top_up(self, body: NewTopUp, caller: Caller, *, dry_run: bool) -> tuple[TopUpBody, bool]:
        """Return the entry, the wallet's balances, and whether it is new. Raises: TopUpInLiveMode, LedgerError."""
        currency_exponent(body.currency)
        if caller.mode != "test":
            raise TopUpInLiveMode
        acquirer = chart.test_acquirer(body.currency)
        command = PostEntry(
            entry_id=body.id,
            kind=body.kind,
            about=body.wallet_id,
            mode="test",
            shard=ids.shard_of(body.wallet_id),
            merchant_id=caller.merchant_id,
            postings=posting_rules.top_up(body.wallet_id, acquirer, body.amount_minor),
            opens=(acquirer,),
            effective_at=self._runtime.now(),
            metadata=body.metadata,
        )
        answer = await self._answer(command, dry_run=dry_run)
        wallet = answer.posted.account_after(body.wallet_id)
        codes = {acquirer.id: acquirer.code, body.wallet_id: wallet.spec.code}
        return TopUpBody.after(_entry(answer.outcome), codes, wallet), is_new(answer)

    async def post(self, body: NewEntry, caller: Caller, *, dry_run: bool) -> tuple[EntryBody, bool]:
        """Return the entry and whether it is new. Raises: OperatorOnly, LedgerError."""
        answer = await self.answer(body, caller, dry_run=dry_run)
        return EntryBody.of(*named(answer)), is_new(answer)

    async def answer(self, body: NewEntry, caller: Caller, *, dry_run: bool) -> Answer:
        """Return what posting an entry came to. Raises: as `post`."""
        return await self._answer(self._command(body, caller), dry_run=dry_run)

    async def post_batch(self, body: bytes, caller: Caller, *, dry_run: bool) -> bytes:
        """Return each entry's result, a `BatchBody` as JSON.

        Raises: OperatorOnly, RequestValidationError; LinkedRefused, LinkedPartlyPosted: none is posted.
        """
        require_operator(caller)
        commands, linked = self._commands(body, caller)
        if linked:
            outcome = (await self._answer(Linked(tuple(commands)), dry_run=dry_run)).outcome
            outcomes: Sequence[Outcome] = outcome.result.outcomes if isinstance(outcome.result, LinkedPosted) else ()
        else:
            do = self._poster.rehearse if dry_run else self._poster.post_all
            outcomes = [answer.outcome for answer in await do(commands)]
        return orjson.dumps(
            {"data": [_result(command, outcome) for command, outcome in zip(commands, outcomes, strict=True)]}
        )

    def _commands(self, body: bytes, caller: Caller) -> tuple[list[PostEntry], bool]:
        try:
            return read_plain(body, mode_of(caller), self._runtime.now())
        except NotPlain:
            batch = read_body(NewBatch, body)
            return [self._command(entry, caller) for entry in batch.entries], batch.linked

    async def reverse(self, entry_id: UUID, body: NewReversal, caller: Caller) -> tuple[EntryBody, bool]:
        """Return the reversal and whether it is new.

        Raises: OperatorOnly, EntryNotFound, EntryNotReversible, EffectiveInFuture, LedgerError.
        """
        require_operator(caller)
        effective_at = self._effective(body.effective_at)
        answer = await self._answer(ReverseEntry(entry_id, mode_of(caller), effective_at, body.metadata), dry_run=False)
        return EntryBody.of(*named(answer)), is_new(answer)

    async def entry(self, entry_id: UUID, caller: Caller) -> EntryBody:
        """Return an entry that the caller may see. Raises: EntryNotFound."""
        entry = await self._reader.entry(entry_id)
        if entry is None or not may_see_entry(caller, entry):
            raise EntryNotFound(entry_id)
        return EntryBody.of(entry, await self._codes([entry]))

    async def entries_of_payment(self, payment_id: UUID, caller: Caller) -> EntriesBody:
        """Return the payment's entries that the caller may see."""
        found = [e for e in await self._reader.entries_of_payment(payment_id) if may_see_entry(caller, e)]
        codes = await self._codes(found)
        return EntriesBody(data=[EntryBody.of(entry, codes) for entry in found])

    def _command(self, body: NewEntry, caller: Caller) -> PostEntry:
        require_operator(caller)
        return PostEntry(
            entry_id=body.id,
            kind=body.kind,
            about=body.postings[0].account_id,
            mode=mode_of(caller),
            shard=None,
            merchant_id=None,
            postings=tuple(
                Posting(line.account_id, line.side, line.amount_minor, line.currency) for line in body.postings
            ),
            opens=(),
            effective_at=self._effective(body.effective_at),
            metadata=body.metadata,
        )

    def _effective(self, asked: datetime | None) -> datetime:
        now = self._runtime.now()
        if asked is None:
            return now
        if asked > now + CLOCK_SKEW:
            raise EffectiveInFuture(asked)
        return asked

    async def _answer(self, command: Command, *, dry_run: bool) -> Answer:
        if dry_run:
            [answer] = await self._poster.rehearse([command])
        else:
            answer = await self._poster.post(command)
        if answer.outcome.error is not None:
            raise answer.outcome.error
        return answer

    async def _codes(self, entries: list[JournalEntry]) -> dict[UUID, str]:
        return await self._reader.codes({posting.account_id for entry in entries for posting in entry.postings})


def _entry(outcome: Outcome) -> JournalEntry:
    if not isinstance(outcome.result, EntryPosted):
        raise InvariantViolated(f"posting an entry came to {outcome.result}")
    return outcome.result.entry


def _result(command: PostEntry, outcome: Outcome) -> dict[str, str | None]:
    error = outcome.error
    return {
        "id": ids.to_text("je", command.entry_id),
        "status": outcome.status,
        "code": None if error is None else error.stable_code,
        "detail": None if error is None else error.detail,
    }


def named(answer: Answer) -> tuple[JournalEntry, Mapping[UUID, str]]:
    """Return a posted entry and what its accounts are called."""
    entry, accounts = _entry(answer.outcome), answer.posted.accounts
    return entry, {posting.account_id: accounts[posting.account_id].spec.code for posting in entry.postings}


def is_new(answer: Answer) -> bool:
    """Whether this was posted now, and not before."""
    return answer.outcome.status is OutcomeStatus.APPLIED


def _kind_of_body(body: Any) -> str:
    return "entry" if isinstance(body, dict) and "postings" in body else "top_up"


AnyEntry = Annotated[
    Annotated[NewEntry, Tag("entry")] | Annotated[NewTopUp, Tag("top_up")], Discriminator(_kind_of_body)
]


def router(desk: EntryDesk, tokens: ServiceTokens) -> APIRouter:
    """Return the routes of journal entries."""
    routes = APIRouter(prefix="/v1", tags=["journal"])
    Authenticated = Annotated[Caller, Depends(authenticator(tokens))]
    DryRun = Annotated[bool, Query(description="say what it would come to, and write nothing")]

    @routes.post("/journal_entries", status_code=201, responses={200: {"model": TopUpBody | EntryBody}})
    async def post_entry(
        body: AnyEntry, caller: Authenticated, response: Response, dry_run: DryRun = False
    ) -> TopUpBody | EntryBody:
        """Post an entry (the operator), or top up a wallet (test mode); 201 when posted now, 200 when posted before."""
        entry: TopUpBody | EntryBody
        if isinstance(body, NewTopUp):
            entry, new = await desk.top_up(body, caller, dry_run=dry_run)
        else:
            entry, new = await desk.post(body, caller, dry_run=dry_run)
        response.status_code = 201 if new and not dry_run else 200
        return entry

    @routes.post(
        "/journal_entries/batch",
        response_model=BatchBody,
        openapi_extra=documented_body(NewBatch, BATCH_EXAMPLE),
    )
    async def post_entries(request: Request, caller: Authenticated, dry_run: DryRun = False) -> Response:
        """Post up to 8,190 entries in one commit: linked all or none, else each with its own result."""
        results = await desk.post_batch(await request.body(), caller, dry_run=dry_run)
        return Response(results, media_type="application/json")

    @routes.get("/journal_entries/{entry_id}")
    async def get_entry(entry_id: str, caller: Authenticated) -> EntryBody:
        """Return an entry."""
        return await desk.entry(read_id(entry_id, "je"), caller)

    @routes.post("/journal_entries/{entry_id}/reversal", status_code=201, responses={200: {"model": EntryBody}})
    async def reverse_entry(entry_id: str, body: NewReversal, caller: Authenticated, response: Response) -> EntryBody:
        """Undo an entry by a new one, once; 200 with the same reversal when it was undone before."""
        entry, new = await desk.reverse(read_id(entry_id, "je"), body, caller)
        response.status_code = 201 if new else 200
        return entry

    @routes.get("/payments/{payment_id}/entries")
    async def get_payment_entries(payment_id: str, caller: Authenticated) -> EntriesBody:
        """Return a payment's entries, oldest first."""
        return await desk.entries_of_payment(read_id(payment_id, "pay"), caller)

    return routes
