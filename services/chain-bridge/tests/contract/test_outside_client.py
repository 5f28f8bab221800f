"""What anyone with a common client sees: web3.py and the committed ABI, none of our own encoding."""

import json
from importlib import resources
from typing import Any
from uuid import UUID

from web3 import Web3
from web3.logs import DISCARD

from rialto_chain_bridge.adapters.contracts import Contracts
from rialto_chain_bridge.domain import gas
from rialto_chain_bridge.testing import OPERATOR_KEY
from rialto_cli.testing import AnvilNode


def artefact(name: str) -> dict[str, Any]:
    text = resources.files("rialto_chain_bridge").joinpath(f"artifacts/{name}.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def test_web3_reads_our_contracts_and_our_bytes_mean_what_web3_means(anvil: AnvilNode) -> None:
    web3 = Web3(Web3.HTTPProvider(anvil.url))
    operator = web3.eth.account.from_key(OPERATOR_KEY)
    payee = Web3.to_checksum_address(f"0x{0xA11CE:040x}")

    def execute(transaction: Any) -> Any:
        filled = transaction.build_transaction(
            {
                "from": operator.address,
                "nonce": web3.eth.get_transaction_count(operator.address, "pending"),
                "gas": gas.settle_batch(100),
            }
        )
        sent = web3.eth.send_raw_transaction(operator.sign_transaction(filled).raw_transaction)
        return web3.eth.wait_for_transaction_receipt(sent, timeout=30)

    def deploy(name: str, *arguments: Any) -> Any:
        found = artefact(name)
        blank = web3.eth.contract(abi=found["abi"], bytecode=found["bytecode"])
        receipt = execute(blank.constructor(*arguments))
        return web3.eth.contract(address=receipt["contractAddress"], abi=found["abi"])

    token = deploy("RialtoTestStablecoin", "Rialto test dollar", "RUSD", operator.address, operator.address)
    settlement = deploy("RialtoSettlement", token.address, operator.address, operator.address)
    execute(token.functions.mint(settlement.address, 1_000))

    payment_id, batch_id = UUID(int=7), UUID(int=8)
    as_bytes32 = payment_id.bytes.ljust(32, b"\0")
    batch = [(as_bytes32, payee, 250)]
    call = settlement.functions.settleBatch(batch_id.bytes.ljust(32, b"\0"), batch)
    receipt = execute(call)

    assert settlement.functions.settled(as_bytes32).call() == [payee, 250]
    assert token.functions.balanceOf(payee).call() == 250
    [paid] = settlement.events.Settled().process_receipt(receipt, errors=DISCARD)
    assert (paid["args"]["paymentId"], paid["args"]["payee"], paid["args"]["amount"]) == (as_bytes32, payee, 250)
    assert Contracts().settled(payment_id).hex() == settlement.encode_abi("settled", [as_bytes32]).removeprefix("0x")
