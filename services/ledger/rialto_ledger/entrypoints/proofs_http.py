"""Proofs: an entry with the way from it up to a block's super-root, and the blocks for those who keep them.

Everything is in the form of docs/ledger/PROOFS.md, so that what it is checked with needs to know nothing else of us.
"""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field

from rialto_common.errors import InvariantViolated
from rialto_common.problems import problem_of
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.application.ports import ChainReader, Reader
from rialto_ledger.application.sealer import SEAL_AFTER
from rialto_ledger.domain import chain
from rialto_ledger.domain.blocks import check, prove
from rialto_ledger.domain.errors import BlockNotFound, EntryNotFound, EntryNotSealedYet
from rialto_ledger.entrypoints.access import authenticator, may_see_entry
from rialto_ledger.entrypoints.bodies import read_id

MAX_NUMBER = 2**63 - 1
MAX_BLOCKS = 500


class ProofBody(BaseModel):
    """An entry, and the proof that a block holds it, in the forms of docs/ledger/PROOFS.md."""

    entry: dict[str, Any] = Field(description="as an export has it: what the proof's hashes are computed from")
    proof: dict[str, Any] = Field(description="the way from the entry up to the block's super-root")


class BlockBody(BaseModel):
    """A block's header: its super-root is the hash of all the rest."""

    number: int
    sealed_at: str
    previous: str
    super_root: str
    shard_count: int
    shards_root: str


class RangeBody(BaseModel):
    """What a block seals of one shard."""

    shard: int
    first_position: int
    last_position: int
    last_hash: str
    root: str


class WholeBlockBody(BlockBody):
    """A block's header, and the shards that its `shards_root` is over."""

    shards: list[RangeBody]


class BlocksBody(BaseModel):
    """Headers in order; the next ones come `after` the last number."""

    data: list[BlockBody]
    has_more: bool


class ProofDesk:
    """Does what the routes ask, for one caller at a time."""

    def __init__(self, reader: Reader, chains: ChainReader) -> None:
        self._reader = reader
        self._chains = chains

    async def proof(self, entry_id: UUID, caller: Caller) -> ProofBody:
        """Return the proof of an entry that the caller may see.

        Raises: EntryNotFound, EntryNotSealedYet. InvariantViolated: the journal is no longer what was sealed.
        """
        entry = await self._reader.entry(entry_id)
        if entry is None or not may_see_entry(caller, entry):
            raise EntryNotFound(entry_id)
        place = await self._chains.place(entry_id)
        block = None if place is None else await self._chains.block_of(place.shard, place.position)
        if place is None or block is None:
            raise EntryNotSealedYet(entry_id)
        span = block.range_of(place.shard)
        links = await self._chains.links(place.shard, span.first_position - 1, span.last_position)
        previous = chain.GENESIS[place.shard]
        if place.position > 1:
            previous = next((link.hash for link in links if link.position == place.position - 1), b"")
        proof = prove(block, links[-len(span) :], place.position, previous)
        if not check(proof, entry, block.super_root):
            raise InvariantViolated(f"entry {entry_id} is no longer what block {block.number} sealed")
        return ProofBody(entry=chain.as_json(entry, place), proof=proof.as_json())

    async def block(self, number: int) -> WholeBlockBody:
        """Return a block. Raises: BlockNotFound."""
        found = await self._chains.blocks(number - 1, 1)
        if not found or found[0].number != number:
            raise BlockNotFound(number)
        return WholeBlockBody.model_validate(found[0].header() | {"shards": [s.as_json() for s in found[0].shards]})

    async def blocks(self, after: int, limit: int) -> BlocksBody:
        """Return the headers of the blocks after a number."""
        found = await self._chains.blocks(after, limit + 1)
        data = [BlockBody.model_validate(block.header()) for block in found[:limit]]
        return BlocksBody(data=data, has_more=len(found) > limit)


def router(desk: ProofDesk, tokens: ServiceTokens) -> APIRouter:
    """Return the routes of proofs. Blocks tell of nobody, but how many entries a shard had: all may have them."""
    routes = APIRouter(prefix="/v1", tags=["proofs"])
    authenticate = authenticator(tokens)

    @routes.get("/journal_entries/{entry_id}/proof", response_model=ProofBody)
    async def get_proof(entry_id: str, caller: Annotated[Caller, Depends(authenticate)]) -> ProofBody | Response:
        """Return the proof that a block holds the entry; 409 with Retry-After until there is one."""
        try:
            return await desk.proof(read_id(entry_id, "je"), caller)
        except EntryNotSealedYet as error:
            answer = problem_of(error)
            answer.headers["Retry-After"] = str(int(SEAL_AFTER.total_seconds()))
            return answer

    @routes.get("/blocks", dependencies=[Depends(authenticate)])
    async def get_blocks(
        after: Annotated[int, Query(ge=0, le=MAX_NUMBER)] = 0, limit: Annotated[int, Query(ge=1, le=MAX_BLOCKS)] = 100
    ) -> BlocksBody:
        """Return the headers of the blocks after a number, in order."""
        return await desk.blocks(after, limit)

    @routes.get("/blocks/{number}", dependencies=[Depends(authenticate)])
    async def get_block(number: Annotated[int, Path(ge=1, le=MAX_NUMBER)]) -> WholeBlockBody:
        """Return a block with what it seals of each shard."""
        return await desk.block(number)

    return routes
