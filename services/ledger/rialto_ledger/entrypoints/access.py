"""Who may see and do what. Every request carries a service token: it names the caller, its merchant and the mode.

The operator (no merchant) reaches everything of the mode. A merchant sees its own accounts and entries and, as it may
charge them, the platform's wallets; it changes only what is its own.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Protocol

from fastapi import Header

from rialto_common.dead_letter_api import bearer
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_ledger.application.poster import Answer
from rialto_ledger.domain import chart
from rialto_ledger.domain.account import Account, Mode
from rialto_ledger.domain.commands import Command
from rialto_ledger.domain.errors import AccountNotFound, OperatorOnly
from rialto_ledger.domain.hold import Hold
from rialto_ledger.domain.journal import JournalEntry

AUDIENCE = "ledger"


class Posts(Protocol):
    """Posts commands, durable before it answers."""

    async def post(self, command: Command) -> Answer:
        """Return what the command came to."""
        ...

    async def post_all(self, commands: Sequence[Command]) -> list[Answer]:
        """Return what each command came to, all in one transaction."""
        ...

    async def rehearse(self, commands: Sequence[Command]) -> list[Answer]:
        """Return what each command would come to, and write nothing."""
        ...


async def post_one(poster: Posts, command: Command) -> Answer:
    """Return what the command came to. Raises: the LedgerError that refuses it."""
    answer = await poster.post(command)
    if answer.outcome.error is not None:
        raise answer.outcome.error
    return answer


def authenticator(tokens: ServiceTokens) -> Callable[[str | None], Awaitable[Caller]]:
    """Return the dependency that reads a request's token."""

    async def authenticate(authorization: Annotated[str | None, Header()] = None) -> Caller:
        return tokens.check(bearer(authorization), audience=AUDIENCE)

    return authenticate


def mode_of(caller: Caller) -> Mode:
    """Return the caller's mode."""
    return "live" if caller.mode == "live" else "test"


def require_operator(caller: Caller) -> None:
    """Raises: OperatorOnly."""
    if caller.merchant_id is not None:
        raise OperatorOnly


def may_see_account(caller: Caller, account: Account) -> bool:
    """Whether the caller may read an account: the operator any of the mode, a merchant what it may charge or owns."""
    if account.spec.mode != caller.mode:
        return False
    if caller.merchant_id is None or account.spec.merchant_id == caller.merchant_id:
        return True
    return account.spec.merchant_id is None and chart.is_wallet(account.spec)


def require_own(caller: Caller, account: Account) -> None:
    """Raises: AccountNotFound: it is of the other mode, or another's. OperatorOnly: seen, but the platform's."""
    if not may_see_account(caller, account):
        raise AccountNotFound(account.id)
    if caller.merchant_id not in (None, account.spec.merchant_id):
        raise OperatorOnly


def may_see_entry(caller: Caller, entry: JournalEntry) -> bool:
    """Whether the caller may read an entry: the operator any of the mode, a merchant its own."""
    return entry.mode == caller.mode and caller.merchant_id in (None, entry.merchant_id)


def may_see_hold(caller: Caller, hold: Hold) -> bool:
    """Whether the caller may read a hold: the operator any of the mode, a merchant its own."""
    return hold.mode == caller.mode and caller.merchant_id in (None, hold.merchant_id)
