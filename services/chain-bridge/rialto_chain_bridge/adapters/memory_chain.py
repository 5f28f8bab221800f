"""A model of an EVM node with our contracts on it, for simulation: what the bridge sees of a chain, and no gas or keys.

The settlement contract pays each payment id once, skips what it has paid, and refuses a batch as a whole when one of
its settlements conflicts with what was paid. Transactions are executed in the order of their nonces; the node may lose
those that wait, and reorganise its newest blocks. The state after each block is kept, so a block that is taken back
takes its payouts back. Transactions and calls travel as JSON.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson

from rialto_chain_bridge.application.ports import Attempt, Head, Sent, Signed
from rialto_chain_bridge.domain.batch import Waiting
from rialto_chain_bridge.domain.confirmation import Block, Inclusion
from rialto_chain_bridge.domain.errors import ChainUnavailable

MAX_PAYOUT = 2**96 - 1
ZERO_ADDRESS = "0x" + "0" * 40


class ModelSigner:
    """Signs by naming the signer."""

    def __init__(self, address: str) -> None:
        self.address = address

    def sign(self, *, nonce: int, to: str | None, data: bytes, gas: int) -> Signed:
        """Return the transaction, the same bytes for the same content."""
        raw = orjson.dumps({"from": self.address, "nonce": nonce, "to": to, "data": data.decode(), "gas": gas})
        return Signed(raw, "0x" + sha256(raw).hexdigest())


class ModelCalls:
    """Writes the contracts' calls as JSON."""

    def create_token(self, symbol: str, owner: str) -> bytes:
        """Return the creation of the test stablecoin."""
        return orjson.dumps({"create": "token", "symbol": symbol, "owner": owner})

    def create_settlement(self, token_address: str, owner: str) -> bytes:
        """Return the creation of the settlement contract."""
        return orjson.dumps({"create": "settlement", "token": token_address, "owner": owner})

    def mint(self, to: str, amount: int) -> bytes:
        """Return the call that mints the treasury."""
        return orjson.dumps({"mint": str(amount), "to": to})

    def settle_batch(self, batch_id: UUID, settlements: Sequence[Waiting]) -> bytes:
        """Return the call that pays a batch."""
        items = [[item.payment_id.hex, item.payee_address, str(item.token_amount)] for item in settlements]
        return orjson.dumps({"settle": batch_id.hex, "items": items})

    def token_supply(self) -> bytes:
        """Return the question for how much of the token there is."""
        return b'{"view":"supply"}'

    def settled(self, payment_id: UUID) -> bytes:
        """Return the question for what was paid for a payment."""
        return orjson.dumps({"view": "settled", "payment": payment_id.hex})

    def created_address(self, sender: str, nonce: int) -> str:
        """Return the address of the contract that a sender creates at a nonce."""
        return "0x" + sha256(f"{sender}/{nonce}".encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class Payout:
    """What the settlement contract has paid for a payment."""

    payee: str
    amount: int


@dataclass(slots=True)
class ChainState:
    """What the chain knows after a block. `paid` sums the transfers that were made, payment by payment."""

    nonces: dict[str, int] = field(default_factory=dict)
    contracts: set[str] = field(default_factory=set)
    supply: int = 0
    treasury: int = 0
    payouts: dict[str, Payout] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)

    def copy(self) -> "ChainState":
        """Return a state that can be changed apart from this one."""
        return ChainState(
            dict(self.nonces),
            set(self.contracts),
            self.supply,
            self.treasury,
            dict(self.payouts),
            dict(self.paid),
        )


@dataclass(frozen=True, slots=True)
class Mined:
    """A block, the transactions in it (by hash: whether they had effect), and the state after it."""

    block: Block
    receipts: dict[str, bool]
    raws: tuple[bytes, ...]
    state: ChainState


class Refused(Exception):
    """The contract reverts the call, with the name of its error."""


