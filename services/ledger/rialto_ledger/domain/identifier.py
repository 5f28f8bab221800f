"""Numbers by which the outside pays into an account: IBAN's form and check digits (ISO 13616, ISO 7064 MOD 97-10)."""

import re
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

ACCOUNT_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Identifiers:
    """Gives accounts numbers of one institution: a country's two letters, and a bank code of 1 to 14 letters or digits.

    Raises: ValueError: not of that form.
    """

    country: str
    bank_code: str

    def __post_init__(self) -> None:
        if not re.fullmatch("[A-Z]{2}", self.country) or not re.fullmatch("[A-Z0-9]{1,14}", self.bank_code):
            raise ValueError(
                "an account identifier's prefix is a country's two letters, a colon and a bank code of 1 to 14 capital"
                " letters or digits, such as XR:RLTO0001"
            )

    @classmethod
    def parse(cls, prefix: str) -> "Identifiers":
        """Read `COUNTRY:BANKCODE`. Raises: ValueError."""
        country, _, bank_code = prefix.partition(":")
        return cls(country, bank_code)

    def of(self, account_id: UUID) -> str:
        """Return an account's number: always the same for the same account, and hardly ever that of another.

        Sixteen digits of a hash: among a million accounts two are alike once in 20,000 installations; the second one is
        then refused by the database.
        """
        digits = int.from_bytes(sha256(account_id.bytes).digest()) % 10**ACCOUNT_DIGITS
        bban = f"{self.bank_code}{digits:0{ACCOUNT_DIGITS}d}"
        return f"{self.country}{98 - _modulo_97(f'{bban}{self.country}00'):02d}{bban}"


def is_valid(identifier: str) -> bool:
    """Whether the check digits are right."""
    return re.fullmatch("[A-Z]{2}[0-9]{2}[A-Z0-9]{1,30}", identifier) is not None and (
        _modulo_97(identifier[4:] + identifier[:4]) == 1
    )


def _modulo_97(text: str) -> int:
    return int("".join(str(int(character, 36)) for character in text)) % 97
