"""A merchant's balance: what it can dispose of, what is on its way, what is set aside; and what explains it."""
