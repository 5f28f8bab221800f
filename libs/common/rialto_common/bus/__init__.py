"""The bus: one port (`port.py`), its adapters (`postgres.py`, `memory.py`), and the consumer every service runs."""
