"""Where the world meets the ledger: events, HTTP, timers."""
