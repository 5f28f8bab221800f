"""What the bridge needs: an EVM node, a signer, the contracts' calls, and its tables."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from rialto_chain_bridge.application.records import Assigned, Deployment, Due, Intent, NewTransaction, Tracked
from rialto_chain_bridge.domain.batch import Waiting
from rialto_chain_bridge.domain.confirmation import Block, Inclusion, Standing
from rialto_common.events import Event


class Attempt(StrEnum):
    """A sending's outcome; a sending that was recorded and not concluded is `started`."""

    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a transaction that was handed to the node."""

    attempt: Attempt
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The chain's newest block, how many of the sender's transactions are in the chain, and hashes by block number."""

    block: Block
    mined_nonces: int
    hashes: dict[int, str | None]


class Chain(Protocol):
    """An EVM node. Every method raises ChainUnavailable when the node does not answer."""

    async def chain_id(self) -> int:
        """Return which chain the node serves."""
        ...

    async def newest_block(self) -> Block:
        """Return the chain's newest block."""
        ...

    async def next_nonce(self, sender: str) -> int:
        """Return the nonce of the sender's next transaction, those that wait included."""
        ...

    async def head(self, sender: str, block_numbers: Sequence[int]) -> Head:
        """Return the newest block, the sender's nonce in it, and the present hashes of these blocks."""
        ...

    async def send(self, raw_transactions: Sequence[bytes]) -> list[Sent]:
        """Hand transactions over; one that the node has already counts as sent. Never raises: see `Sent`."""
        ...

    async def inclusions(self, tx_hashes: Sequence[str]) -> list[Inclusion | None]:
        """Return where these transactions are in the chain."""
        ...

    async def has_code(self, address: str) -> bool:
        """Say whether there is a contract at this address."""
        ...

    async def views(self, to: str, calls: Sequence[bytes]) -> list[bytes]:
        """Return what a contract's views answer on the newest block."""
        ...

    async def refusals(self, sender: str, to: str, calls: Sequence[bytes]) -> list[str | None]:
        """Try calls, each alone, without sending them; return the name of the error of each, None if it would pass."""
        ...


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction as it goes over the wire, and its hash (0x…)."""

    raw: bytes
    tx_hash: str


class Signer(Protocol):
    """Holds the operator's key."""

    address: str

    def sign(self, *, nonce: int, to: str | None, data: bytes, gas: int) -> Signed:
        """Return the signed transaction, the same bytes for the same content; `to` is None when it makes a contract."""
        ...


class Calls(Protocol):
    """Writes the contracts' calls as bytes."""

    def create_token(self, symbol: str, owner: str) -> bytes: ...

    def create_settlement(self, token_address: str, owner: str) -> bytes: ...

    def mint(self, to: str, amount: int) -> bytes: ...

    def settle_batch(self, batch_id: UUID, settlements: Sequence[Waiting]) -> bytes: ...

    def token_supply(self) -> bytes: ...

    def settled(self, payment_id: UUID) -> bytes: ...

    def created_address(self, sender: str, nonce: int) -> str: ...


class Store(Protocol):
    """The bridge's tables, within one transaction."""

    async def deployment(self) -> Deployment | None:
        """Return the contracts in use on our chain."""
        ...

    async def save_deployment(self, deployment: Deployment) -> bool:
        """Record the contracts; False when another worker was first."""
        ...

    async def save_intents(self, intents: Sequence[Intent]) -> set[UUID]:
        """Record requests and return the payments that had none before."""
        ...

    async def intent_contents(self, payment_ids: Sequence[UUID]) -> dict[UUID, tuple[object, ...]]:
        """Return what was asked for before, as `Intent.content` has it."""
        ...

    async def waiting(self, now: datetime, limit: int) -> list[Waiting]:
        """Return settlements that are due for a batch, the longest waiting first."""
        ...

    async def lock_sender(self, address: str, first_nonce: int) -> int:
        """Return the sender's next nonce, locked; a sender that is new starts at `first_nonce`."""
        ...

    async def skip_nonces(self, next_nonce: int) -> None:
        """Never sign with a nonce below this one."""
        ...

    async def under_way(self) -> int:
        """Return how many transactions are in no block yet."""
        ...

    async def save_transactions(self, transactions: Sequence[NewTransaction], next_nonce: int) -> None:
        """Record signed transactions, put their payments into them, and move the nonce on."""
        ...

    async def due(self, now: datetime, limit: int) -> list[Due]:
        """Return transactions to hand to the node, in nonce order."""
        ...

    async def hurry(self, now: datetime) -> None:
        """Make every pending transaction due now."""
        ...

    async def record_attempts(
        self, due: Sequence[Due], outcomes: Sequence[Sent], now: datetime, next_attempts: Sequence[datetime]
    ) -> list[Tracked]:
        """Record outcomes and return the transactions that were accepted for the first time."""
        ...

    async def tracked(self) -> list[Tracked]:
        """Return the transactions under way, in nonce order."""
        ...

    async def newest_final(self, limit: int) -> list[Tracked]:
        """Return the newest final transactions, the newest first."""
        ...

    async def record_standings(
        self, changes: Sequence[tuple[Tracked, Standing, int]], now: datetime
    ) -> list[tuple[Tracked, Standing]]:
        """Record where transactions stand now, with their count of reorgs; return those that stood as was thought.

        `submitted` and `confirmed_before` of what is returned are as they are in the table: another worker may have
        recorded and told a sending since the transaction was read.
        """
        ...

    async def assigned(self, transactions: Sequence[Tracked]) -> list[Assigned]:
        """Return the settlements in these transactions, by payment id."""
        ...

    async def send_again(self, payment_ids: Sequence[UUID], due_ats: Sequence[datetime]) -> None:
        """Take settlements out of their transaction, to wait for another one."""
        ...

    async def fail(self, payment_ids: Sequence[UUID], codes: Sequence[str], details: Sequence[str]) -> None:
        """Take settlements out of their transaction and give them up."""
        ...


class Unit(Protocol):
    """One unit of work."""

    @property
    def store(self) -> Store: ...

    def publish(self, *events: Event) -> None:
        """Put events on the bus when it commits."""
        ...


class Units(Protocol):
    """Opens units of work."""

    def begin(self) -> AbstractAsyncContextManager[Unit]:
        """Open one: it commits when the block ends and rolls back when the block raises."""
        ...
