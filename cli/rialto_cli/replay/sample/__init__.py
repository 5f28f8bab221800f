"""The bundled sample of card transactions: `payments.csv`, and `generate.py` that made it."""
