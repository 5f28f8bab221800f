"""The chart of accounts: every code the ledger uses, its type, its limit, and its id.

A wallet's account has the wallet's id. All other ids are derived from (mode, code, currency), so that any process can
name an account it has never read, and opening it twice is opening it once.

The platform's accounts have no limit: each ledger database keeps its own part of them, and a part may stand below zero
where the whole does not (a payment that was parked here and resolved there). docs/ledger/POSTING_RULES.md lists all.
"""

import re
from functools import lru_cache
from uuid import UUID

from rialto_common import ids
from rialto_common.errors import UnknownCurrency
from rialto_common.money import currency_exponent
from rialto_ledger.domain.account import AccountSpec, AccountType, Mode

NAMESPACE = ids.uuid7(0, 0)
"""Root of the derived account ids."""


def account_id(mode: Mode, code: str, currency: str) -> UUID:
    """Return the id of any account that is not a wallet's."""
    return ids.derive(NAMESPACE, f"{mode}|{code}|{currency}")


def wallet(wallet_id: UUID, currency: str, merchant_id: UUID | None, mode: Mode) -> AccountSpec:
    """What we owe a customer; never below zero. `merchant_id` None: the platform's, for any merchant of the mode."""
    return AccountSpec(
        id=wallet_id,
        code=wallet_code(wallet_id),
        type=AccountType.LIABILITY,
        currency=currency,
        merchant_id=merchant_id,
        mode=mode,
        shard=ids.shard_of(wallet_id),
        minimum_available_minor=0,
    )


def wallet_code(wallet_id: UUID) -> str:
    """Return the code of a wallet's account."""
    return f"customer:{ids.to_text('wal', wallet_id)}:wallet"


def is_wallet(spec: AccountSpec) -> bool:
    """Whether the account is a customer's wallet."""
    return spec.code.startswith("customer:")


@lru_cache(maxsize=10_000)
def merchant_payable(merchant_id: UUID, currency: str, mode: Mode) -> AccountSpec:
    """What we owe a merchant for captured payments. Without limit: a settlement on chain is a fact to book."""
    return _merchant(merchant_id, "payable", currency, mode, minimum_available_minor=None)


@lru_cache(maxsize=10_000)
def merchant_reserve(merchant_id: UUID, currency: str, mode: Mode) -> AccountSpec:
    """What is set aside of a merchant's money while it is disputed; no more leaves it than was put in."""
    return _merchant(merchant_id, "reserve", currency, mode, minimum_available_minor=0)


def test_acquirer(currency: str) -> AccountSpec:
    """Where test-mode top-ups come from."""
    return acquirer_receivable("test", currency, "test")


def acquirer_receivable(name: str, currency: str, mode: Mode) -> AccountSpec:
    """What an acquirer has taken for us and not yet paid; below zero when refunds outweigh captures."""
    return _platform(f"acquirer:{name}:receivable", AccountType.ASSET, currency, mode)


def acquirer_costs(name: str, currency: str, mode: Mode) -> AccountSpec:
    """What an acquirer keeps for its work: interchange, scheme and processing fees."""
    return _platform(f"acquirer:{name}:costs", AccountType.EXPENSE, currency, mode)


def fees_income(currency: str, mode: Mode) -> AccountSpec:
    """What merchants have paid us for our work."""
    return _platform("fees:income", AccountType.INCOME, currency, mode)


def bank_cash(name: str, currency: str, mode: Mode) -> AccountSpec:
    """Our money at a bank, as its statement says."""
    return _platform(f"bank:{name}:cash", AccountType.ASSET, currency, mode)


def bank_in_transit(name: str, currency: str, mode: Mode) -> AccountSpec:
    """Payouts that a bank was asked for and has not yet confirmed: still owed, no longer at the merchant's disposal."""
    return _platform(f"bank:{name}:in_transit", AccountType.LIABILITY, currency, mode)


def suspense(currency: str, mode: Mode) -> AccountSpec:
    """Money whose fate we do not know; zero once every unknown outcome is resolved."""
    return _platform("suspense:unknown", AccountType.LIABILITY, currency, mode)


