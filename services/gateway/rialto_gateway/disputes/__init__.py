"""Disputes: payers who want their money back through their card's issuer, and merchants' answers to them."""
