"""Whose payments: a key, and the gateway's address. Without options those of the `rialto up` on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rialto import (
    ApiError,
    AuthenticationError,
    ConnectionFailed,
    Rialto,
    RialtoError,
)
from rialto_cli.embedded.services import ACQUIRER, GATEWAY
from rialto_cli.embedded.status import find_running
from rialto_cli.embedded.welcome import Demo
from rialto_cli.errors import OperatorError

RETRY_SECONDS = 20.0
"""How long a command tries to reach the gateway: a restart of it takes a few seconds."""


@dataclass(frozen=True, slots=True)
class Account:
    """A merchant's key, and where it is used. The rest is what `rialto up` knows besides."""

    url: str
    key: str = field(repr=False)
    wallet_id: str | None = None
    admin_key: str | None = field(default=None, repr=False)
    acquirer: tuple[str, str] | None = field(default=None, repr=False)
    """The simulated acquirer's address and key."""


def account_of(data_dir: Path, url: str | None, key: str | None) -> Account:
    """Return the account that is meant.

    Raises: OperatorError: nothing runs here, and nothing else was named; an address without a key.
    """
    if url is not None and key is None:
        raise OperatorError(
            f"There is no key for {url}",
            "the key of the platform on this machine is not sent to another address",
            "give the merchant's key with --api-key, or in RIALTO_KEY",
        )
    if url is not None and key is not None:
        named = Account(url.rstrip("/"), key)
        with suppress(OperatorError):
            # The same that runs here, as after `rialto payments env`: then more is known of it.
            here = _running(data_dir)
            return here if (here.url, here.key) == (named.url, named.key) else named
        return named
    here = _running(data_dir)
    return here if key in (None, here.key) else Account(here.url, str(key))


def _running(data_dir: Path) -> Account:
    installation, _ = find_running(data_dir)
    demo = Demo.load(data_dir)
    if demo is None:
        raise OperatorError(
            f"Rialto is just starting on {data_dir}", "it has no merchant yet", "run the command again in a moment"
        )
    acquirer = installation.url(ACQUIRER), installation.secrets.acquirer_key
    admin_key = installation.secrets.gateway_admin_key
    return Account(installation.url(GATEWAY), demo.test_key, demo.wallet_id, admin_key, acquirer)


@contextmanager
def opened(account: Account, *, retry_seconds: float | None = None) -> Iterator[Rialto]:
    """Yield a client; what it raises becomes three lines for a person.

    Raises: OperatorError: the gateway refuses, or does not answer.
    """
    limit = RETRY_SECONDS if retry_seconds is None else retry_seconds
    try:
        made = Rialto(account.key, base_url=account.url, retry_seconds=limit)
    except ValueError as error:
        raise OperatorError(
            f"{account.url[:80]} is no address", _sentence(str(error)), "write it as http://127.0.0.1:8080"
        ) from error
    with made as client:
        try:
            yield client
        except RialtoError as error:
            raise explained(error, account.url) from error


def explained(error: RialtoError, url: str) -> OperatorError:
    """Return what happened, why, and what to do next."""
    if isinstance(error, ConnectionFailed):
        again = "start it with `rialto up`, or name another address with --url"
        if error.may_have_arrived and error.idempotency_key is not None:
            again = (
                f"run the same command with --idempotency-key {error.idempotency_key}: it is done once, and answered"
            )
        return OperatorError(f"The gateway at {url} does not answer", _sentence(str(error)), again)
    if isinstance(error, AuthenticationError):
        return OperatorError(
            f"The gateway at {url} does not know the key",
            _sentence(error.detail),
            "give another with --api-key, or leave it out for the demo merchant's",
        )
    if isinstance(error, ApiError):
        where = "" if error.doc_url is None else f"{error.doc_url} says what to do"
        request = "" if error.request_id is None else f"; quote request {error.request_id} to the operator"
        return OperatorError(f"The gateway refused: {error.code}", _sentence(error.detail), f"{where}{request}")
    return OperatorError(f"What answers at {url} is no gateway", _sentence(str(error)), "check --url")


def _sentence(text: str) -> str:
    return text.strip().rstrip(".")
