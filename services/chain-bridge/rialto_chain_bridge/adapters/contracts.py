"""The contracts' artefacts, and their calls as bytes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any
from uuid import UUID

import orjson
import rlp  # type: ignore[import-untyped]
from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from rialto_chain_bridge.domain.batch import Waiting
from rialto_chain_bridge.domain.token import payment_bytes
from rialto_common.errors import InvariantViolated

TOKEN_NAME = "Rialto Test Dollar"  # noqa: S105 - a currency, not a secret


@dataclass(frozen=True, slots=True)
class Artefact:
    """A compiled contract: its creation bytecode, and the names of its errors by their 4-byte selectors."""

    bytecode: bytes
    errors: dict[str, str]


def load_artefact(name: str) -> Artefact:
    """Read an artefact that `make contracts` wrote.

    Raises: InvariantViolated: its bytecode is not the one that was compiled.
    """
    text = resources.files("rialto_chain_bridge").joinpath("artifacts", f"{name}.json").read_bytes()
    content: dict[str, Any] = orjson.loads(text)
    bytecode = str(content["bytecode"]).removeprefix("0x")
    if hashlib.sha256(bytecode.encode()).hexdigest() != content["bytecodeSha256"]:
        raise InvariantViolated(f"the bytecode of {name} does not have the hash it was compiled with")
    errors = {
        _selector(f"{item['name']}({','.join(field['type'] for field in item['inputs'])})").hex(): str(item["name"])
        for item in content["abi"]
        if item["type"] == "error"
    }
    return Artefact(bytes.fromhex(bytecode), errors)


def checksummed(address: str) -> str:
    """Return an address with its EIP-55 checksum."""
    return str(to_checksum_address(address))


class Contracts:
    """Writes the calls that we make, and reads the contracts' errors."""

    def __init__(self) -> None:
        self._token = load_artefact("RialtoTestStablecoin")
        self._settlement = load_artefact("RialtoSettlement")
        self._errors = {**self._token.errors, **self._settlement.errors}

    def create_token(self, symbol: str, owner: str) -> bytes:
        """Return the creation of the test stablecoin; its owner may mint."""
        arguments = encode(["string", "string", "address", "address"], [TOKEN_NAME, symbol, owner, owner])
        return self._token.bytecode + arguments

    def create_settlement(self, token_address: str, owner: str) -> bytes:
        """Return the creation of the settlement contract; its owner may settle and pause."""
        return self._settlement.bytecode + encode(["address", "address", "address"], [token_address, owner, owner])

    def mint(self, to: str, amount: int) -> bytes:
        """Return the call that mints the treasury."""
        return _MINT + encode(["address", "uint256"], [to, amount])

    def settle_batch(self, batch_id: UUID, settlements: Sequence[Waiting]) -> bytes:
        """Return the call that pays a batch."""
        items = [(payment_bytes(item.payment_id), item.payee_address, item.token_amount) for item in settlements]
        return _SETTLE + encode(["bytes32", "(bytes32,address,uint256)[]"], [payment_bytes(batch_id), items])

    def token_supply(self) -> bytes:
        """Return the question for how much of the token there is."""
        return _TOTAL_SUPPLY

    def settled(self, payment_id: UUID) -> bytes:
        """Return the question for what was paid for a payment; it is answered with a payee of zero when nothing was."""
        return _SETTLED + payment_bytes(payment_id)

    def created_address(self, sender: str, nonce: int) -> str:
        """Return the address, in lower case, of the contract that a sender creates at a nonce."""
        return "0x" + keccak(rlp.encode([bytes.fromhex(sender[2:]), nonce]))[12:].hex()

    def error_name(self, data: str) -> str:
        """Return the name of a contract's error from what a refused call returned."""
        selector = data.removeprefix("0x")[:8]
        return self._errors.get(selector, f"unknown error 0x{selector}")


def _selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


_TOTAL_SUPPLY = _selector("totalSupply()")
_SETTLED = _selector("settled(bytes32)")
_MINT = _selector("mint(address,uint256)")
_SETTLE = _selector("settleBatch(bytes32,(bytes32,address,uint256)[])")
