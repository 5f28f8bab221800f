"""`rialto ledger`: the journal taken out of an installation, and its proofs checked from outside."""
