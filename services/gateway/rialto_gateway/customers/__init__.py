"""Customers: who a merchant's payers are to it, sealed, and erased when the merchant says so."""
