"""Short-lived signed tokens between services: who calls whom, for which merchant and mode."""

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from uuid import UUID

import jwt

from rialto_common import ids
from rialto_common.errors import InvalidId, Unauthenticated
from rialto_common.runtime import Runtime

LIFETIME = timedelta(seconds=60)
_ALGORITHM = "HS256"
_REMEMBERED = 1_024
"""Tokens that are read once: those that a service issues for a caller within a second are the same."""


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a service calls: `merchant_id` is None for the platform's operator."""

    service: str
    merchant_id: UUID | None
    mode: str


class ServiceTokens:
    """Issues and checks the tokens; all services of an installation share the secret."""

    def __init__(self, secret: str, runtime: Runtime) -> None:
        self._secret = secret
        self._runtime = runtime
        self._read = lru_cache(_REMEMBERED)(self._read_signed)

    def issue(self, caller: Caller, *, audience: str) -> str:
        """Return a token for one audience (a service's name), good for a minute."""
        now = self._runtime.now()
        claims: dict[str, object] = {
            "iss": caller.service,
            "aud": audience,
            "mode": caller.mode,
            "iat": now,
            "exp": now + LIFETIME,
        }
        if caller.merchant_id is not None:
            claims["merchant"] = ids.to_text("mer", caller.merchant_id)
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def check(self, token: str, *, audience: str) -> Caller:
        """Return the caller.

        Raises: Unauthenticated: not signed by us, for another audience, or too old.
        """
        caller, expires_at = self._read(token, audience)
        if not expires_at >= self._runtime.now().timestamp():
            raise Unauthenticated("the service token has expired; issue a new one a request")
        return caller

    def _read_signed(self, token: str, audience: str) -> tuple[Caller, float]:
        """Return what a token says for ever: the caller, and when it ends. What is raised is not remembered."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=audience,
                options={"require": ["iss", "aud", "exp", "mode"], "verify_exp": False, "verify_iat": False},
            )
            expires_at = float(claims["exp"])
            merchant = ids.from_text("mer", str(claims["merchant"])) if "merchant" in claims else None
        except (jwt.InvalidTokenError, InvalidId, TypeError, ValueError) as error:
            raise Unauthenticated(f"the service token is not valid for {audience}") from error
        if not isinstance(claims["iss"], str) or claims["mode"] not in ("test", "live"):
            raise Unauthenticated(f"the service token is not valid for {audience}")
        return Caller(claims["iss"], merchant, claims["mode"]), expires_at
