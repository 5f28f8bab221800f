"""What every Rialto service shares: runtime, bus, unit of work, events, money. No business rules."""
