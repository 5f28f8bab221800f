"""A merchant's money beside its payments: what moved its balance, transfers between wallets, conversions."""
