"""The chain by plain JSON-RPC, with just the decoding that the audit needs: no library of the platform's."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rialto_cli.audit import text_ids

# The first topic of an event is the Keccak-256 of its signature; the first four bytes of that of a view, its selector.
SETTLED = "0x21de41055b4c56c0b51e97a1bb6664ad4f3cab9b004c525ca3865e71cc039418"
"""Settled(bytes32,address,uint256,bytes32): payment id, payee and batch id are topics, the amount is data."""
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Transfer(address,address,uint256): from and to are topics, the amount is data."""
BALANCE_OF = "0x70a08231"
"""balanceOf(address)"""

SETTLED_VIEW = "0xd945af1d"
"""settled(bytes32): what was paid for a payment, as (address, uint256); a zero address means nothing"""

BLOCKS_A_REQUEST = 5_000
CALLS_A_REQUEST = 500
TIMEOUT_SECONDS = 20.0


class ChainUnreadable(Exception):
    """The node does not answer, or not yet for the block that is asked about; asking again may help."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the chain."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Payout:
    """A payment that the settlement contract has paid; amounts in the token's smallest unit.

    `tx_hash` is None where the contract knows of the payment and no event tells of it; then it was paid in the block
    `block_number` or before.
    """

    payment_id: str
    payee: str
    amount: int
    tx_hash: str | None
    block_number: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Tokens that came into the treasury (a positive amount) or left it (a negative one)."""

    amount: int
    other: str
    tx_hash: str
    block_number: int


class Node:
    """An EVM node, asked over HTTP."""

    def __init__(self, url: str) -> None:
        self._url = url

    def chain_id(self) -> int:
        """Return which chain it serves."""
        return int(self._ask("eth_chainId"), 16)

    def newest_block(self) -> Block:
        """Return the head of the chain."""
        return self._block("latest") or Block(0, "")

    def block(self, number: int) -> Block | None:
        """Return a block by its number; None where the chain is not that long."""
        return self._block(hex(number))

    def _block(self, tag: str) -> Block | None:
        found = self._ask("eth_getBlockByNumber", tag, False)
        return None if found is None else Block(int(found["number"], 16), str(found["hash"]))

    def token_balance(self, token: str, holder: str, block: int) -> int:
        """Return what an address holds at a block; nothing where the token did not exist yet."""
        call = {"to": token, "data": BALANCE_OF + _padded(holder)}
        answer = str(self._ask("eth_call", call, hex(block)))
        return int(answer, 16) if answer != "0x" else 0

    def payouts(self, contract: str, last_block: int) -> list[Payout]:
        """Return all that a settlement contract has ever paid, up to a block."""
        return [
            Payout(
                payment_id=text_ids.of_bytes("pay", bytes.fromhex(log["topics"][1][2:34])),
                payee="0x" + log["topics"][2][26:],
                amount=int(log["data"], 16),
                tx_hash=log["transactionHash"],
                block_number=int(log["blockNumber"], 16),
            )
            for log in self._logs(contract, [SETTLED], last_block)
        ]

    def remembered(self, contract: str, payment_ids: Sequence[str], block: int) -> dict[str, Payout]:
        """Return those of some payments that a settlement contract says at a block to have paid, with no event."""
        paid = {}
        for first in range(0, len(payment_ids), CALLS_A_REQUEST):
            part = payment_ids[first : first + CALLS_A_REQUEST]
            calls = [{"to": contract, "data": SETTLED_VIEW + text_ids.to_bytes(each).hex() + 32 * "0"} for each in part]
            answers = self._ask_many("eth_call", [(call, hex(block)) for call in calls])
            for payment_id, answer in zip(part, answers, strict=True):
                payee, amount = answer[26:66], int(answer[66:] or "0", 16)
                if int(payee or "0", 16):
                    paid[payment_id] = Payout(payment_id, "0x" + payee, amount, None, block)
        return paid

    def transfers(self, token: str, holder: str, last_block: int) -> list[Transfer]:
        """Return every movement of a holder's tokens, up to a block."""
        whole = "0x" + _padded(holder)
        moved = []
        ways: tuple[tuple[int, list[str | None], int], ...] = (
            (1, [TRANSFER, None, whole], 1),
            (-1, [TRANSFER, whole], 2),
        )
        for sign, topics, other in ways:
            for log in self._logs(token, topics, last_block):
                party = "0x" + log["topics"][other][26:]
                moved.append(
                    Transfer(sign * int(log["data"], 16), party, log["transactionHash"], int(log["blockNumber"], 16))
                )
        return moved

    def _logs(self, address: str, topics: list[str | None], last_block: int) -> list[dict[str, Any]]:
        logs: list[dict[str, Any]] = []
        for first in range(0, last_block + 1, BLOCKS_A_REQUEST):
            last = min(last_block, first + BLOCKS_A_REQUEST - 1)
            asked = {"address": address, "topics": topics, "fromBlock": hex(first), "toBlock": hex(last)}
            logs.extend(self._ask("eth_getLogs", asked))
        return logs

    def _ask(self, method: str, *params: object) -> Any:
        [result] = self._ask_many(method, [params])
        return result

    def _ask_many(self, method: str, each_params: Sequence[Sequence[object]]) -> list[Any]:
        asked = [
            {"jsonrpc": "2.0", "id": nth, "method": method, "params": params} for nth, params in enumerate(each_params)
        ]
        body = json.dumps(asked).encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - an operator's URL
                answers = json.load(response)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise ChainUnreadable(f"{self._url} does not answer: {error}") from error
        results = {}
        for answer in answers if isinstance(answers, list) else [answers]:
            if "error" in answer:
                raise ChainUnreadable(f"{method}: {answer['error'].get('message', answer['error'])}")
            results[answer["id"]] = answer["result"]
        if len(results) != len(asked):
            raise ChainUnreadable(f"{method}: {len(asked)} questions, {len(results)} answers")
        return [results[nth] for nth in range(len(asked))]


def _padded(address: str) -> str:
    return address.removeprefix("0x").lower().rjust(64, "0")
