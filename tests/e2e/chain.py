"""What the chain itself says was paid, by plain JSON-RPC."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from eth_utils.crypto import keccak

from .running import Rialto

SETTLED = "0x" + keccak(text="Settled(bytes32,address,uint256,bytes32)").hex()
TOKEN_UNITS_PER_CENT = 10_000
"""The test stablecoin has 6 decimals, USD has 2."""


@dataclass(frozen=True, slots=True)
class Paid:
    """One `Settled` log."""

    payment_id: UUID
    payee: str
    token_units: int
    tx_hash: str
    block_number: int


class Chain:
    """Reads the node and the contracts of one platform."""

    def __init__(self, rialto: Rialto) -> None:
        self._url = rialto.installation.url("anvil")
        (deployment,) = rialto.rows("SELECT token_address, settlement_address FROM chain_bridge.deployments")
        self._token = deployment["token_address"]
        self._settlement = deployment["settlement_address"]

    def paid(self, payment_id: UUID | None = None) -> list[Paid]:
        """Every `Settled` log of the contract, or those of one payment."""
        topics = [SETTLED] if payment_id is None else [SETTLED, "0x" + padded(payment_id)]
        query = {"address": self._settlement, "fromBlock": "0x0", "toBlock": "latest", "topics": topics}
        return [_paid(log) for log in self._call("eth_getLogs", query)]

    def balance(self, address: str) -> int:
        """The token units that an address holds."""
        call = {"to": self._token, "data": "0x70a08231" + address.removeprefix("0x").rjust(64, "0")}
        return int(self._call("eth_call", call, "latest"), 16)

    def _call(self, method: str, *parameters: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        answer = httpx.post(self._url, json=body, timeout=60).json()
        assert "error" not in answer, answer
        return answer["result"]


def padded(payment_id: UUID) -> str:
    """A payment's id as the contract has it: 32 bytes, zeros behind."""
    return payment_id.hex.ljust(64, "0")


def _paid(log: dict[str, Any]) -> Paid:
    return Paid(
        payment_id=UUID(log["topics"][1][2:34]),
        payee="0x" + log["topics"][2][-40:],
        token_units=int(log["data"], 16),
        tx_hash=log["transactionHash"],
        block_number=int(log["blockNumber"], 16),
    )
