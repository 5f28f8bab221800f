"""Wallets: who owns them here, what is in them in the ledger."""
