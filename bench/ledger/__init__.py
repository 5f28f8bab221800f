"""The ledger beside one that does one transfer a transaction: `python -m bench.ledger`."""
