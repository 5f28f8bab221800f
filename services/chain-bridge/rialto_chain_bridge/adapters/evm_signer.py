"""Signs the operator's transactions."""

from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from rialto_chain_bridge.application.ports import Signed

GWEI = 10**9


class LocalSigner:
    """One operator key on one chain. The same content gives the same bytes (RFC 6979)."""

    def __init__(self, private_key: str, *, chain_id: int, max_fee_gwei: int, priority_fee_gwei: int) -> None:
        self._account: LocalAccount = Account.from_key(private_key)
        self._chain_id = chain_id
        self._max_fee = max_fee_gwei * GWEI
        self._priority_fee = priority_fee_gwei * GWEI
        self.address = self._account.address.lower()

    def sign(self, *, nonce: int, to: str | None, data: bytes, gas: int) -> Signed:
        """Return the signed transaction; `to` is None for a contract's creation."""
        content: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "gas": gas,
            "maxFeePerGas": self._max_fee,
            "maxPriorityFeePerGas": self._priority_fee,
            "value": 0,
            "data": data,
        }
        if to is not None:
            content["to"] = bytes.fromhex(to[2:])
        signed = self._account.sign_transaction(content)
        return Signed(bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex())
