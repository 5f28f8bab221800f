"""Amounts and ids as the settlement contract knows them."""

import re
from collections.abc import Callable
from uuid import UUID

from rialto_chain_bridge.domain.errors import AmountNotPayable, PayeeInvalid
from rialto_common.money import currency_exponent

MAX_TOKEN_AMOUNT = 2**96 - 1
"""The contract keeps an amount in 96 bits, beside the payee in one storage slot."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def token_amount(amount_minor: int, currency: str, decimals: int) -> int:
    """Return an amount in the token's smallest unit, 1:1: 12.50 USD (1250) is 12,500,000 units of a 6-decimal token.

    Raises: AmountNotPayable: it would lose precision, or is more than the contract can pay. UnknownCurrency.
    """
    shift = decimals - currency_exponent(currency)
    if shift >= 0:
        scaled: int = amount_minor * 10**shift
    else:
        scaled, lost = divmod(amount_minor, 10**-shift)
        if lost:
            raise AmountNotPayable(f"{amount_minor} {currency} in minor units is no whole number of token units")
    if not 0 < scaled <= MAX_TOKEN_AMOUNT:
        raise AmountNotPayable(f"{scaled} token units are more than one payment on chain can be")
    return scaled


def payment_bytes(payment_id: UUID) -> bytes:
    """Return a payment's id as the contract's bytes32: the UUID's 16 bytes, then zeros."""
    return payment_id.bytes + bytes(16)


def payee_address(text: str, *, checksummed: Callable[[str], str]) -> str:
    """Return the payee's address in lower case. (Our own contracts as payees are refused by the contract itself.)

    Args: checksummed: writes an address with its EIP-55 checksum.
    Raises: PayeeInvalid.
    """
    if _ADDRESS.fullmatch(text) is None:
        raise PayeeInvalid("a payee's address is 0x and 40 hexadecimal digits")
    address = text.lower()
    # Upper and lower case together carry a checksum: a wrong one is a mistyped address.
    if text[2:] not in (address[2:], text[2:].upper()) and checksummed(address) != text:
        raise PayeeInvalid("the payee's address has a wrong checksum: it is mistyped")
    if int(address, 16) == 0:
        raise PayeeInvalid("a payment to the zero address would be lost")
    return address
