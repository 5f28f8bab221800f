"""Use cases: load, decide, save, and tell."""
