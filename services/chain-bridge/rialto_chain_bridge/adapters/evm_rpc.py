"""An EVM node over JSON-RPC: many questions in one request."""

from collections.abc import Callable, Sequence
from typing import Any

import httpx
import orjson

from rialto_chain_bridge.application.ports import Attempt, Head, Sent
from rialto_chain_bridge.domain.confirmation import Block, Inclusion
from rialto_chain_bridge.domain.errors import ChainUnavailable
from rialto_common.runtime import Runtime

# JSON-RPC has no codes for these; nodes (geth, reth, erigon, anvil) tell them by their text only.
_ALREADY_THERE = ("already imported", "already known", "known transaction")
# Mined, or its nonce was used by another transaction: the receipt will tell.
_NONCE_USED = "nonce too low"

Question = tuple[str, list[Any]]


class JsonRpcChain:
    """Speaks to one node."""

    def __init__(self, url: str, runtime: Runtime, *, timeout_seconds: float, error_name: Callable[[str], str]) -> None:
        """`error_name` reads a contract's error from the data of a refused call."""
        self._client = runtime.http_client(base_url=url, timeout=timeout_seconds)
        self._error_name = error_name

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def chain_id(self) -> int:
        """Return which chain the node serves."""
        [answer] = await self._ask([("eth_chainId", [])])
        return int(_result(answer), 16)

    async def newest_block(self) -> Block:
        """Return the chain's newest block."""
        [answer] = await self._ask([("eth_getBlockByNumber", ["latest", False])])
        return _block(_result(answer))

    async def next_nonce(self, sender: str) -> int:
        """Return the nonce of the sender's next transaction."""
        [answer] = await self._ask([("eth_getTransactionCount", [sender, "pending"])])
        return int(_result(answer), 16)

    async def head(self, sender: str, block_numbers: Sequence[int]) -> Head:
        """Return the newest block, the sender's nonce in it, and the present hashes of these blocks."""
        newest, count, *blocks = await self._ask(
            [
                ("eth_getBlockByNumber", ["latest", False]),
                ("eth_getTransactionCount", [sender, "latest"]),
                *(("eth_getBlockByNumber", [hex(number), False]) for number in block_numbers),
            ]
        )
        found = [_result(block, may_be_null=True) for block in blocks]
        hashes = {
            number: None if block is None else _block(block).hash
            for number, block in zip(block_numbers, found, strict=True)
        }
        return Head(_block(_result(newest)), int(_result(count), 16), hashes)

    async def send(self, raw_transactions: Sequence[bytes]) -> list[Sent]:
        """Hand transactions over, in order."""
        try:
            answers = await self._ask([("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in raw_transactions])
        except ChainUnavailable as error:
            return [Sent(Attempt.UNKNOWN, error.detail)] * len(raw_transactions)
        return [_sent(answer) for answer in answers]

    async def inclusions(self, tx_hashes: Sequence[str]) -> list[Inclusion | None]:
        """Return where these transactions are in the chain."""
        answers = await self._ask([("eth_getTransactionReceipt", [tx_hash]) for tx_hash in tx_hashes])
        receipts = [_result(answer, may_be_null=True) for answer in answers]
        return [None if receipt is None else _inclusion(receipt) for receipt in receipts]

    async def has_code(self, address: str) -> bool:
        """Say whether there is a contract at this address."""
        [answer] = await self._ask([("eth_getCode", [address, "latest"])])
        return len(str(_result(answer))) > len("0x")

    async def views(self, to: str, calls: Sequence[bytes]) -> list[bytes]:
        """Return what a contract's views answer on the newest block."""
        answers = await self._ask([("eth_call", [{"to": to, "data": "0x" + call.hex()}, "latest"]) for call in calls])
        return [bytes.fromhex(str(_result(answer)).removeprefix("0x")) for answer in answers]

    async def refusals(self, sender: str, to: str, calls: Sequence[bytes]) -> list[str | None]:
        """Try calls, each alone, on the newest block."""
        answers = await self._ask(
            [("eth_call", [{"from": sender, "to": to, "data": "0x" + call.hex()}, "latest"]) for call in calls]
        )
        return [self._refusal(answer) for answer in answers]

    def _refusal(self, answer: dict[str, Any]) -> str | None:
        error = answer.get("error")
        if error is None:
            return None
        data = error.get("data")
        return self._error_name(data) if isinstance(data, str) and len(data) >= 10 else str(error.get("message"))[:200]

    async def _ask(self, questions: Sequence[Question]) -> list[dict[str, Any]]:
        """Return the answers in the order of the questions.

        Raises: ChainUnavailable: no answer, or none that can be read.
        """
        if not questions:
            return []
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(questions)
        ]
        try:
            response = await self._client.post(
                "", content=orjson.dumps(body), headers={"Content-Type": "application/json"}
            )
            response.raise_for_status()
            answers = orjson.loads(response.content)
            by_id = {int(answer["id"]): dict(answer) for answer in answers}
            return [by_id[number] for number in range(len(questions))]
        except (httpx.HTTPError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ChainUnavailable(f"the EVM node does not answer: {type(error).__name__}: {error}"[:300]) from error


def _result(answer: dict[str, Any], *, may_be_null: bool = False) -> Any:
    if "error" in answer or (answer.get("result") is None and not may_be_null):
        raise ChainUnavailable(f"the EVM node answers with an error: {answer.get('error')}"[:300])
    return answer.get("result")


def _block(block: dict[str, Any]) -> Block:
    return Block(int(block["number"], 16), str(block["hash"]))


def _inclusion(receipt: dict[str, Any]) -> Inclusion:
    return Inclusion(
        Block(int(receipt["blockNumber"], 16), str(receipt["blockHash"])),
        int(receipt["status"], 16) == 1,
        int(receipt["gasUsed"], 16),
    )


def _sent(answer: dict[str, Any]) -> Sent:
    error = answer.get("error")
    if error is None:
        return Sent(Attempt.SUCCEEDED)
    message = str(error.get("message"))[:300]
    if any(text in message.lower() for text in _ALREADY_THERE):
        return Sent(Attempt.SUCCEEDED)
    if _NONCE_USED in message.lower():
        return Sent(Attempt.UNKNOWN, message)
    return Sent(Attempt.FAILED, message)