class ModelChain:
    """The node and the chain."""

    def __init__(self, chain_id: int) -> None:
        self.number = chain_id
        self.blocks = [Mined(Block(0, "0x" + sha256(b"genesis").hexdigest()), {}, (), ChainState())]
        self.pool: dict[str, bytes] = {}
        self.is_away = False
        self.version = 0
        """Changes with everything that a look at the node could show."""

        self.on_change: Callable[[], None] = lambda: None
        self._forks = 0

    @property
    def state(self) -> ChainState:
        """What the chain knows after its newest block."""
        return self.blocks[-1].state

    # What happens to it ---------------------------------------------------------------------------------------------

    def mine(self) -> None:
        """Make a block of what waits and whose turn it is."""
        state, receipts, raws = self.state.copy(), {}, []
        for tx_hash, raw in sorted(self.pool.items(), key=lambda item: int(orjson.loads(item[1])["nonce"])):
            content = orjson.loads(raw)
            sender = content["from"]
            if content["nonce"] < state.nonces.get(sender, 0):
                del self.pool[tx_hash]  # its nonce was used meanwhile
            elif content["nonce"] == state.nonces.get(sender, 0):
                state.nonces[sender] = content["nonce"] + 1
                receipts[tx_hash] = self._execute(state, content)
                raws.append(raw)
                del self.pool[tx_hash]
        number = self.blocks[-1].block.number + 1
        digest = sha256(f"{self.blocks[-1].block.hash}/{number}/{self._forks}/{sorted(receipts)}".encode()).hexdigest()
        self.blocks.append(Mined(Block(number, "0x" + digest), receipts, tuple(raws), state))
        self._changed()

    def reorganise(self, depth: int, *, keep_in_pool: bool) -> None:
        """Take the newest blocks back; their transactions wait again, or are forgotten. Then mine one block more."""
        depth = min(depth, len(self.blocks) - 1)
        dropped = self.blocks[len(self.blocks) - depth :]
        del self.blocks[len(self.blocks) - depth :]
        self._forks += 1
        if keep_in_pool:
            for mined in dropped:
                self.pool.update((_hash(raw), raw) for raw in mined.raws)
            self.mine()
        for _ in range(depth + (not keep_in_pool)):
            self.mine()

    def go_away(self) -> None:
        """Answer nobody."""
        self.is_away = True
        self._changed()

    def come_back(self) -> None:
        """Answer again."""
        self.is_away = False
        self._changed()

    def forget_pool(self) -> None:
        """Lose what waits, as a node that is started anew does."""
        self.pool.clear()
        self._changed()

    def _changed(self) -> None:
        self.version += 1
        self.on_change()

    def _execute(self, state: ChainState, content: dict[str, Any]) -> bool:
        data = orjson.loads(content["data"])
        if "create" in data:
            state.contracts.add(ModelCalls().created_address(content["from"], content["nonce"]))
        elif "mint" in data:
            state.supply += int(data["mint"])
            state.treasury += int(data["mint"])
        else:
            after = state.copy()
            try:
                _settle(after, data, str(content["to"]))
            except Refused:
                return False
            state.treasury, state.payouts, state.paid = after.treasury, after.payouts, after.paid
        return True

    # The port -------------------------------------------------------------------------------------------------------

    async def chain_id(self) -> int:
        """Return which chain the node serves."""
        self._answer()
        return self.number

    async def newest_block(self) -> Block:
        """Return the chain's newest block."""
        self._answer()
        return self.blocks[-1].block

    async def next_nonce(self, sender: str) -> int:
        """Return the nonce of the sender's next transaction, those that wait included."""
        self._answer()
        waiting = [int(orjson.loads(raw)["nonce"]) + 1 for raw in self.pool.values()]
        return max([self.state.nonces.get(sender, 0), *waiting])

    async def head(self, sender: str, block_numbers: Sequence[int]) -> Head:
        """Return the newest block, the sender's nonce in it, and the present hashes of these blocks."""
        self._answer()
        known = len(self.blocks)
        hashes = {number: self.blocks[number].block.hash if number < known else None for number in block_numbers}
        return Head(self.blocks[-1].block, self.state.nonces.get(sender, 0), hashes)

    async def send(self, raw_transactions: Sequence[bytes]) -> list[Sent]:
        """Hand transactions over, in order."""
        if self.is_away:
            return [Sent(Attempt.UNKNOWN, "the EVM node does not answer")] * len(raw_transactions)
        return [self._take(raw) for raw in raw_transactions]

    async def inclusions(self, tx_hashes: Sequence[str]) -> list[Inclusion | None]:
        """Return where these transactions are in the chain."""
        self._answer()
        return [self._inclusion(tx_hash) for tx_hash in tx_hashes]

    async def has_code(self, address: str) -> bool:
        """Say whether there is a contract at this address."""
        self._answer()
        return address in self.state.contracts

    async def views(self, to: str, calls: Sequence[bytes]) -> list[bytes]:
        """Return what a contract's views answer on the newest block, as 32-byte words."""
        self._answer()
        return [self._view(orjson.loads(call)) for call in calls]

    async def refusals(self, sender: str, to: str, calls: Sequence[bytes]) -> list[str | None]:
        """Try calls, each alone, on the newest block."""
        self._answer()
        reasons: list[str | None] = []
        for call in calls:
            try:
                _settle(self.state.copy(), orjson.loads(call), to)
            except Refused as error:
                reasons.append(str(error))
            else:
                reasons.append(None)
        return reasons

    def _answer(self) -> None:
        if self.is_away:
            raise ChainUnavailable("the EVM node does not answer")

    def _take(self, raw: bytes) -> Sent:
        content, tx_hash = orjson.loads(raw), _hash(raw)
        if tx_hash not in self.pool:
            if content["nonce"] < self.state.nonces.get(content["from"], 0):
                return Sent(Attempt.UNKNOWN, "nonce too low")
            self.pool[tx_hash] = raw
            self._changed()
        return Sent(Attempt.SUCCEEDED)

    def _inclusion(self, tx_hash: str) -> Inclusion | None:
        for mined in reversed(self.blocks):
            if tx_hash in mined.receipts:
                return Inclusion(mined.block, mined.receipts[tx_hash], 50_000)
        return None

    def _view(self, call: dict[str, Any]) -> bytes:
        if call["view"] == "supply":
            return self.state.supply.to_bytes(32, "big")
        payout = self.state.payouts.get(call["payment"], Payout(ZERO_ADDRESS, 0))
        return int(payout.payee, 16).to_bytes(32, "big") + payout.amount.to_bytes(32, "big")


def _hash(raw: bytes) -> str:
    return "0x" + sha256(raw).hexdigest()


def _settle(state: ChainState, data: dict[str, Any], contract: str) -> None:
    """Pay a batch, all of it or none. Raises: Refused."""
    if contract not in state.contracts:
        return  # a call to an address without code succeeds and does nothing
    for payment, payee, text in data["items"]:
        amount, known = int(text), state.payouts.get(payment)
        if known is not None:
            if known != Payout(payee, amount):
                raise Refused("SettlementConflict")
            continue
        if payee in (ZERO_ADDRESS, contract) or payee in state.contracts or not 0 < amount <= MAX_PAYOUT:
            raise Refused("InvalidSettlement")
        if amount > state.treasury:
            raise Refused("ERC20InsufficientBalance")
        state.payouts[payment] = Payout(payee, amount)
        state.paid[payment] = state.paid.get(payment, 0) + amount
        state.treasury -= amount
