"""Compliance: screens payers and payees against sanctions lists and applies the amount rule."""