def shard_in_transit(shard: int, currency: str, mode: Mode) -> AccountSpec:
    """Money on its way to a shard in another ledger database.

    Both databases use this one account, named after where the money goes: the sender credits it and the receiver
    debits it, so its sum over the databases is what is under way, and zero when all has arrived.
    """
    return _platform(f"in_transit:{shard}", AccountType.LIABILITY, currency, mode)


def fx_position(currency: str, token: str, side_currency: str, mode: Mode) -> AccountSpec:
    """Our open position between a currency and a token; one account for each of the two (`side_currency`)."""
    return _platform(f"fx:{currency}/{token}:position", AccountType.EQUITY, side_currency, mode)


def chain_treasury(chain_id: int, token: str, mode: Mode) -> AccountSpec:
    """The tokens we hold in the treasury on chain."""
    return _platform(f"chain:{chain_id}:{token}:treasury", AccountType.ASSET, token, mode)


def chain_in_transit(chain_id: int, token: str, mode: Mode) -> AccountSpec:
    """Payouts in tokens that were asked for and are not yet confirmed on chain."""
    return _platform(f"chain:{chain_id}:{token}:in_transit", AccountType.LIABILITY, token, mode)


def chain_issuer(chain_id: int, token: str, mode: Mode) -> AccountSpec:
    """Where tokens that arrive in the treasury come from."""
    return _platform(f"chain:{chain_id}:{token}:issuer", AccountType.EQUITY, token, mode)


def contradicts(spec: AccountSpec) -> bool:
    """Whether an account would take a code of the chart's for something else: another type, owner or minimum."""
    if is_wallet(spec):
        return spec.code != wallet_code(spec.id)
    if named := _MERCHANTS.fullmatch(spec.code):
        charted = _MERCHANT_ACCOUNTS[named[2]](ids.from_text("mer", named[1]), spec.currency, spec.mode)
        expected = charted.type, charted.merchant_id, charted.minimum_available_minor
    elif kinds := [kind for pattern, kind in _PLATFORMS.items() if re.fullmatch(pattern, spec.code)]:
        expected = kinds[0], None, None
    else:
        return False
    return (spec.type, spec.merchant_id, spec.minimum_available_minor) != expected


_MERCHANTS = re.compile("merchant:(mer_[0-9a-hjkmnp-tv-z]{26}):(payable|reserve)")
_MERCHANT_ACCOUNTS = {"payable": merchant_payable, "reserve": merchant_reserve}
_PLATFORMS = {
    "acquirer:[^:]+:receivable": AccountType.ASSET,
    "acquirer:[^:]+:costs": AccountType.EXPENSE,
    "fees:income": AccountType.INCOME,
    "bank:[^:]+:cash": AccountType.ASSET,
    "bank:[^:]+:in_transit": AccountType.LIABILITY,
    "suspense:unknown": AccountType.LIABILITY,
    "in_transit:[0-9]+": AccountType.LIABILITY,
    "fx:[^:]+:position": AccountType.EQUITY,
    "chain:[0-9]+:[^:]+:treasury": AccountType.ASSET,
    "chain:[0-9]+:[^:]+:in_transit": AccountType.LIABILITY,
    "chain:[0-9]+:[^:]+:issuer": AccountType.EQUITY,
}
"""The types of the platform's codes, which have neither owner nor minimum."""


def can_open(spec: AccountSpec) -> bool:
    """Whether the account's currency is one we know."""
    try:
        currency_exponent(spec.currency)
    except UnknownCurrency:
        return False
    return True


def _merchant(
    merchant_id: UUID, purpose: str, currency: str, mode: Mode, *, minimum_available_minor: int | None
) -> AccountSpec:
    code = f"merchant:{ids.to_text('mer', merchant_id)}:{purpose}"
    return AccountSpec(
        id=account_id(mode, code, currency),
        code=code,
        type=AccountType.LIABILITY,
        currency=currency,
        merchant_id=merchant_id,
        mode=mode,
        shard=ids.shard_of(merchant_id),
        minimum_available_minor=minimum_available_minor,
    )


@lru_cache(maxsize=1_000)
def _platform(code: str, kind: AccountType, currency: str, mode: Mode) -> AccountSpec:
    opened_as = account_id(mode, code, currency)
    return AccountSpec(
        id=opened_as,
        code=code,
        type=kind,
        currency=currency,
        merchant_id=None,
        mode=mode,
        shard=ids.shard_of(opened_as),
        minimum_available_minor=None,
    )
