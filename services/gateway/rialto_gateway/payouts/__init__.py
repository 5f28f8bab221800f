"""Payouts: when merchants are paid, and which of their payments together."""
