"""Webhooks by the Standard Webhooks specification: is a message from Rialto, and is it new enough?

    event = rialto.webhooks.verify(body, headers, secrets)

`body` must be the bytes as they arrived: parsed and written again they are others. `secrets` is the endpoint's
secret, or several while one takes the other's place. A message that must not be believed raises
WebhookVerificationError, whose `reason` is one of: header_missing, timestamp_invalid, too_old, too_new,
signature_mismatch, body_malformed.
"""

import base64
import binascii
import hmac
import time
from collections.abc import Mapping, Sequence

from rialto.errors import WebhookVerificationError
from rialto.models import Event

PREFIX = "whsec_"
SCHEME = "v1"
TOLERANCE_SECONDS = 300
"""How far a message's time may be from ours; older ones may be a recording, played again."""
MOST_SIGNATURES = 16


def verify(
    body: bytes | str,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> Event:
    """Return the event of a message that one of the secrets signed.

    Args: now: seconds since 1970; the present where it is left out.
    Raises: WebhookVerificationError; ValueError: a secret is none.
    """
    keys = [key_of(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    if not keys:
        raise ValueError("there is no secret to verify with")
    given = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp, signatures = (_header(given, f"webhook-{name}") for name in ("id", "timestamp", "signature"))
    _check_time(timestamp, tolerance_seconds, time.time() if now is None else now)
    raw = body.encode() if isinstance(body, str) else bytes(body)
    expected = [_signature(key, message_id, timestamp, raw) for key in keys]
    # Every secret against every signature, always: how long it takes tells nothing about which fits.
    fits = False
    for each in signatures.split(" ")[:MOST_SIGNATURES]:
        scheme, _, signature = each.partition(",")
        for wanted in expected:
            fits |= hmac.compare_digest(signature.encode(errors="replace"), wanted) and scheme == SCHEME
    if not fits:
        raise WebhookVerificationError(
            "signature_mismatch", "no signature fits: the secret is another one, or the body was changed on its way"
        )
    try:
        return Event.model_validate_json(raw)
    except ValueError as error:
        raise WebhookVerificationError("body_malformed", "the message is signed, but it is no event") from error


def sign(body: bytes | str, secret: str, *, message_id: str, timestamp: int) -> dict[str, str]:
    """Return the headers of a message, as Rialto signs it; for tests of your own endpoint."""
    raw = body.encode() if isinstance(body, str) else body
    signature = _signature(key_of(secret), message_id, str(timestamp), raw).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"{SCHEME},{signature}",
    }


def key_of(secret: str) -> bytes:
    """Return the bytes of a secret (`whsec_` and base64).

    Raises: ValueError: it is none.
    """
    text = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret is whsec_ and base64") from error
    if not key:
        raise ValueError("a webhook secret is whsec_ and base64")
    return key


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise WebhookVerificationError("header_missing", f"there is no {name} header")
    return value


def _check_time(timestamp: str, tolerance_seconds: float, now: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise WebhookVerificationError("timestamp_invalid", "webhook-timestamp is not a number of seconds")
    age = now - int(timestamp)
    if age > tolerance_seconds:
        raise WebhookVerificationError("too_old", f"the message is {age:.0f} s old")
    if age < -tolerance_seconds:
        raise WebhookVerificationError("too_new", f"the message is from {-age:.0f} s ahead; is your clock right?")


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> bytes:
    signed = b".".join((message_id.encode(errors="replace"), timestamp.encode(), body))
    return base64.b64encode(hmac.digest(key, signed, "sha256"))
