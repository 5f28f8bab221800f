"""Rialto's bridge to EVM chains: pays merchants in batches, each payment once, and says when it is final."""
