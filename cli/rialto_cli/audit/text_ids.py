"""Ids as the platform writes them, `pay_` and 26 characters of Crockford base32: our own reading of that form."""

import re

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_CALL = re.compile(r"text_id\('([a-z]+)', ([a-z_.]+)\)")


def expand(query: str) -> str:
    """Replace each `text_id('pay', column)` by SQL that writes the UUID in that column as `pay_…`; NULL stays NULL."""
    return _CALL.sub(lambda call: text_id(call[1], call[2]), query)


def text_id(prefix: str, column: str) -> str:
    """Return the expression: 26 times 5 bits, of the UUID's 128 after two zeros.

    In a subquery, so that the UUID is turned into bits once a row; OFFSET 0 keeps the planner from undoing that.
    """
    digits = " || ".join(
        f"substr('{ALPHABET}', substring(bits FROM {start} FOR 5)::INT + 1, 1)" for start in range(1, 131, 5)
    )
    bits = f"B'00' || ('x' || replace({column}::TEXT, '-', ''))::BIT(128)"
    # Built of a prefix and a column's name from queries.sql.
    return f"(SELECT '{prefix}_' || {digits} FROM (SELECT {bits} AS bits OFFSET 0) AS written)"  # noqa: S608


def of_bytes(prefix: str, raw: bytes) -> str:
    """Return the text form of 16 bytes, such as the first half of a payment's id on chain."""
    number = int.from_bytes(raw, "big")
    return f"{prefix}_" + "".join(ALPHABET[(number >> shift) & 31] for shift in range(125, -5, -5))


def to_bytes(text: str) -> bytes:
    """Return the 16 bytes of an id in its text form."""
    number = 0
    for digit in text.rpartition("_")[2]:
        number = number << 5 | ALPHABET.index(digit)
    return number.to_bytes(16, "big")
