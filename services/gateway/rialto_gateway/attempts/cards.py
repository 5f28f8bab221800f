"""What is kept of a card: the acquirer's token, encrypted and bound to its payment, and a keyed fingerprint.

No card number ever reaches us. In live mode the fingerprint is that of the token. A test token stands for nobody's
card and everyone uses the same few, so in test mode it is that of the token in the hand of a payer.
"""

import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

import orjson

from rialto_gateway.attempts.attempt import Card
from rialto_gateway.idempotency import Vault


@dataclass(frozen=True, slots=True)
class GivenCard:
    """A card as a merchant's request names it."""

    token: str = field(repr=False)
    return_url: str | None = None
    descriptor: str | None = None


class Cards:
    """Seals and opens."""

    def __init__(self, vault: Vault, master_key: bytes) -> None:
        self._vault = vault
        self._fingerprints = hmac.digest(master_key, b"rialto card fingerprints", sha256)

    def seal(self, card: GivenCard, *, payment_id: UUID, mode: str, payer_id: UUID) -> str:
        """Return what the payment's row keeps, as JSON."""
        return orjson.dumps(
            {
                "token": b64encode(self._vault.close(card.token.encode(), payment_id.bytes)).decode(),
                "fingerprint": self._fingerprint(card.token, mode, payer_id),
                "return_url": card.return_url,
                "descriptor": card.descriptor,
            }
        ).decode()

    def open(self, kept: str, payment_id: UUID) -> Card:
        """Return the card of a payment."""
        fields = orjson.loads(kept)
        token = self._vault.open(b64decode(fields["token"]), payment_id.bytes).decode()
        return Card(token, fields["return_url"], fields["descriptor"])

    def _fingerprint(self, token: str, mode: str, payer_id: UUID) -> str:
        holder = b"" if mode == "live" else payer_id.bytes
        return hmac.digest(self._fingerprints, b"%b/%b/%b" % (mode.encode(), token.encode(), holder), sha256).hex()[:32]


def fingerprint_of(kept: str) -> str:
    """Return the fingerprint that events carry: the same for a card at every merchant."""
    fingerprint: str = orjson.loads(kept)["fingerprint"]
    return fingerprint


def merchants_fingerprint(kept: str, merchant_id: UUID) -> str:
    """Return the fingerprint that a merchant sees: another at each, so that two cannot find customers they share."""
    return sha256(merchant_id.bytes + fingerprint_of(kept).encode()).hexdigest()[:32]
