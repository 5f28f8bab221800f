"""The two balances of an account; there is no plain "balance"."""

from rialto_ledger.domain.account import Account, Side


def ledger_balance(account: Account) -> int:
    """Return what is booked (ISO 20022 CLBD/ITBD), in minor units, positive on the account's normal side."""
    if account.normal_side is Side.CREDIT:
        return account.credits_minor - account.debits_minor
    return account.debits_minor - account.credits_minor


def available_balance(account: Account) -> int:
    """Return what may still be spent (CLAV/ITAV): ledger balance minus pending holds (I2)."""
    return ledger_balance(account) - account.held_minor


def signed_balance(account: Account) -> int:
    """Return debits minus credits; over all accounts of a currency these sum to 0 (I5)."""
    return account.debits_minor - account.credits_minor
