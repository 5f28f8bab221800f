"""Pure rules of the ledger: no I/O, clock, randomness or logging."""
