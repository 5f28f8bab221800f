"""Where the ledger meets PostgreSQL, and the fake that stands in for it."""
