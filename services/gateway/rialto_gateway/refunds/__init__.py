"""Refunds: money given back, in parts or all; each is an object of its own."""
