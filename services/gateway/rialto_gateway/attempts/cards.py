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
    saved_as: UUID | None = None
    mandate_id: UUID | None = None
    off_session: bool = False
    """Whether the payer is not there to confirm anything: the merchant began it."""


class Cards:
    """Seals and opens."""

    def __init__(self, vault: Vault, master_key: bytes) -> None:
        self._vault = vault
        self._fingerprints = hmac.digest(master_key, b"rialto card fingerprints", sha256)

    def seal(self, card: GivenCard, *, payment_id: UUID, mode: str, payer_id: UUID) -> str:
        """Return what the payment's row keeps, as JSON."""
        kept: dict[str, object] = {
            "token": b64encode(self.close(card.token, payment_id)).decode(),
            "fingerprint": self.fingerprint(card.token, mode, payer_id),
            "return_url": card.return_url,
            "descriptor": card.descriptor,
        }
        if card.saved_as is not None:
            kept |= {"saved_as": str(card.saved_as), "off_session": card.off_session}
        if card.mandate_id is not None:
            kept["mandate_id"] = str(card.mandate_id)
        return orjson.dumps(kept).decode()

    def open(self, kept: str, payment_id: UUID) -> Card:
        """Return the card of a payment."""
        fields = orjson.loads(kept)
        token = self.read(b64decode(fields["token"]), payment_id)
        return Card(token, fields["return_url"], fields["descriptor"], off_session=fields.get("off_session", False))

    def close(self, token: str, owner: UUID) -> bytes:
        """Return a token, encrypted and bound to the payment or saved method it is kept with."""
        return self._vault.close(token.encode(), owner.bytes)

    def read(self, kept: bytes, owner: UUID) -> str:
        """Return the token."""
        return self._vault.open(kept, owner.bytes).decode()

    def fingerprint(self, token: str, mode: str, payer_id: UUID) -> str:
        """Return what tells a card from others, without leading back to it."""
        holder = b"" if mode == "live" else payer_id.bytes
        return hmac.digest(self._fingerprints, b"%b/%b/%b" % (mode.encode(), token.encode(), holder), sha256).hex()[:32]


def fingerprint_of(kept: str) -> str:
    """Return the fingerprint that events carry: the same for a card at every merchant."""
    fingerprint: str = orjson.loads(kept)["fingerprint"]
    return fingerprint


def saved_under(kept: str) -> tuple[UUID | None, UUID | None]:
    """Return the saved method that a payment's card is, and the mandate it was charged by."""
    fields = orjson.loads(kept)
    saved_as, mandate_id = fields.get("saved_as"), fields.get("mandate_id")
    return saved_as and UUID(saved_as), mandate_id and UUID(mandate_id)


def merchants_fingerprint(kept: str, merchant_id: UUID) -> str:
    """Return the fingerprint that a merchant sees: another at each, so that two cannot find customers they share."""
    return fingerprint_at(fingerprint_of(kept), merchant_id)


def fingerprint_at(fingerprint: str, merchant_id: UUID) -> str:
    """Return a fingerprint as one merchant sees it."""
    return sha256(merchant_id.bytes + fingerprint.encode()).hexdigest()[:32]
